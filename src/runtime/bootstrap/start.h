// The ways to start that bootstrap() chooses from, and what they share.
#pragma once

#include <string>
#include <vector>

#include "bootstrap/bootstrap.h"
#include "bootstrap/launcher.h"
#include "bootstrap/sockets.h"
#include "core/clock.h"

namespace tutti {

struct Listener {
  Fd fd;
  SocketAddress address;
};
[[nodiscard]] Result<Listener> open_listener(const SocketAddress& at);
// Of the interface that TUTTI_INTERFACE asks for.
[[nodiscard]] Result<SocketAddress> chosen_address(const Config& config);
// An address that another host told of: a link-local one is on the network of that interface.
[[nodiscard]] Result<SocketAddress> reachable(const SocketAddress& address, const Config& config);
[[nodiscard]] Duration timeout_of(const Config& config);

// One rank: nothing is opened.
[[nodiscard]] Result<Session> start_alone(std::string launcher);
// With rank, size, secret and job known, and the addresses of the neighbours.
Status connect_overlay(Session& session, Listener listener, std::vector<SocketAddress> next, const Config& config);

// Where all ranks can come.
struct Place {
  HostPort at;
  std::string text;       // where it was said, for errors
  bool by_name = false;   // a name that may mean loopback on its own host, and something else on others
  bool of_an_id = false;  // of which whoever made it serves the place already
};
// TUTTI_SECRET; while that is not set, a secret of what all ranks know: the user and `facts`.
[[nodiscard]] Secret secret_of(const Config& config, std::string_view facts);
// Registers at the place. Rank 0 serves it with `listeners`, unless there are none: then another process does.
[[nodiscard]] Result<Session> start_at(Session session, const Place& place, std::vector<Fd> listeners, const Config& config);

// The same; rank 0 must be at home at the place.
[[nodiscard]] Result<Session> start_at_home(Session session, const HostPort& at, std::string text, const Config& config);
// At the address that the launch gives.
[[nodiscard]] Result<Session> start_by_rendezvous(Session session, const Launch& launch, const Config& config);
// Through the launcher's key-value store.
[[nodiscard]] Result<Session> start_by_store(Session session, const Launch& launch, const Config& config);

}  // namespace tutti
