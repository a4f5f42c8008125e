// The receiving half of a TCP connection. Bytes of a message are read only when its sink is posted; until then they stay in
// the kernel's buffers, which is what holds back a sender that is ahead.
#pragma once

#include <memory>

#include "transports/tcp/lanes.h"

namespace tutti {

class Receiver {
 public:
  explicit Receiver(Rank peer) : peer_(peer) {}

  // The connection is up. The sockets stay the caller's.
  void start(std::span<const int> sockets) { lanes_.start(sockets); }
  void post(const Signature& expected, const Sink& sink);
  // Reads as much as has arrived, up to a bound that leaves room for the other direction.
  Result<Pumped> pump();

  [[nodiscard]] bool idle() const noexcept { return lanes_.idle(); }
  // Whether bytes on this socket would be read.
  [[nodiscard]] bool wants(std::size_t socket) const noexcept;
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  struct Message {
    MessageHeader header;  // as it arrives
    Signature expected;
    Sink sink;
    std::size_t left;
    std::size_t ordered = 0;  // for a consumer: bytes of data read so far, in order
    [[nodiscard]] std::size_t bytes() const noexcept { return sink.size; }
  };
  struct FreeStaging {
    void operator()(std::byte* memory) const noexcept;
  };

  [[nodiscard]] bool is_turn(const Message& message, std::size_t socket, bool oldest) const noexcept;
  [[nodiscard]] bool ends_large_share(const Message& message, std::size_t socket, std::size_t done) const noexcept;
  Result<bool> pull(std::size_t socket, std::size_t& budget);
  std::size_t aim(const Message& message, std::size_t socket, std::size_t done, std::span<iovec> pieces);
  Status take(Message& message, std::size_t socket, std::size_t done, std::size_t bytes);
  void show(Message& message, std::size_t bytes);

  Rank peer_;
  Lanes<Message> lanes_;
  std::unique_ptr<std::byte, FreeStaging> staging_;  // made for the first consumer
  std::size_t held_ = 0;                             // bytes at its front that make no whole piece yet
};

}  // namespace tutti
