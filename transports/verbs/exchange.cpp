#include "transports/verbs/exchange.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "transports/tcp/socket.h"

namespace tutti::verbs {
namespace {

// Calls `transfer` with what is left of `bytes` until it is through (true) or the socket takes or has no more.
template <class Transfer>
Result<bool> move(Bytes bytes, std::size_t& done, Rank peer, Transfer&& transfer) {
  while (done < bytes.size()) {
    const ssize_t n = transfer(bytes.subspan(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (n <= 0) return connection_error(n == 0 ? 0 : errno, peer);
    done += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

Result<bool> Exchange::advance(int fd, Rank peer) {
  const auto send = [fd](Bytes bytes) { return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT); };
  auto sent = move(out_, sent_, peer, send);
  if (!sent) return sent;
  const auto receive = [fd](Bytes bytes) { return ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT); };
  auto received = move(in_, received_, peer, receive);
  if (!received) return received;
  return *sent && *received;
}

short Exchange::wanted_events() const noexcept {
  return static_cast<short>((sent_ < out_.size() ? POLLOUT : 0) | (received_ < in_.size() ? POLLIN : 0));
}

}  // namespace tutti::verbs
