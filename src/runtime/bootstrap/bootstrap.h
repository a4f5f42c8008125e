// From nothing but the launcher's variables, or a unique id, to ranks that know and can reach each other.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "bootstrap/launcher.h"
#include "bootstrap/overlay.h"
#include "core/config.h"
#include "tutti/transport.h"
#include "tutti/unique_id.h"

namespace tutti {

// What a communicator starts from.
struct Session {
  Rank rank = 0;
  Rank size = 1;
  Secret secret;                  // of this communicator; for the transports' connections
  std::uint64_t job = 0;          // a number that only this communicator's ranks share
  std::string launcher;           // for people: "Open MPI's mpirun"
  SocketAddress control_address;  // where this rank's control connections are; port 0
  std::stop_token stop;           // ends the start with Code::aborted
  std::unique_ptr<Overlay> overlay;
};

// From the environment. The launcher's own store is used once and then given back; a program that also calls MPI should rather
// pass a unique id around by MPI, because MPI libraries talk to the launcher over the same connection (Hydra: PMI_FD) and expect
// to be the only ones. A process may do so again and again, with all other ranks; in a launcher's job each process is one rank.
// Every rank gets one error that says what, which rank, and what to do; nothing waits longer than TUTTI_TIMEOUT (to find each
// other, and again to connect). Waiting ends when `stop` asks for it, but for that of a launcher's own store.
[[nodiscard]] Result<Session> bootstrap(const Config& config, const Lookup& lookup = environment, std::stop_token stop = {});

// From an id that all ranks were given. Ranks may be threads of one process.
[[nodiscard]] Result<Session> bootstrap(const UniqueId& id, Rank rank, Rank size, const Config& config,
                                        std::stop_token stop = {});

// The ranks of `parent` that pass the same color (0 or more) get a session of their own, ordered by key, then by rank; those that
// pass a negative color get nothing. Called by all ranks of the parent. Every part has its own secret and failure detector.
[[nodiscard]] Result<std::optional<Session>> split(Session& parent, int color, int key, const Config& config,
                                                   std::stop_token stop = {});

}  // namespace tutti
