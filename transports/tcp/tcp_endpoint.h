// A connection over TCP: comes up, then sends and receives.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transports/tcp/opening.h"
#include "transports/tcp/receiver.h"
#include "transports/tcp/sender.h"

namespace tutti {

class TcpEndpoint final : public Endpoint {
 public:
  TcpEndpoint(Rank peer, std::unique_ptr<Opening> opening)
      : peer_(peer), opening_(std::move(opening)), sender_(peer), receiver_(peer) {}
  ~TcpEndpoint() override = default;

  Status register_memory(Bytes, MemoryKind) override { return {}; }  // the kernel copies anyway
  Result<bool> post_send(const Signature& signature, const Source& source) override;
  Result<bool> post_recv(const Signature& expected, const Sink& sink) override;
  Result<Progress> poll() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override;
  void close() override;
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  Result<bool> come_up();
  void acknowledge_on_arrival(bool on);
  Error fail(Error error);
  [[nodiscard]] bool up() const noexcept { return !sockets_.empty(); }

  Rank peer_;
  std::unique_ptr<Opening> opening_;  // until the connection is up
  std::vector<Fd> sockets_;
  Sender sender_;
  Receiver receiver_;
  bool large_ = false;                 // a large message is among those awaited
  bool on_arrival_ = false;            // what the sockets have been told
  std::optional<Error> send_failure_;  // told when nothing more can be received
  std::optional<Error> failure_;
};

}  // namespace tutti
