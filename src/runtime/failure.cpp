#include "runtime/failure.h"

#include <thread>

namespace tutti {

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
