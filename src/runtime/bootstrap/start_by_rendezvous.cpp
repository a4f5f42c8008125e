#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "bootstrap/rendezvous.h"
#include "bootstrap/start.h"
#include "core/handshake.h"
#include "core/hash.h"
#include "core/log.h"
#include "transports/tcp/interfaces.h"

namespace tutti {
namespace {

// A rank listens where it was seen to reach the rendezvous, unless the user chose an interface.
Result<SocketAddress> listening_address(const Place& place, const SocketAddress& local, const Config& config) {
  if (config.is_set(Var::interface) || (place.by_name && is_loopback(local))) return chosen_address(config);
  return local.with_port(0);
}

Result<Session> meet(Session session, const Place& place, const Rendezvous* own, const Config& config) {
  Listener listener;
  Registration registration;
  registration.rank = session.rank;
  registration.size = session.size;
  registration.secret = session.secret;
  registration.job = session.job;
  registration.at = place.at;
  registration.at_text = place.text;
  registration.timeout = timeout_of(config);
  registration.own = own;
  registration.of_an_id = place.of_an_id;
  registration.stop = session.stop;
  registration.listen = [&](const SocketAddress& local) -> Result<SocketAddress> {
    auto at = listening_address(place, local, config);
    if (!at) return at;
    auto opened = open_listener(*at);
    if (!opened) return opened.because("opening the control connection");
    listener = std::move(*opened);
    return listener.address;
  };
  auto next = register_rank(registration);
  if (!next) return std::move(next.error());
  if (auto s = connect_overlay(session, std::move(listener), std::move(*next), config); !s) return std::move(s.error());
  return session;
}

Error cannot_listen(const Place& place, const Error& error) {
  constexpr std::string_view kExpected = "It must be an address of rank 0's own host and a port that nothing else uses";
  return {Code::environment,
          fmt::format("rank 0 cannot listen at the rendezvous {} ({}): {}. {}; this host is {}", to_string(place.at), place.text,
                      error.message(), kExpected, Member::of_this_process().host),
          0};
}

// All addresses of this host that the name means, here or as other hosts see it.
Result<std::vector<Fd>> rendezvous_listeners(const Place& place, const Config& config) {
  auto candidates = resolve(place.at);
  if (!candidates) return cannot_listen(place, candidates.error());
  const bool only_loopback = std::ranges::all_of(*candidates, is_loopback);
  if (place.by_name && only_loopback)
    if (auto outside = choose_interface(config.text(Var::interface)); outside && !outside->loopback)
      candidates->push_back(outside->address.with_port(place.at.port));
  std::vector<Fd> listeners;
  Error last(Code::environment, "the name has no address");
  for (const SocketAddress& address : *candidates) {
    auto fd = listen_at(address);
    if (!fd && fd.error().code() != Code::environment) return cannot_listen(place, fd.error());
    if (fd)
      listeners.push_back(std::move(*fd));
    else
      last = std::move(fd.error());
  }
  if (listeners.empty()) return cannot_listen(place, last);
  return listeners;
}

}  // namespace

Secret secret_of(const Config& config, std::string_view facts) {
  if (config.is_set(Var::secret)) return secret_from_text(config.text(Var::secret));
  log(LogLevel::info, "the secret of this job is made of facts that others may guess (job, user, rendezvous): set TUTTI_SECRET");
  return secret_from_text(fmt::format("tutti {}, user {}", facts, getuid()));
}

Result<Session> start_at(Session session, const Place& place, std::vector<Fd> listeners, const Config& config) {
  if (listeners.empty()) return meet(std::move(session), place, nullptr, config);
  auto rendezvous =
      Rendezvous::start(std::move(listeners), session.secret, session.job, {timeout_of(config), timeout_of(config)});
  if (!rendezvous) return std::move(rendezvous.error());
  return meet(std::move(session), place, rendezvous->get(), config);
}

Result<Session> start_by_rendezvous(Session session, const Launch& launch, const Config& config) {
  const std::string at = to_string(launch.rendezvous);
  session.secret = secret_of(config, fmt::format("job {} at {}", launch.job, at));
  session.job = Hasher().text(launch.job).text(at).result();
  return start_at_home(std::move(session), launch.rendezvous, launch.rendezvous_text, config);
}

Result<Session> start_at_home(Session session, const HostPort& at, std::string text, const Config& config) {
  const bool number = static_cast<bool>(SocketAddress::parse(at.host));
  const Place place{at, std::move(text), !number && at.host != "localhost"};
  std::vector<Fd> listeners;
  if (session.rank == 0) {
    auto opened = rendezvous_listeners(place, config);
    if (!opened) return std::move(opened.error());
    listeners = std::move(*opened);
  }
  return start_at(std::move(session), place, std::move(listeners), config);
}

}  // namespace tutti
