// The sending half of a TCP connection: posted messages go out in order, each over the sockets its size asks for.
#pragma once

#include "transports/tcp/lanes.h"

namespace tutti {

class Sender {
 public:
  explicit Sender(Rank peer) : peer_(peer) {}

  // The connection is up. The sockets stay the caller's.
  void start(std::span<const int> sockets) { lanes_.start(sockets); }
  void post(const Signature& signature, ConstBytes data);
  // Writes as much as the kernel takes, up to a bound that leaves room for the other direction.
  Result<Pumped> pump();

  [[nodiscard]] bool idle() const noexcept { return lanes_.idle(); }
  // Whether this socket has something to write.
  [[nodiscard]] bool wants(std::size_t socket) const noexcept;
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return lanes_.memory_bytes(); }

 private:
  struct Message {
    MessageHeader header;
    ConstBytes data;
    std::size_t left;
    [[nodiscard]] std::size_t bytes() const noexcept { return data.size(); }
  };
  Result<std::size_t> push(std::size_t socket);

  Rank peer_;
  Lanes<Message> lanes_;
};

}  // namespace tutti
