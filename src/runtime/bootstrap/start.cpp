#include "bootstrap/start.h"

#include <fmt/format.h>

#include "core/handshake.h"
#include "core/log.h"
#include "transports/tcp/interfaces.h"

namespace tutti {

Result<Listener> open_listener(const SocketAddress& at) {
  auto fd = listen_at(at);
  if (!fd) return std::move(fd.error());
  auto address = SocketAddress::of_socket(fd->get());
  if (!address) return std::move(address.error());
  return Listener{std::move(*fd), *address};
}

Result<SocketAddress> chosen_address(const Config& config) {
  auto interface = choose_interface(config.text(Var::interface));
  if (!interface) return interface.because("choosing the interface for control connections (TUTTI_INTERFACE)");
  return interface->address;
}

Result<SocketAddress> reachable(const SocketAddress& address, const Config& config) {
  if (!address.is_link_local()) return address;
  auto mine = chosen_address(config);
  if (!mine) return mine;
  return address.with_scope(mine->scope());
}

Duration timeout_of(const Config& config) { return from_seconds(config.seconds(Var::timeout)); }

Result<Session> start_alone(std::string launcher) {
  Session session;
  session.secret = random_secret();
  session.launcher = std::move(launcher);
  auto overlay = Overlay::connect({});
  if (!overlay) return std::move(overlay.error());
  session.overlay = std::move(*overlay);
  return session;
}

Status connect_overlay(Session& session, Listener listener, std::vector<SocketAddress> next, const Config& config) {
  session.control_address = listener.address.with_port(0);
  auto overlay = Overlay::connect({session.rank, session.size, session.secret, session.job, std::move(listener.fd),
                                   std::move(next), timeout_of(config), session.stop});
  if (!overlay) return std::move(overlay.error());
  session.overlay = std::move(*overlay);
  log(LogLevel::info, fmt::format("rank {} of {} connected, started by {}", session.rank, session.size, session.launcher));
  return {};
}

}  // namespace tutti
