#include "transports/ucx/departures.h"

#include <sched.h>

namespace tutti::ucx {
namespace {

// How long what was sent may stay under way. It takes longer only where the peer neither polls nor dies.
constexpr Duration kDelivery = std::chrono::seconds(1);

bool is_over(Connection& connection, TimePoint end) {
  const std::lock_guard lock(connection.worker().mutex());
  (void)connection.worker().progress();
  if (!connection.delivered() && Clock::now() < end) return false;
  connection.disconnect(Clock::now() + kLettingGo);
  return true;
}

}  // namespace

Departures::~Departures() {
  while (look_at_all()) sched_yield();
}

void Departures::add(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  departures_.push_back({std::move(connection), Clock::now() + kDelivery});
}

bool Departures::look_at_all() {
  const std::lock_guard lock(mutex_);
  std::erase_if(departures_, [](Departure& departure) { return is_over(*departure.connection, departure.end); });
  return !departures_.empty();
}

void Departures::look() { (void)look_at_all(); }

void Departures::begin_wait(WaitSet& set) {
  const std::lock_guard lock(mutex_);
  for (const Departure& departure : departures_) {
    const std::lock_guard worker(departure.connection->worker().mutex());
    departure.connection->begin_wait(set);
  }
}

}  // namespace tutti::ucx
