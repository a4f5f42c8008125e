#include "runtime/streams.h"

#include <fmt/format.h>

#include <vector>

#include "core/hash.h"

namespace tutti {

Result<Stream*> Streams::stream(Rank peer, std::uint16_t channel) {
  const std::lock_guard lock(mutex_);
  if (const auto known = streams_.find({peer, channel}); known != streams_.end()) return known->second.get();
  const std::uint64_t id = Hasher().value(job_.session().job).value(salt_).value(channel).result();
  const bool publishes = channel == 0 && salt_ == 0 && job_.machine().boards;
  const Rank members = publishes ? job_.size() : 0;
  auto endpoint = job_.connect(peer, {.me = job_.rank(), .peer = peer, .stream = id, .peer_address = {}, .members = members});
  if (!endpoint) return endpoint.because(fmt::format("connecting rank {} to rank {}", job_.rank(), peer));
  (void)(*endpoint)->tune(job_.tuning(peer));
  return streams_.try_emplace({peer, channel}, std::make_unique<Stream>(std::move(*endpoint), peer)).first->second.get();
}

void Streams::close() {
  const std::lock_guard lock(mutex_);
  std::vector<Endpoint*> endpoints;
  for (auto& [key, stream] : streams_) endpoints.push_back(&stream->endpoint());
  close_together(endpoints);
}

void close_together(std::span<Endpoint* const> endpoints) {
  for (Endpoint* endpoint : endpoints) endpoint->begin_close();
  for (Endpoint* endpoint : endpoints) endpoint->close();
}

std::size_t Streams::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  const Board* counted = nullptr;  // there is one at most
  for (const auto& [key, stream] : streams_) {
    Endpoint& endpoint = stream->endpoint();
    sum += endpoint.memory_bytes();
    if (counted == nullptr && endpoint.board() != nullptr) sum += (counted = endpoint.board())->memory_bytes();
  }
  return sum;
}

}  // namespace tutti
