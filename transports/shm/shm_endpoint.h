// One connection over shared memory.
#pragma once

#include <optional>

#include "core/clock.h"
#include "core/fifo.h"
#include "transports/shm/hub.h"
#include "transports/shm/lane.h"

namespace tutti::shm {

class ShmEndpoint final : public Endpoint {
 public:
  // `socket_name`: where the peer listens; used when this side is the one that connects.
  ShmEndpoint(std::shared_ptr<Hub> hub, ConnectRequest request, std::string socket_name, Region lane,
              std::shared_ptr<ShmBoard> board);
  ~ShmEndpoint() override { close(); }
  ShmEndpoint(const ShmEndpoint&) = delete;
  ShmEndpoint& operator=(const ShmEndpoint&) = delete;

  Status register_memory(Bytes, MemoryKind) override { return {}; }
  bool tune(const LinkTuning& tuning) noexcept override {
    outbox_.tune(tuning);
    inbox_.tune(tuning);
    return true;
  }
  Result<bool> post_send(const Signature& signature, const Source& source) override;
  Result<bool> post_recv(const Signature& expected, const Sink& sink) override;
  [[nodiscard]] Arrival next_arrival() noexcept override {
    if (stage_ != Stage::open) return Arrival::unknown;
    if (recvs_.empty()) return inbox_.has_next() ? Arrival::there : Arrival::not_yet;
    return recvs_.front().stage == Incoming::Stage::awaited && !inbox_.has_next() ? Arrival::not_yet : Arrival::unknown;
  }
  Result<Progress> poll() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override;
  [[nodiscard]] Board* board() noexcept override { return board_.get(); }
  void begin_close() override;
  void close() override;
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  enum class Stage : std::uint8_t { dialing, authenticating, waiting_for_caller, handing_over, open, ended };

  // Bringing the connection up: each returns whether it got to the next stage.
  Result<bool> come_up();
  Result<bool> next_stage();
  Result<bool> dial();
  Result<bool> authenticate();
  Result<bool> wait_for_caller();
  Status hand_over();
  Result<bool> take_over();

  Result<Progress> poll_slowly();
  Status move(Progress& progress);
  bool peer_has_gone();
  void wait_for_writer();
  // The side of the lower rank creates the cells.
  [[nodiscard]] bool creates_cells() const noexcept { return request_.me < request_.peer; }
  Error fail(Error error);
  Error ended() const;

  Stage stage_;
  bool gone_ = false;  // the peer has hung up
  std::uint32_t idle_polls_ = 0;
  Taken taken_;
  Cells cells_;
  Handover handover_;
  Outbox outbox_;
  Inbox inbox_;
  Fifo<Outgoing> sends_;
  Fifo<Incoming> recvs_;
  std::uint32_t waits_ = 0;
  TimePoint writer_deadline_;  // since begin_close()

  std::shared_ptr<Hub> hub_;
  std::shared_ptr<PeerArena> peer_arena_;
  ConnectRequest request_;
  std::string socket_name_;
  Region lane_;
  std::shared_ptr<ShmBoard> board_;
  CellMemory cell_memory_;
  Lanes lanes_;
  Fd socket_;
  std::optional<Handshake> handshake_;
  std::optional<Error> error_;
};

}  // namespace tutti::shm
