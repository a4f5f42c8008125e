// Messages over a connection of UCX.
#pragma once

#include <memory>
#include <optional>

#include "transports/ucx/departures.h"
#include "transports/ucx/receiver.h"
#include "transports/ucx/sender.h"

namespace tutti::ucx {

class UcxEndpoint final : public Endpoint, private Inbox {
 public:
  UcxEndpoint(Rank peer, std::shared_ptr<Worker> worker, std::unique_ptr<Endpoint> tcp, std::shared_ptr<Departures> departures);
  ~UcxEndpoint() override { close_once(); }

  Status register_memory(Bytes, MemoryKind) override { return {}; }  // UCX does so itself where it pays
  Result<bool> post_send(const Signature& signature, const Source& source) override;
  Result<bool> post_recv(const Signature& expected, const Sink& sink) override;
  Result<Progress> poll() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override;
  void close() override { close_once(); }
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  void arrive(const ucx::Arrival& arrival) override { receiver_.arrive(arrival); }
  void taken(std::uint64_t fragments) override { sender_.taken(fragments); }
  Status come_up(bool& moved);
  Result<bool> pump();
  Status look_around(bool& moved);
  [[nodiscard]] std::optional<Error> waits_in_vain(bool moved);
  [[nodiscard]] bool idle() const noexcept { return sender_.idle() && receiver_.idle(); }
  void lose(Error hearsay);
  Error fail(Error error);
  void close_once();
  bool part();
  bool disconnect(TimePoint end);

  Rank peer_;
  std::shared_ptr<Worker> worker_;  // until close()
  std::shared_ptr<Departures> departures_;
  Sender sender_;
  Receiver receiver_;
  std::uint64_t inbox_ = 0;
  std::unique_ptr<Connection> connection_;  // until close()

  std::uint32_t sends_ = 0, recvs_ = 0;  // finished, and not yet told
  unsigned quiet_ = 0;                   // polls since the last look around
  std::optional<Error> hearsay_;         // UCX's reason why nothing more will come
  std::optional<TimePoint> ending_;      // since when that, or the peer's end, is known
  std::optional<Error> failure_;
};

}  // namespace tutti::ucx
