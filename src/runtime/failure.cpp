#include "runtime/failure.h"

#include <thread>

namespace tutti {

Status OverlayWatch::check(std::span<const Rank> awaited) {
  // A farewell may overtake the last data of the same rank: they travel on different connections.
  constexpr auto kGrace = std::chrono::seconds(2);
  if (auto s = overlay_.poll_failures(); !s) return s;
  for (const Rank peer : awaited) {
    auto s = overlay_.still_here(peer);
    if (s) continue;
    if (!somebody_left_) somebody_left_ = Clock::now();
    return Clock::now() - *somebody_left_ < kGrace ? Status{} : std::move(s);
  }
  somebody_left_.reset();
  return {};
}

Error find_cause(Overlay& overlay, Error error) {
  constexpr auto kPatience = std::chrono::milliseconds(500);
  if (error.code() == Code::peer_lost) {
    for (const TimePoint start = Clock::now(); Clock::now() - start < kPatience;
         std::this_thread::sleep_for(std::chrono::milliseconds(1)))
      if (auto s = overlay.poll_failures(); !s) return std::move(s.error());
  }
  overlay.abort(error);
  return error;
}

}  // namespace tutti
