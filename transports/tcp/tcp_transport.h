// TCP over one chosen interface, IPv4 or IPv6, with several sockets per connection.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "transports/tcp/acceptor.h"
#include "transports/tcp/interfaces.h"
#include "transports/tcp/socket.h"
#include "tutti/transport.h"

namespace tutti {

class TcpTransport final : public Transport {
 public:
  explicit TcpTransport(const TransportOptions& options, const TcpTuning& tuning = {});

  [[nodiscard]] std::string_view name() const override { return "tcp"; }
  Status probe() override;
  [[nodiscard]] std::string domain() const override;  // "tcp4", "tcp6"; "tcp-none" without a usable interface
  Result<std::vector<std::byte>> listen() override;
  [[nodiscard]] std::string uses() const override { return local_ ? local_->to_string() : std::string(); }
  Status reaches(Rank peer, ConstBytes peer_address) override;
  Result<std::unique_ptr<Endpoint>> connect(const ConnectRequest& request) override;
  // What becomes a connection of `sockets` sockets where this end decides, for transports that need one beside their own.
  Result<std::unique_ptr<Opening>> open(const ConnectRequest& request, std::size_t sockets);

 private:
  Result<std::shared_ptr<Acceptor>> acceptor();
  // The interface's address and the peer's are of one kind.
  Result<TcpAddress> peer_at(Rank peer, ConstBytes address);

  TransportOptions options_;
  TcpTuning tuning_;
  Result<InterfaceAddress> local_;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<Acceptor> acceptor_;
};

[[nodiscard]] std::unique_ptr<Transport> make_tcp(const TransportOptions& options);

}  // namespace tutti
