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

// Sends `bytes` with at most kMostDescriptors on a socket whose peer is not far behind.
inline constexpr std::size_t kMostDescriptors = 3;
[[nodiscard]] Status send_descriptors(const Fd& socket, ConstBytes bytes, std::span<const int> descriptors, Rank peer);
// Receives what one call of that has sent: as many bytes, and at least `least` descriptors, the first ones of `into`. false:
// nothing there yet. Code::resource where this process has no room for the descriptors; the bytes are there then.
[[nodiscard]] Result<bool> receive_descriptors(const Fd& socket, Bytes bytes, std::span<Fd> into, std::size_t least, Rank peer);
// Whether the other end has hung up, whatever it has sent before.
[[nodiscard]] bool has_hung_up(const Fd& socket) noexcept;

}  // namespace tutti::shm
