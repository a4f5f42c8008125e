// Non-blocking stream sockets for control connections, and where they listen.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bootstrap/wire.h"
#include "core/clock.h"
#include "core/fd.h"
#include "transports/tcp/socket_address.h"
#include "tutti/result.h"

namespace tutti {

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
// "host:port", "[v6 address]:port". Code::invalid_argument says what is wrong.
[[nodiscard]] Result<HostPort> parse_host_port(std::string_view text);
[[nodiscard]] std::string to_string(const HostPort& at);

// All addresses of a name or a number, in the system's order of preference.
[[nodiscard]] Result<std::vector<SocketAddress>> resolve(const HostPort& at);

[[nodiscard]] SocketAddress v4_loopback();
[[nodiscard]] bool is_loopback(const SocketAddress& address);

inline constexpr std::size_t kEncodedAddressSize = 1 + 2 + 16;
// Family (4 or 6), port, 16 bytes of address. A link-local address is read with this host's own `scope`.
void encode(const SocketAddress& address, Writer& out);
[[nodiscard]] Result<SocketAddress> decode_address(Reader& in, std::uint32_t scope);

// Close-on-exec. Code::environment when the address is not this host's. Port 0 picks a free one; SocketAddress::of_socket tells
// which.
[[nodiscard]] Result<Fd> listen_at(const SocketAddress& address);
// Starts to connect; finished when the socket becomes writable and connect_error() says 0. Code::peer_lost where nobody listens.
[[nodiscard]] Result<Fd> start_connect(const SocketAddress& address);
[[nodiscard]] int connect_error(int fd);
[[nodiscard]] Error connect_failure(int error, const SocketAddress& address);
// For poll(): until then, but for a second at most.
[[nodiscard]] int milliseconds_until(TimePoint deadline);
// The next connection of a listening socket. No descriptor: none is waiting.
struct Accepted {
  Fd fd;
  SocketAddress from;
};
[[nodiscard]] Result<Accepted> accept_next(int listener);

}  // namespace tutti
