#include "bootstrap/bootstrap.h"

#include <fmt/format.h>

#include "bootstrap/start.h"
#include "bootstrap/unique_id.h"

namespace tutti {

Result<Session> bootstrap(const Config& config, const Lookup& lookup, std::stop_token stop) {
  auto launch = detect_launcher(config, lookup);
  if (!launch) return std::move(launch.error());
  if (launch->meeting == Meeting::alone) return start_alone(std::string(name(launch->kind)));
  Session session;
  session.rank = launch->rank;
  session.size = launch->size;
  session.launcher = name(launch->kind);
  session.stop = std::move(stop);
  if (launch->meeting == Meeting::rendezvous) return start_by_rendezvous(std::move(session), *launch, config);
  return start_by_store(std::move(session), *launch, config);
}

Result<Session> bootstrap(const UniqueId& id, Rank rank, Rank size, const Config& config, std::stop_token stop) {
  if (size < 1 || size > kMaxRanks || rank < 0 || rank >= size)
    return Error(Code::invalid_argument,
                 fmt::format("rank {} of {} ranks: expected a size from 1 to {} and a rank below it", rank, size, kMaxRanks));
  auto place = MeetingPlace::from_id(id);
  if (!place) return std::move(place.error());
  if (size == 1) {
    close_here(id);
    return start_alone("a unique id");
  }
  Session session;
  session.rank = rank;
  session.size = size;
  session.secret = place->secret;
  session.job = job_of(id);
  session.launcher = "a unique id";
  session.stop = std::move(stop);
  if (place->home) return start_at_home(std::move(session), *place->home, "the fixed address of the unique id", config);
  auto address = reachable(place->address, config);
  if (!address) return std::move(address.error());
  return start_at(std::move(session), {{address->host(), address->port()}, "the address in the unique id", false, true}, {},
                  config);
}

}  // namespace tutti
