#include "transports/ucx/departures.h"

#include <sched.h>

#include "transports/ucx/kept.h"

namespace tutti::ucx {
namespace {

// How long what was sent may stay under way. It takes longer only where the peer neither polls nor dies.
constexpr Duration kDelivery = std::chrono::seconds(1);

}  // namespace

bool Departures::is_over(Departure& departure) {
  Connection& connection = *departure.connection;
  const std::unique_lock lock(connection.worker().mutex(), std::try_to_lock);
  if (!lock) return false;  // somebody moves it, perhaps for long
  (void)connection.worker().progress();
  if (!connection.disconnecting()) {
    if (!connection.delivered() && Clock::now() < departure.end) return false;
    connection.disconnect();
    departure.end = Clock::now() + kLettingGo;
  }
  if (connection.disconnected()) return true;
  if (Clock::now() < departure.end) return false;
  keep_for_good(std::move(departure.connection));
  return true;
}

Departures::~Departures() {
  while (look_at_all()) sched_yield();
}

void Departures::add(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  departures_.push_back({std::move(connection), Clock::now() + kDelivery});
}

bool Departures::look_at_all() {
  const std::lock_guard lock(mutex_);
  std::erase_if(departures_, is_over);
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
