// The connecting side: opens the sockets of one connection and proves on each who we are.
#pragma once

#include <optional>
#include <string>

#include "core/handshake.h"
#include "transports/tcp/interfaces.h"
#include "transports/tcp/opening.h"
#include "transports/tcp/socket.h"
#include "transports/tcp/wire.h"

namespace tutti {

class Connector final : public Opening {
 public:
  Connector(const InterfaceAddress& local, const TcpAddress& remote, const Secret& secret, const TcpTuning& tuning,
            const ConnectorHello& hello);
  Result<Progress> advance() override;
  void begin_wait(WaitSet& set) override;
  void end_wait() override {}

 private:
  struct Attempt {
    Fd fd;
    std::optional<Handshake> handshake;
    bool up = false;
    int retries = 3;
  };
  Status start(std::uint16_t socket);
  Result<bool> advance(std::uint16_t socket);  // whether it moved
  Status greet(ConstBytes hello);
  [[nodiscard]] Error failed(const Error& cause) const;

  InterfaceAddress local_;
  TcpAddress remote_;
  Secret secret_;
  TcpTuning tuning_;
  ConnectorHello hello_;
  std::vector<Attempt> attempts_;
};

// `remote` as seen from this host: a link-local address is reached through the chosen interface.
[[nodiscard]] inline SocketAddress seen_from(const InterfaceAddress& local, const SocketAddress& remote) {
  return remote.is_link_local() ? remote.with_scope(local.address.scope()) : remote;
}

}  // namespace tutti
