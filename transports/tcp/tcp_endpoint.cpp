#include "transports/tcp/tcp_endpoint.h"

#include <fmt/format.h>

#include "transports/tcp/socket.h"
#include "transports/tcp/stripes.h"

namespace tutti {

Error TcpEndpoint::fail(Error error) {
  failure_ = error.clone();
  return error;
}

Result<bool> TcpEndpoint::post_send(const Signature& signature, const Source& source) {
  if (failure_) return failure_->clone();
  const bool at_once = up() && sender_.idle();
  sender_.post(signature, source.data);
  if (!at_once) return false;
  auto pumped = sender_.pump();
  if (pumped) return pumped->finished == 1;
  // What the peer said before it went away, a mismatch for example, explains more than the failed send.
  send_failure_ = std::move(pumped.error());
  return false;
}

Result<bool> TcpEndpoint::post_recv(const Signature& expected, const Sink& sink) {
  if (failure_) return failure_->clone();
  const bool at_once = up() && receiver_.idle();
  large_ = sink.size >= Stripes::kSegment || (large_ && !receiver_.idle());
  receiver_.post(expected, sink);
  if (large_) acknowledge_on_arrival(true);
  if (!at_once) return false;
  auto pumped = receiver_.pump();
  if (!pumped) return fail(std::move(pumped.error()));
  return pumped->finished == 1;
}

void TcpEndpoint::acknowledge_on_arrival(bool on) {
  if (on == on_arrival_) return;
  for (const Fd& fd : sockets_) tutti::acknowledge_on_arrival(fd.get(), on);
  on_arrival_ = on && up();
}

// Whether the opening moved.
Result<bool> TcpEndpoint::come_up() {
  auto progress = opening_->advance();
  if (!progress) return std::move(progress.error());
  if (progress->sockets.empty()) return progress->moved;
  sockets_ = std::move(progress->sockets);
  opening_.reset();
  std::vector<int> fds;
  for (const Fd& fd : sockets_) fds.push_back(fd.get());
  sender_.start(fds);
  receiver_.start(fds);
  if (large_) acknowledge_on_arrival(true);
  return true;
}

Result<Endpoint::Progress> TcpEndpoint::poll() {
  if (failure_) return failure_->clone();
  Progress progress;
  if (opening_) {
    auto moved = come_up();
    if (!moved) return fail(std::move(moved.error()));
    progress.moved = *moved;
    if (!up()) return progress;
  }
  if (!receiver_.idle()) {
    auto pumped = receiver_.pump();
    if (!pumped) return fail(std::move(pumped.error()));
    progress.recvs = pumped->finished;
    progress.moved |= pumped->moved;
  }
  if (!sender_.idle() && !send_failure_) {
    auto pumped = sender_.pump();
    if (pumped) {
      progress.sends = pumped->finished;
      progress.moved |= pumped->moved;
    } else {
      send_failure_ = std::move(pumped.error());
      progress.moved = true;  // look once more at what can be received
    }
  }
  if (send_failure_ && !progress.moved) return fail(*std::move(send_failure_));
  return progress;
}

void TcpEndpoint::begin_wait(WaitSet& set) {
  if (opening_) return opening_->begin_wait(set);
  acknowledge_on_arrival(false);  // a few bytes are to wake this rank, too
  for (std::size_t socket = 0; socket < sockets_.size(); ++socket) {
    const int events = (receiver_.wants(socket) ? POLLIN : 0) | (sender_.wants(socket) ? POLLOUT : 0);
    if (events != 0) set.fds.push_back({sockets_[socket].get(), static_cast<short>(events), 0});
  }
}

void TcpEndpoint::end_wait() {
  if (opening_) return opening_->end_wait();
  if (large_) acknowledge_on_arrival(true);
}

void TcpEndpoint::close() {
  if (!failure_) failure_.emplace(Code::aborted, fmt::format("the connection to rank {} was closed by this rank", peer_), peer_);
  opening_.reset();
  sockets_.clear();
  sender_ = Sender(peer_);
  receiver_ = Receiver(peer_);
}

std::size_t TcpEndpoint::memory_bytes() const {
  const bool closed = !opening_ && !up();
  return closed ? 0 : sizeof *this + sender_.memory_bytes() + receiver_.memory_bytes();
}

}  // namespace tutti
