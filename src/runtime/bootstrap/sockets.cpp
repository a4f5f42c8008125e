#include "bootstrap/sockets.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace tutti {
namespace {

constexpr int kBacklog = 1024;

void set_option(int fd, int level, int name, int value) { (void)setsockopt(fd, level, name, &value, sizeof value); }

// Small messages at once; a host that vanished without a word is noticed after about 20 s even when nothing is sent.
void prepare_stream(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 20000);
}

Result<Fd> stream_socket(int family) {
  Fd fd(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return system_error(errno, "socket()");
  return fd;
}

}  // namespace

void encode(const SocketAddress& address, Writer& out) {
  const bool v6 = address.family() == AF_INET6;
  out.value(static_cast<std::uint8_t>(v6 ? 6 : 4)).value(address.port()).raw(address.bytes());
}

Result<SocketAddress> decode_address(Reader& in, std::uint32_t scope) {
  const auto family = in.value<std::uint8_t>();
  const auto port = in.value<std::uint16_t>();
  const ConstBytes raw = in.raw(16);
  if (!in.ok()) return Error(Code::protocol, "a socket address is cut short");
  if (family != 4 && family != 6) return Error(Code::protocol, fmt::format("a socket address of unknown family {}", family));
  std::array<std::byte, 16> bytes{};
  std::copy(raw.begin(), raw.end(), bytes.begin());
  const auto address = SocketAddress::from_bytes(family == 6 ? AF_INET6 : AF_INET, bytes, port);
  return address.is_link_local() ? address.with_scope(scope) : address;
}

SocketAddress v4_loopback() {
  return SocketAddress::from_bytes(AF_INET, {std::byte{127}, std::byte{0}, std::byte{0}, std::byte{1}}, 0);
}

bool is_loopback(const SocketAddress& address) {
  if (address.family() == AF_INET) return address.bytes()[0] == std::byte{127};
  std::array<std::byte, 16> one{};
  one[15] = std::byte{1};
  return address.bytes() == one;
}

Result<HostPort> parse_host_port(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error(Code::invalid_argument, fmt::format("\"{}\" is not host:port ({})", text, why));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("there is no colon");
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address is written in brackets: [::1]:5000");
  }
  if (host.empty()) return bad("the host is missing");
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || port == 0)
    return bad("the port is a number from 1 to 65535");
  return HostPort{std::string(host), port};
}

std::string to_string(const HostPort& at) {
  return at.host.find(':') == std::string::npos ? fmt::format("{}:{}", at.host, at.port)
                                                : fmt::format("[{}]:{}", at.host, at.port);
}

Result<std::vector<SocketAddress>> resolve(const HostPort& at) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int failed = getaddrinfo(at.host.c_str(), nullptr, &hints, &list);
  if (failed != 0)
    return Error(Code::environment, fmt::format("the host name \"{}\" cannot be resolved: {}", at.host, gai_strerror(failed)));
  std::vector<SocketAddress> addresses;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next)
    if (a->ai_family == AF_INET || a->ai_family == AF_INET6) addresses.push_back(SocketAddress(a->ai_addr).with_port(at.port));
  freeaddrinfo(list);
  if (addresses.empty()) return Error(Code::environment, fmt::format("the host name \"{}\" has no IP address", at.host));
  return addresses;
}

Result<Fd> listen_at(const SocketAddress& address) {
  auto fd = stream_socket(address.family());
  if (!fd) return fd;
  set_option(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.family() == AF_INET6) set_option(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (bind(fd->get(), address.get(), address.size()) != 0 || listen(fd->get(), kBacklog) != 0) {
    const bool foreign = errno == EADDRNOTAVAIL;
    Error error = system_error(errno, fmt::format("listening at {}", address.to_string()));
    return foreign ? Error(Code::environment, error.message()) : std::move(error);
  }
  return fd;
}

Result<Fd> start_connect(const SocketAddress& address) {
  auto fd = stream_socket(address.family());
  if (!fd) return fd;
  prepare_stream(fd->get());
  if (connect(fd->get(), address.get(), address.size()) != 0 && errno != EINPROGRESS) return connect_failure(errno, address);
  return fd;
}

Error connect_failure(int error, const SocketAddress& address) {
  Error failure = system_error(error, fmt::format("connecting to {}", address.to_string()));
  return error == ECONNREFUSED ? Error(Code::peer_lost, failure.message()) : std::move(failure);
}

int connect_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

int milliseconds_until(TimePoint deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<long long>(left + 1, 0, 1000));
}

Result<Accepted> accept_next(int listener) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  Fd fd(accept4(listener, reinterpret_cast<sockaddr*>(&storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    const bool fatal =
        errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS || errno == EBADF || errno == EINVAL;
    if (fatal) return system_error(errno, "accepting a connection");
    return Accepted{};  // nobody there, or gone again before we looked
  }
  prepare_stream(fd.get());
  return Accepted{std::move(fd), SocketAddress(reinterpret_cast<const sockaddr*>(&storage))};
}

}  // namespace tutti
