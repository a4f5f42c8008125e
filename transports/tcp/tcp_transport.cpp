#include "transports/tcp/tcp_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "transports/tcp/connector.h"
#include "transports/tcp/tcp_endpoint.h"

namespace tutti {
namespace {

// Waits for the connection to stand, letting visitors of our own in meanwhile: others probe at the same time.
Status wait_connected(int fd, Acceptor* acceptor, Duration limit) {
  const TimePoint end = Clock::now() + limit;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0)
      return Error(Code::timeout, fmt::format("no answer within {:g} s", std::chrono::duration<double>(limit).count()));
    std::array<pollfd, 2> fds{{{fd, POLLOUT, 0}, {acceptor != nullptr ? acceptor->wait_fd() : -1, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(left)) < 0 && errno != EINTR) return system_error(errno, "poll");
    if (acceptor != nullptr && fds[1].revents != 0) {
      if (Status pumped = acceptor->pump(); !pumped) return pumped;
    }
    if (fds[0].revents == 0) continue;
    int error_number = 0;
    socklen_t size = sizeof error_number;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &size) != 0) error_number = errno;
    if (error_number != 0) return system_error(error_number, "connecting");
    return {};
  }
}

}  // namespace

TcpTransport::TcpTransport(const TransportOptions& options, const TcpTuning& tuning)
    : options_(options), tuning_(tuning), local_(choose_interface(options.interface)) {}

Status TcpTransport::probe() {
  if (!local_) return local_.error().clone();
  return {};
}

std::string TcpTransport::domain() const {
  if (!local_) return "tcp-none";
  return local_->address.family() == AF_INET ? "tcp4" : "tcp6";
}

Result<std::shared_ptr<Acceptor>> TcpTransport::acceptor() {
  const std::lock_guard lock(mutex_);
  if (acceptor_) return acceptor_;
  if (!local_) return local_.error().clone();
  auto opened = Acceptor::open(*local_, options_.secret, options_.rank, tuning_);
  if (opened) acceptor_ = *opened;
  return opened;
}

Result<std::vector<std::byte>> TcpTransport::listen() {
  auto opened = acceptor();
  if (!opened) return std::move(opened.error());
  return encode((*opened)->address());
}

Result<TcpAddress> TcpTransport::peer_at(Rank peer, ConstBytes address) {
  if (!local_) return local_.error().clone();
  auto decoded = decode_tcp_address(address);
  if (!decoded) return decoded.because(fmt::format("the address that rank {} gave", peer));
  if (decoded->address.family() != local_->address.family())
    return Error(Code::unsupported,
                 fmt::format("rank {} listens on {}, this rank uses {}: choose interfaces of one kind with TUTTI_INTERFACE", peer,
                             decoded->address.to_string(), local_->to_string()),
                 peer);
  decoded->address = seen_from(*local_, decoded->address);
  return decoded;
}

Status TcpTransport::reaches(Rank peer, ConstBytes peer_address) {
  auto remote = peer_at(peer, peer_address);
  if (!remote) return std::move(remote.error());
  auto mine = acceptor();
  if (!mine) return std::move(mine.error());
  auto fd = start_connect(local_->address, remote->address, tuning_);
  Status reached = fd ? wait_connected(fd->get(), mine->get(), tuning_.reach_time) : Status(std::move(fd.error()));
  if (reached) return {};
  return Error(reached.error().code(),
               fmt::format("rank {} at {} cannot be reached from interface {}: {}; name another interface in TUTTI_INTERFACE or "
                           "let the firewall pass TCP between the hosts",
                           peer, remote->address.to_string(), local_->to_string(), reached.error().to_string()),
               peer);
}

Result<std::unique_ptr<Opening>> TcpTransport::open(const ConnectRequest& request, std::size_t sockets) {
  if (request.me == request.peer)
    return Error(Code::invalid_argument, fmt::format("rank {} cannot connect to itself over TCP", request.me), request.peer);
  auto remote = peer_at(request.peer, request.peer_address);
  if (!remote) return std::move(remote.error());
  if (request.me < request.peer) {
    auto mine = acceptor();
    if (!mine) return std::move(mine.error());
    return std::unique_ptr<Opening>(std::make_unique<Accepting>(*std::move(mine), Acceptor::Key{request.peer, request.stream}));
  }
  ConnectorHello hello;
  hello.sockets = static_cast<std::uint16_t>(std::clamp(sockets, std::size_t{1}, kMaxTcpSockets));
  hello.instance = remote->instance;
  hello.stream = request.stream;
  hello.connector = request.me;
  hello.acceptor = request.peer;
  return std::unique_ptr<Opening>(std::make_unique<Connector>(*local_, *remote, options_.secret, tuning_, hello));
}

Result<std::unique_ptr<Endpoint>> TcpTransport::connect(const ConnectRequest& request) {
  auto opening = open(request, static_cast<std::size_t>(std::max(options_.tcp_sockets, 1)));
  if (!opening) return std::move(opening.error());
  return std::unique_ptr<Endpoint>(std::make_unique<TcpEndpoint>(request.peer, *std::move(opening)));
}

std::unique_ptr<Transport> make_tcp(const TransportOptions& options) { return std::make_unique<TcpTransport>(options); }

}  // namespace tutti
