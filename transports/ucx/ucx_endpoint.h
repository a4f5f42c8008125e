// A connection over UCX beside one over TCP, on which both sides tell where their workers are, that they leave, and, by its end, that
// they have died: UCX may notice that late, or not before it sends.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "transports/ucx/receiver.h"
#include "transports/ucx/sender.h"

namespace tutti::ucx {

class UcxEndpoint final : public Endpoint {
 public:
  UcxEndpoint(Rank peer, std::shared_ptr<Worker> worker, std::unique_ptr<Endpoint> control);
  ~UcxEndpoint() override { close(); }

  Status register_memory(Bytes, MemoryKind) override { return {}; }  // UCX does so itself where it pays
  Result<bool> post_send(const Signature& signature, const Source& source) override;
  Result<bool> post_recv(const Signature& expected, const Sink& sink) override;
  Result<Progress> poll() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override;
  void close() override;
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  enum class Stage { start, greeting, address, up, closed };

  Status introduce();
  Status come_up(bool& moved);
  Status advance(bool& moved);
  Status connect();
  Status heed_control();
  Result<bool> pump();
  [[nodiscard]] bool waits_in_vain(bool moved);
  [[nodiscard]] bool idle() const noexcept { return sender_->idle() && receiver_->idle(); }
  void lose(Error reason);
  Error fail(Error error);
  void say_goodbye();
  void disconnect(TimePoint end);
  static void connection_failed(void* self, ucp_ep_h connection, ucs_status_t status);

  Rank peer_;
  std::shared_ptr<Worker> worker_;
  std::unique_ptr<Endpoint> control_;
  std::optional<Sender> sender_;
  std::optional<Receiver> receiver_;
  Stage stage_ = Stage::start;

  Greeting mine_, theirs_;
  std::vector<std::byte> address_;  // of the peer's worker
  ucp_ep_h connection_ = nullptr;
  void* flush_ = nullptr;  // a request of close()

  std::uint32_t sends_ = 0, recvs_ = 0;  // finished, and not yet told
  unsigned quiet_ = 0;                   // polls since the last look at control_
  Goodbye goodbye_;                      // the peer's
  bool left_ = false;                    // it has come
  std::optional<Error> lost_;            // why nothing more will come, once what is under way has arrived
  bool by_control_ = false;              // that is known for certain
  TimePoint lost_at_;
  std::optional<Error> failure_;
};

}  // namespace tutti::ucx
