// Whatever networks and memory UCX knows, through UCX.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "transports/tcp/tcp_transport.h"
#include "transports/ucx/departures.h"

namespace tutti {

class UcxTransport final : public Transport {
 public:
  // `library`: where UCX is, asked when it is needed. A test has another.
  using Loader = const Result<ucx::Library>& (*)();
  explicit UcxTransport(const TransportOptions& options, Loader library = ucx::library);

  [[nodiscard]] std::string_view name() const override { return "ucx"; }
  Status probe() override;
  [[nodiscard]] std::string domain() const override { return "ucx-" + control_.domain(); }
  // Where connections come up, over TCP. What UCX can reach shows when they do, as it takes both sides' workers.
  Result<std::vector<std::byte>> listen() override { return control_.listen(); }
  [[nodiscard]] std::string uses() const override { return "what UCX chooses (UCX_TLS, UCX_NET_DEVICES)"; }
  Status reaches(Rank peer, ConstBytes peer_address) override { return control_.reaches(peer, peer_address); }
  Result<std::unique_ptr<Endpoint>> connect(const ConnectRequest& request) override;

 private:
  Result<std::shared_ptr<ucx::Context>> context();
  Result<std::shared_ptr<ucx::Worker>> worker(std::uint64_t stream);

  TransportOptions options_;
  Loader library_;
  TcpTransport control_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<ucx::Context> context_;
  std::map<std::uint64_t, std::weak_ptr<ucx::Worker>> workers_;  // of streams that have connections
  std::shared_ptr<ucx::Departures> departures_ = std::make_shared<ucx::Departures>();
};

[[nodiscard]] std::unique_ptr<Transport> make_ucx(const TransportOptions& options);

}  // namespace tutti
