// RDMA over InfiniBand and RoCE by libibverbs, on one or several ports.
#pragma once

#include <memory>
#include <mutex>

#include "transports/tcp/tcp_transport.h"
#include "transports/verbs/verbs_endpoint.h"

namespace tutti::verbs {

class VerbsTransport final : public Transport {
 public:
  VerbsTransport(const TransportOptions& options, const Tuning& tuning, const Result<Library>& library,
                 const Lifetimes& lifetimes);

  [[nodiscard]] std::string_view name() const override { return "verbs"; }
  Status probe() override;
  [[nodiscard]] std::string domain() const override { return "verbs " + tcp_.domain(); }
  Result<std::vector<std::byte>> listen() override;
  [[nodiscard]] std::string uses() const override;
  Status reaches(Rank peer, ConstBytes peer_address) override;
  Result<std::unique_ptr<Endpoint>> connect(const ConnectRequest& request) override;

 private:
  // The ports in use and the devices that they belong to.
  struct Rails {
    std::vector<RailPort> ports;
    std::vector<PortSummary> summaries;
    std::shared_ptr<Registrations> registrations;
  };
  Status open();
  Result<Rails> find() const;
  [[nodiscard]] Status check_locked_memory(Device& device) const;
  [[nodiscard]] bool shares_receives() const noexcept { return options_.ranks > tuning_.few_ranks; }
  [[nodiscard]] Status prepare();
  Result<Pairing> pair(Rank peer, const VerbsAddress& theirs);

  TransportOptions options_;
  Tuning tuning_;
  const Result<Library>& library_;
  const Lifetimes& lifetimes_;
  TcpTransport tcp_;
  std::shared_ptr<std::atomic<TimePoint>> hurried_until_ = std::make_shared<std::atomic<TimePoint>>(TimePoint{});
  mutable std::mutex mutex_;  // guards what follows
  std::unique_ptr<Result<Rails>> rails_;
};

// Those of memory of tutti::allocate().
[[nodiscard]] const Lifetimes& segment_lifetimes();

}  // namespace tutti::verbs

namespace tutti {

[[nodiscard]] std::unique_ptr<Transport> make_verbs(const TransportOptions& options);

}  // namespace tutti
