#include "transports/tcp/sender.h"

#include <sys/socket.h>

#include <array>
#include <bitset>
#include <cerrno>

#include "transports/tcp/socket.h"
#include "transports/tcp/wire.h"

namespace tutti {
namespace {

constexpr std::size_t kBudget = 4u << 20;

}  // namespace

void Sender::post(const Signature& signature, ConstBytes data) {
  MessageHeader header;
  header.bytes = data.size();
  header.signature = signature;
  lanes_.post({header, data, sizeof header + data.size()});
}

bool Sender::wants(std::size_t socket) const noexcept {
  bool oldest = false;
  return lanes_.next(socket, oldest) != nullptr;
}

// One piece: the rest of a segment, or of a message that is not cut.
Result<std::size_t> Sender::push(std::size_t socket) {
  const auto place = lanes_.place(socket);
  if (place.message == nullptr) return 0;
  std::array<iovec, 2> pieces;
  std::size_t count = 0, done = place.done;
  if (socket == 0) count = header_part(place.message->header, done, pieces);
  // sendmsg only reads what an iovec points to, whatever its type says.
  auto* data = const_cast<std::byte*>(place.message->data.data());
  count += lanes_.stripes(*place.message).gather(socket, done, data, std::span(pieces).subspan(count, 1));
  msghdr what{};
  what.msg_iov = pieces.data();
  what.msg_iovlen = count;
  ssize_t n = 0;
  do n = sendmsg(lanes_.fd(socket), &what, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  if (n < 0) return connection_error(errno, peer_);
  lanes_.moved(socket, static_cast<std::size_t>(n));
  return static_cast<std::size_t>(n);
}

// Sockets take turns, so that bytes arrive about in the order of the message: a consumer need not wait for a segment behind
// another socket's whole share, and one socket is read while packets arrive on the other.
Result<Pumped> Sender::pump() {
  Pumped result;
  std::bitset<kMaxTcpSockets> done;  // is full, or has nothing to send
  for (std::size_t sent = 0; done.count() < lanes_.sockets() && sent < kBudget;) {
    for (std::size_t socket = 0; socket < lanes_.sockets(); ++socket) {
      if (done[socket]) continue;
      auto pushed = push(socket);
      if (!pushed) return std::move(pushed.error());
      sent += *pushed;
      done[socket] = *pushed == 0;
      result.moved |= *pushed > 0;
    }
  }
  result.finished = lanes_.retire();
  return result;
}

}  // namespace tutti
