// One connection over RDMA: comes up over an authenticated TCP connection, which stays open to tell when the peer goes.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "core/clock.h"
#include "transports/tcp/opening.h"
#include "transports/verbs/exchange.h"
#include "transports/verbs/inbox.h"

namespace tutti::verbs {

// Where a rail begins.
struct RailPort {
  std::shared_ptr<Device> device;
  Port port;
  std::size_t place = 0;  // of the device among those of the registrations
};

struct Setup {
  Rank peer = kNoRank;
  std::unique_ptr<Opening> opening;
  std::vector<RailPort> rails;
  std::vector<std::uint32_t> speeds;  // of the rails
  std::shared_ptr<Registrations> registrations;
  PathOptions path;
  Tuning tuning;
  // Of the transport: a connection has just waited in vain for what it sent to arrive, so that until then others wait less.
  std::shared_ptr<std::atomic<TimePoint>> hurried_until;
};

class VerbsEndpoint final : public Endpoint {
 public:
  explicit VerbsEndpoint(Setup setup);
  ~VerbsEndpoint() override { close(); }
  VerbsEndpoint(const VerbsEndpoint&) = delete;
  VerbsEndpoint& operator=(const VerbsEndpoint&) = delete;

  Status register_memory(Bytes memory, MemoryKind kind) override;
  Result<bool> post_send(const Signature& signature, const Source& source) override;
  Result<bool> post_recv(const Signature& expected, const Sink& sink) override;
  Result<Progress> poll() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override;
  void close() override;
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  enum class Stage : std::uint8_t { opening, introducing, getting_ready, open, ended };

  Result<bool> come_up();
  Result<bool> next_stage();
  Result<bool> open_socket();
  Result<bool> introduce();
  Result<bool> get_ready();

  Status move(Progress& progress);
  [[nodiscard]] bool peer_has_gone() const;
  void drain();
  Error gone() const;
  Error ended() const;
  Error fail(Error error);

  Stage stage_ = Stage::opening;
  bool opening_moved_ = false;
  bool closed_ = false;
  Rank peer_;
  Setup setup_;
  Channel channel_;
  Link link_;
  Outbox outbox_;
  Inbox inbox_;
  bool settled_ = false;  // nothing moves but by what arrives or is posted
  std::uint32_t idle_polls_ = 0;
  std::uint32_t waits_ = 0;
  Fd socket_;
  std::optional<Exchange> exchange_;
  std::vector<Registrations::Use> registered_;
  std::optional<Error> broken_;  // told when nothing more can be received
  std::optional<Error> error_;
};

}  // namespace tutti::verbs
