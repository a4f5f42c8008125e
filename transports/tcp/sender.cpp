#include "transports/tcp/sender.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "transports/tcp/socket.h"

namespace tutti {
namespace {

constexpr std::size_t kMaxPieces = 32;
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

Result<bool> Sender::push(std::size_t socket, std::size_t& budget) {
  bool moved = false;
  for (auto place = lanes_.place(socket); place.message != nullptr && budget > 0; place = lanes_.place(socket)) {
    std::array<iovec, kMaxPieces> pieces;
    std::size_t count = 0, done = place.done;
    if (socket == 0) count = header_part(place.message->header, done, pieces);
    // sendmsg only reads what an iovec points to, whatever its type says.
    auto* data = const_cast<std::byte*>(place.message->data.data());
    count += lanes_.stripes(*place.message).gather(socket, done, data, std::span(pieces).subspan(count));
    msghdr what{};
    what.msg_iov = pieces.data();
    what.msg_iovlen = count;
    const ssize_t n = sendmsg(lanes_.fd(socket), &what, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n < 0) return connection_error(errno, peer_);
    lanes_.moved(socket, static_cast<std::size_t>(n));
    budget -= std::min(budget, static_cast<std::size_t>(n));
    moved = true;
  }
  return moved;
}

Result<Pumped> Sender::pump() {
  Pumped result;
  std::size_t budget = kBudget;
  for (std::size_t socket = 0; socket < lanes_.sockets() && !lanes_.idle(); ++socket) {
    auto moved = push(socket, budget);
    if (!moved) return std::move(moved.error());
    result.moved |= *moved;
  }
  result.finished = lanes_.retire();
  return result;
}

}  // namespace tutti
