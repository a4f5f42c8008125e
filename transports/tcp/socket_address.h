// An IPv4 or IPv6 address with a port: what the socket calls want, with names for people.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "tutti/result.h"

namespace tutti {

class SocketAddress {
 public:
  SocketAddress() = default;
  // Copies an AF_INET or AF_INET6 address; anything else gives an empty one.
  explicit SocketAddress(const sockaddr* address);
  // Numbers only, no name service: "10.0.0.1", "fe80::1%eth0".
  [[nodiscard]] static Result<SocketAddress> parse(std::string_view host, std::uint16_t port = 0);
  // `bytes` in network order: 4 used for AF_INET, 16 for AF_INET6.
  [[nodiscard]] static SocketAddress from_bytes(int family, const std::array<std::byte, 16>& bytes, std::uint16_t port);
  // The address a socket is bound to.
  [[nodiscard]] static Result<SocketAddress> of_socket(int fd);

  [[nodiscard]] int family() const noexcept { return storage_.ss_family; }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t size() const noexcept;
  [[nodiscard]] std::array<std::byte, 16> bytes() const noexcept;  // unused ones are 0
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] bool is_link_local() const noexcept;
  // Which interface a link-local IPv6 address belongs to; 0 where that has no meaning.
  [[nodiscard]] std::uint32_t scope() const noexcept;

  [[nodiscard]] SocketAddress with_port(std::uint16_t port) const;
  // A link-local address of a peer is reached through one of this host's own interfaces.
  [[nodiscard]] SocketAddress with_scope(std::uint32_t scope) const;
  // Whether the first `prefix_bits` bits are those of `network`.
  [[nodiscard]] bool in_network(const SocketAddress& network, int prefix_bits) const noexcept;

  [[nodiscard]] std::string host() const;       // "10.0.0.1", "fe80::1%eth0"
  [[nodiscard]] std::string to_string() const;  // "10.0.0.1:80", "[::1]:80"

 private:
  sockaddr_storage storage_{};
};

}  // namespace tutti
