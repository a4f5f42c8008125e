// One endpoint with the steps that are waiting for it, oldest first: completions are matched to steps by order alone.
#pragma once

#include <memory>

#include "core/fifo.h"
#include "tutti/transport.h"

namespace tutti {

class Execution;

class Stream {
 public:
  Stream(std::unique_ptr<Endpoint> endpoint, Rank peer) : endpoint_(std::move(endpoint)), peer_(peer) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { endpoint_->close(); }

  [[nodiscard]] Rank peer() const noexcept { return peer_; }
  [[nodiscard]] Endpoint& endpoint() noexcept { return *endpoint_; }
  [[nodiscard]] bool pending() const noexcept { return !sends_.empty() || !recvs_.empty(); }
  [[nodiscard]] bool receiving() const noexcept { return !recvs_.empty(); }
  [[nodiscard]] bool sending() const noexcept { return !sends_.empty(); }

  // true: done at once. false: `step` of `execution` is told when it is.
  Result<bool> send(const Signature& signature, const Source& source, Execution& execution, std::uint32_t step) {
    auto done = endpoint_->post_send(signature, source);
    if (done && !*done) sends_.push({&execution, step});
    return done;
  }
  Result<bool> recv(const Signature& signature, const Sink& sink, Execution& execution, std::uint32_t step) {
    auto done = endpoint_->post_recv(signature, sink);
    if (done && !*done) recvs_.push({&execution, step});
    return done;
  }
  // Moves bytes and tells the executions whose steps have finished. true: something moved.
  Result<bool> poll();

 private:
  struct Posted {
    Execution* execution;
    std::uint32_t step;
  };
  static void complete(Fifo<Posted>& posted, std::uint32_t count);

  std::unique_ptr<Endpoint> endpoint_;
  Rank peer_;
  Fifo<Posted> sends_, recvs_;
};

}  // namespace tutti
