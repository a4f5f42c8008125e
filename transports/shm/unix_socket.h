// Abstract Unix sockets: finding a peer on this machine, knowing whose process it is, and handing over descriptors.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>

#include "core/fd.h"
#include "tutti/transport.h"

namespace tutti::shm {

// All sockets are non-blocking and closed on exec.
[[nodiscard]] Result<Fd> listen_at(const std::string& name);
// No descriptor in the result: the peer's queue is full, try again. Code::peer_lost when nobody listens under that name.
[[nodiscard]] Result<Fd> connect_to(const std::string& name, Rank peer);
// The process at the other end, 0 where it is in another pid namespace. Code::unauthenticated unless it belongs to the same
// user as this process.
[[nodiscard]] Result<pid_t> same_user(const Fd& socket, Rank peer);

struct Descriptors {
  Fd memory, bell;
  Fd cells;  // from the side that has created them
};
// Sends `bytes` with two descriptors or three on a socket with nothing else under way.
[[nodiscard]] Status send_descriptors(const Fd& socket, ConstBytes bytes, std::span<const int> descriptors, Rank peer);
// Receives them; `bytes` must be filled by one message. false: nothing there yet.
[[nodiscard]] Result<bool> receive_descriptors(const Fd& socket, Bytes bytes, Descriptors& into, Rank peer);
// Whether the other end has hung up.
[[nodiscard]] bool has_hung_up(const Fd& socket) noexcept;

}  // namespace tutti::shm
