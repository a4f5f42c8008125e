#include "transports/shm/handover.h"

#include <fmt/format.h>

#include "core/log.h"
#include "transports/shm/adopted.h"
#include "transports/shm/unix_socket.h"

namespace tutti::shm {
namespace {

// From so many on, those that have been freed since are forgotten.
constexpr std::size_t kMany = 64;

}  // namespace

NamedPart Handover::name(ConstBytes bytes, std::uint64_t most_on_the_way) {
  if (const auto location = Segments::of_process().find(bytes)) return {.memory = give(*location, most_on_the_way)};
  const auto part = Adopted::of_process().find_part(bytes);
  if (!part) return {};
  return {.memory = give(part->location, most_on_the_way), .head = part->head, .tail = part->tail};
}

MemoryName Handover::give(const Location& location, std::uint64_t most_on_the_way) {
  if (!given_.contains(location.segment)) {
    if (socket_ == nullptr || times_given_ - taken_by_peer_->load() >= most_on_the_way) return {};
    if (given_.size() >= kMany) forget_freed();
    if (!send_descriptors(*socket_, std::as_bytes(std::span(&location.segment, 1)), std::span(&location.fd, 1), peer_)) return {};
    given_.insert(location.segment);
    ++times_given_;
  }
  return {.segment = location.segment, .offset = location.offset, .handed = times_given_};
}

void Handover::forget_freed() {
  auto existing = Segments::of_process().existing(given_);
  existing.merge(Adopted::of_process().existing(given_));
  given_ = std::move(existing);
}

// What cannot be mapped for want of something is done without.
Status Handover::take_up_to(std::uint64_t handed) {
  for (; times_taken_ < handed; ++times_taken_) {
    std::uint64_t segment = 0;
    Fd memory;
    const auto got = receive_descriptors(*socket_, std::as_writable_bytes(std::span(&segment, 1)), {&memory, 1}, 1, peer_);
    if (got && !*got)
      return Error(Code::protocol, fmt::format("rank {} speaks of memory that it has not handed over", peer_), peer_);
    const Status added = got ? peers_segments_->add(segment, memory, peer_) : Status(got.error().clone());
    if (!added && added.error().code() != Code::resource) return added.error().clone();
    if (!added) log(LogLevel::info, "shm: " + added.error().to_string());
    taken_->store(times_taken_ + 1);
  }
  return {};
}

Result<PeerMemory> Handover::find(MemoryName name, std::size_t size) {
  if (socket_ == nullptr) return PeerMemory{};
  if (Status taken = take_up_to(name.handed); !taken) return std::move(taken.error());
  auto segment = peers_segments_->find(name.segment);
  if (!segment) return PeerMemory{};
  const std::size_t most = SegmentView(*segment).user_bytes();
  if (name.offset > most || size > most - name.offset)
    return Error(Code::protocol,
                 fmt::format("rank {} speaks of {} bytes at {} in memory of {} bytes", peer_, size, name.offset, most), peer_);
  std::byte* const data = segment->data() + name.offset;
  return PeerMemory{.segment = std::move(segment), .data = data};
}

}  // namespace tutti::shm
