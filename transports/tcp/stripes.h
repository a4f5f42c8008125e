// How the bytes of a message lie on the sockets of a connection: small messages on socket 0, large ones cut into segments of
// fixed size that take the sockets in turn. Both ends compute it from the size alone, so segments need no headers.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <span>

namespace tutti {

class Stripes {
 public:
  static constexpr std::size_t kSegment = 128u << 10;
  static constexpr std::size_t kStripeAbove = 256u << 10;

  Stripes(std::size_t bytes, std::size_t sockets) noexcept : bytes_(bytes), sockets_(bytes > kStripeAbove ? sockets : 1) {}

  // Bytes of the message that travel on this socket.
  [[nodiscard]] std::size_t share(std::size_t socket) const noexcept {
    if (sockets_ == 1) return socket == 0 ? bytes_ : 0;
    const std::size_t segments = (bytes_ + kSegment - 1) / kSegment;
    if (socket >= sockets_ || socket >= segments) return 0;
    const std::size_t mine = (segments - socket + sockets_ - 1) / sockets_;
    const bool has_last = (segments - 1) % sockets_ == socket;
    return mine * kSegment - (has_last ? segments * kSegment - bytes_ : 0);
  }

  struct Piece {
    std::size_t offset, size;
  };
  // The contiguous part of the message that follows after `done` bytes of this socket's share; done < share(socket).
  [[nodiscard]] Piece piece(std::size_t socket, std::size_t done) const noexcept {
    if (sockets_ == 1) return {done, bytes_ - done};
    const std::size_t within = done % kSegment;
    const std::size_t offset = (done / kSegment * sockets_ + socket) * kSegment + within;
    return {offset, std::min(kSegment - within, bytes_ - offset)};
  }

  // The socket that carries the byte at `offset`.
  [[nodiscard]] std::size_t socket_of(std::size_t offset) const noexcept { return offset / kSegment % sockets_; }

  // Writes the next pieces of a share into `out` and returns how many there are.
  std::size_t gather(std::size_t socket, std::size_t done, std::byte* message, std::span<iovec> out) const noexcept {
    const std::size_t end = share(socket);
    std::size_t count = 0;
    while (done < end && count < out.size()) {
      const Piece next = piece(socket, done);
      out[count++] = {message + next.offset, next.size};
      done += next.size;
    }
    return count;
  }

 private:
  std::size_t bytes_, sockets_;
};

}  // namespace tutti
