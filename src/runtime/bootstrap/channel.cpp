#include "bootstrap/channel.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "bootstrap/sockets.h"
#include "bootstrap/wire.h"

namespace tutti {
namespace {

constexpr std::size_t kLengthSize = 4;
constexpr std::size_t kReadSize = 16u << 10;
// More frames than this stay with the system, and then with the peer, until their reader has taken some.
constexpr std::size_t kMaxWaiting = 4096;

}  // namespace

Channel::Channel(Fd fd, Handshake::Role role, const Secret& secret, std::vector<std::byte> hello, std::size_t max_frame)
    : fd_(std::move(fd)),
      handshake_(fd_.get(), role, secret, std::move(hello)),
      max_frame_(max_frame),
      connecting_(role == Handshake::Role::connects) {}

Status Channel::progress() {
  if (connecting_) {
    if (auto s = finish_connecting(); !s || connecting_) return s;
  }
  if (!open_) {
    auto done = handshake_.advance();
    if (!done) return std::move(done.error());
    open_ = *done;
    if (!open_) return {};
  }
  flush();
  return ended_ ? Status{} : fill();
}

Status Channel::finish_connecting() {
  pollfd writable{fd_.get(), POLLOUT, 0};
  if (::poll(&writable, 1, 0) <= 0) return {};
  if (const int error = connect_error(fd_.get()); error != 0)
    return Error(Code::peer_lost, system_error(error, "connecting").message());
  connecting_ = false;
  return {};
}

void Channel::send(ConstBytes frame) {
  const auto prefix = Writer().value(static_cast<std::uint32_t>(frame.size())).take();
  out_.insert(out_.end(), prefix.begin(), prefix.end());
  out_.insert(out_.end(), frame.begin(), frame.end());
}

void Channel::flush() {
  if (!open_) return;
  while (!flushed()) {
    const ssize_t n = ::send(fd_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent_ += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      break;  // nobody listens any more; why is told by what can still be read
    }
  }
  out_.clear();
  sent_ = 0;
}

Status Channel::fill() {
  std::array<std::byte, kReadSize> piece;
  while (!full()) {
    const ssize_t n = recv(fd_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (n > 0) {
      in_.insert(in_.end(), piece.begin(), piece.begin() + n);
      if (auto s = cut_frames(); !s) return s;
    } else if (n == 0 || errno != EINTR) {
      ended_ = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
      return {};
    }
  }
  return {};
}

Status Channel::cut_frames() {
  std::size_t at = 0;
  while (in_.size() - at >= kLengthSize) {
    const auto length = Reader(ConstBytes(in_).subspan(at, kLengthSize)).value<std::uint32_t>();
    if (length > max_frame_)
      return Error(Code::protocol, fmt::format("a control message announces {} bytes, allowed are {}", length, max_frame_));
    if (in_.size() - at - kLengthSize < length) break;
    const auto begin = in_.begin() + static_cast<std::ptrdiff_t>(at + kLengthSize);
    frames_.emplace_back(begin, begin + length);
    at += kLengthSize + length;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at));
  return {};
}

std::optional<std::vector<std::byte>> Channel::receive() {
  if (frames_.empty()) return std::nullopt;
  std::vector<std::byte> frame = std::move(frames_.front());
  frames_.pop_front();
  return frame;
}

pollfd Channel::wanted() const noexcept {
  if (connecting_) return {fd_.get(), POLLOUT, 0};
  if (!open_) return {fd_.get(), handshake_.wanted_events(), 0};
  const int events = (ended_ || full() ? 0 : POLLIN) | (flushed() ? 0 : POLLOUT);
  // An ended connection would report its end for ever: poll() ignores negative descriptors.
  return {events == 0 ? -1 : fd_.get(), static_cast<short>(events), 0};
}

bool Channel::full() const noexcept { return frames_.size() >= kMaxWaiting; }

void Channel::finish_sending() noexcept { (void)shutdown(fd_.get(), SHUT_WR); }

}  // namespace tutti
