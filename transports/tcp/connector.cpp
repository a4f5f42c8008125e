#include "transports/tcp/connector.h"

#include <fmt/format.h>

namespace tutti {

Connector::Connector(const InterfaceAddress& local, const TcpAddress& remote, const Secret& secret, const TcpTuning& tuning,
                     const ConnectorHello& hello)
    : local_(local), remote_(remote), secret_(secret), tuning_(tuning), hello_(hello), attempts_(hello.sockets) {
  remote_.address = seen_from(local, remote.address);
}

Error Connector::failed(const Error& cause) const {
  const Code code = cause.code() == Code::resource ? Code::peer_lost : cause.code();
  return {code,
          fmt::format("connecting from {} to rank {} at {}: {}", local_.to_string(), hello_.acceptor, remote_.address.to_string(),
                      cause.to_string()),
          hello_.acceptor};
}

Status Connector::start(std::uint16_t socket) {
  Attempt& attempt = attempts_[socket];
  auto fd = start_connect(local_.address, remote_.address, tuning_);
  if (!fd) return failed(fd.error());
  attempt.fd = *std::move(fd);
  ConnectorHello hello = hello_;
  hello.socket = socket;
  attempt.handshake.emplace(attempt.fd.get(), Handshake::Role::connects, secret_, encode(hello));
  return {};
}

Result<bool> Connector::advance(std::uint16_t socket) {
  Attempt& attempt = attempts_[socket];
  bool moved = false;
  while (true) {
    if (!attempt.handshake) {
      if (Status started = start(socket); !started) return std::move(started.error());
      moved = true;
    }
    const short events = attempt.handshake->wanted_events();
    auto done = attempt.handshake->advance();
    if (!done && done.error().code() == Code::peer_lost && attempt.retries-- > 0) {
      // The other side drops who has not authenticated in time, and this side may have been away from poll() for long.
      attempt.handshake.reset();
      continue;
    }
    if (!done) return failed(done.error());
    if (!*done) return moved || events != attempt.handshake->wanted_events();
    Status greeted = greet(attempt.handshake->peer_hello());
    if (!greeted) return failed(greeted.error());
    attempt.up = true;
    return true;
  }
}

Status Connector::greet(ConstBytes bytes) {
  auto hello = decode_acceptor_hello(bytes);
  if (!hello) return std::move(hello.error());
  if (hello->instance != remote_.instance)
    return Error(Code::peer_lost, fmt::format("rank {} of another process listens there now", hello->rank));
  return {};
}

Result<Opening::Progress> Connector::advance() {
  Progress progress;
  bool all = true;
  for (std::uint16_t socket = 0; socket < attempts_.size(); ++socket) {
    if (attempts_[socket].up) continue;
    auto moved = advance(socket);
    if (!moved) return std::move(moved.error());
    progress.moved |= *moved;
    all &= attempts_[socket].up;
  }
  if (all)
    for (Attempt& attempt : attempts_) progress.sockets.push_back(std::move(attempt.fd));
  return progress;
}

void Connector::begin_wait(WaitSet& set) {
  for (const Attempt& attempt : attempts_)
    if (!attempt.up && attempt.handshake) set.fds.push_back({attempt.fd.get(), attempt.handshake->wanted_events(), 0});
}

}  // namespace tutti
