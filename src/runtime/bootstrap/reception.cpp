#include "bootstrap/reception.h"

#include <fmt/format.h>

#include "core/log.h"

namespace tutti {
namespace {

// A stranger must not be able to occupy all descriptors, nor stay for ever.
constexpr std::size_t kMaxVisitors = 512;
constexpr Duration kPatience = std::chrono::seconds(10);

}  // namespace

Result<std::vector<std::unique_ptr<Channel>>> Reception::admit() {
  if (auto s = accept_all(); !s) return std::move(s.error());
  std::vector<std::unique_ptr<Channel>> admitted;
  for (auto visitor = visitors_.begin(); visitor != visitors_.end();)
    visitor = advance(*visitor, admitted) ? visitors_.erase(visitor) : std::next(visitor);
  return admitted;
}

Status Reception::accept_all() {
  for (const Fd& listener : listeners_) {
    for (;;) {
      auto next = accept_next(listener.get());
      if (!next) return std::move(next.error());
      if (!next->fd) break;
      if (visitors_.size() >= kMaxVisitors) {
        log(LogLevel::info, fmt::format("too many connections that do not authenticate: dropped the oldest, from {}",
                                        visitors_.front().from.to_string()));
        visitors_.pop_front();
      }
      auto channel = std::make_unique<Channel>(std::move(next->fd), Handshake::Role::accepts, secret_, hello_, max_frame_);
      visitors_.push_back({std::move(channel), next->from, Clock::now()});
    }
  }
  return {};
}

bool Reception::advance(Visitor& visitor, std::vector<std::unique_ptr<Channel>>& admitted) {
  auto moved = visitor.channel->progress();
  if (!moved) {
    const bool wrong_secret = moved.error().code() == Code::unauthenticated;
    refused_ += wrong_secret ? 1 : 0;
    log(wrong_secret ? LogLevel::warn : LogLevel::info,
        fmt::format("dropped a connection from {}: {}", visitor.from.to_string(), moved.error().to_string()));
    return true;
  }
  if (visitor.channel->is_open()) {
    admitted.push_back(std::move(visitor.channel));
    return true;
  }
  if (Clock::now() - visitor.since < kPatience) return false;
  log(LogLevel::info, fmt::format("dropped a connection from {} that said nothing for 10 s", visitor.from.to_string()));
  return true;
}

void Reception::append_fds(std::vector<pollfd>& fds) const {
  for (const Fd& listener : listeners_) fds.push_back({listener.get(), POLLIN, 0});
  for (const Visitor& visitor : visitors_) fds.push_back(visitor.channel->wanted());
}

}  // namespace tutti
