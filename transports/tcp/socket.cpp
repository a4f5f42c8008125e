#include "transports/tcp/socket.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace tutti {
namespace {

void set_option(int fd, int level, int option, int value) {
  // All of these only make things better; a kernel without one works, too.
  (void)setsockopt(fd, level, option, &value, sizeof value);
}

// Window scaling is agreed on when the connection is made: buffers are set before.
Result<Fd> open_socket(int family, const TcpTuning& tuning) {
  Fd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return system_error(errno, "opening a TCP socket");
  if (family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (tuning.send_buffer_bytes > 0) set_option(fd.get(), SOL_SOCKET, SO_SNDBUF, tuning.send_buffer_bytes);
  if (tuning.receive_buffer_bytes > 0) set_option(fd.get(), SOL_SOCKET, SO_RCVBUF, tuning.receive_buffer_bytes);
  return fd;
}

}  // namespace

Result<Fd> listen_on(const SocketAddress& local, const TcpTuning& tuning) {
  auto fd = open_socket(local.family(), tuning);
  if (!fd) return fd;
  if (bind(fd->get(), local.get(), local.size()) != 0) return system_error(errno, "binding to " + local.to_string());
  if (listen(fd->get(), SOMAXCONN) != 0) return system_error(errno, "listening on " + local.to_string());
  return fd;
}

Result<Fd> start_connect(const SocketAddress& local, const SocketAddress& remote, const TcpTuning& tuning) {
  auto fd = open_socket(remote.family(), tuning);
  if (!fd) return fd;
  // The port is chosen at connect(), where a port in use towards another peer can serve again.
  set_option(fd->get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  if (bind(fd->get(), local.get(), local.size()) != 0) return system_error(errno, "binding to " + local.host());
  tune(fd->get());
  while (connect(fd->get(), remote.get(), remote.size()) != 0) {
    if (errno == EINPROGRESS) break;
    if (errno != EINTR) return system_error(errno, "connecting to " + remote.to_string());
  }
  return fd;
}

void tune(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  // A receiver that computes for minutes before it posts is alive, and TCP_USER_TIMEOUT would end its connection for a window
  // that stays closed. Probes only ask whether the host is still there.
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

void acknowledge(int fd) { set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 1); }

void acknowledge_on_arrival(int fd, bool on) {
  constexpr int kLargestPacket = 64 << 10;  // of a sender that leaves it to the network interface to cut it
  set_option(fd, SOL_SOCKET, SO_RCVLOWAT, on ? kLargestPacket : 1);
}

Error connection_error(int error_number, Rank peer) {
  if (error_number == 0) return {Code::peer_lost, fmt::format("rank {} closed its connection or died", peer), peer};
  constexpr std::array kGone{ECONNRESET, EPIPE,        ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENETDOWN,
                             EHOSTDOWN,  ECONNABORTED, ENETRESET, ECONNREFUSED, ENOTCONN};
  Error cause = system_error(error_number, fmt::format("the TCP connection to rank {}", peer), peer);
  if (std::ranges::find(kGone, error_number) == kGone.end()) return cause;
  return {Code::peer_lost, cause.message(), peer};
}

}  // namespace tutti
