// Connections that this rank has closed, while what it sent is still being delivered: most are not here at all, as their devices
// are done at once. UCX delivers only while its worker is polled, so that somebody has to look at them: whoever else waits.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "transports/ucx/connection.h"

namespace tutti::ucx {

// How long UCX gets to let go of a connection that is closed. One that it still has then is kept for good.
inline constexpr Duration kLettingGo = std::chrono::milliseconds(500);

// Thread safe.
class Departures {
 public:
  Departures() = default;
  // Waits until all has been delivered, or has had its time.
  ~Departures();
  Departures(const Departures&) = delete;
  Departures& operator=(const Departures&) = delete;

  // Of a connection that has said goodbye. Its worker's lock is not held.
  void add(std::unique_ptr<Connection> connection);
  // Moves what can move, without waiting.
  void look();
  void begin_wait(WaitSet& set);

 private:
  struct Departure {
    std::unique_ptr<Connection> connection;
    TimePoint end;  // of being delivered, then of being let go of
  };
  static bool is_over(Departure& departure);
  bool look_at_all();  // whether any are left

  std::mutex mutex_;  // guards what follows
  std::list<Departure> departures_;
};

}  // namespace tutti::ucx
