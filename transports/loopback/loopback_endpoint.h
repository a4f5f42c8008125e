// One end of a loopback link.
#pragma once

#include <optional>

#include "transports/loopback/link.h"
#include "transports/loopback/loopback.h"

namespace tutti::loopback {

class LoopbackEndpoint final : public Endpoint {
 public:
  // `link` is null when the connection was refused with `refusal`.
  LoopbackEndpoint(const ConnectRequest& request, const LoopbackFaults& faults, std::shared_ptr<Bell> bell,
                   std::shared_ptr<Link> link, std::optional<Error> refusal);
  ~LoopbackEndpoint() override { close(); }
  LoopbackEndpoint(const LoopbackEndpoint&) = delete;
  LoopbackEndpoint& operator=(const LoopbackEndpoint&) = delete;

  Status register_memory(Bytes, MemoryKind) override { return {}; }
  Result<bool> post_send(const Signature& signature, const Source& source) override;
  Result<bool> post_recv(const Signature& expected, const Sink& sink) override;
  Result<Progress> poll() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override;
  void close() override;
  [[nodiscard]] std::size_t memory_bytes() const override;

 private:
  struct Send {
    Signature signature;
    ConstBytes data;
  };
  struct Recv {
    Signature expected;
    Sink sink;
    std::size_t arrived = 0;
  };

  [[nodiscard]] Lane& out() const { return link_->from[static_cast<std::size_t>(side_)]; }
  [[nodiscard]] Lane& in() const { return link_->from[static_cast<std::size_t>(1 - side_)]; }
  [[nodiscard]] Status check_alive() const;
  Status fail(Error error);
  void die();
  void wake_peer();
  // All three with the link locked.
  bool admit_sends(Progress& progress);
  Status take_messages(bool is_poll, Progress& progress);
  Result<bool> take_piece(Message& message, Recv& recv);

  Rank peer_;
  int side_;
  LoopbackFaults faults_;
  std::shared_ptr<Bell> bell_;
  std::shared_ptr<Link> link_;
  std::optional<Error> error_;
  std::deque<Send> waiting_;     // not yet on the way
  std::uint64_t under_way_ = 0;  // rendezvous: on the way, not finished
  std::uint64_t received_seen_ = 0;
  std::uint64_t sent_ = 0;
  std::deque<Recv> recvs_;
};

}  // namespace tutti::loopback
