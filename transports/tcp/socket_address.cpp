#include "transports/tcp/socket_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace tutti {
namespace {

template <class Kind>
Kind as(const sockaddr_storage& storage) {
  Kind kind;
  std::memcpy(&kind, &storage, sizeof kind);
  return kind;
}

// "eth0" or "2" -> 2; 0 when there is no such interface.
std::uint32_t scope_of(const std::string& zone) {
  std::uint32_t index = 0;
  const auto [end, failed] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
  return failed == std::errc() && end == zone.data() + zone.size() ? index : if_nametoindex(zone.c_str());
}

}  // namespace

SocketAddress::SocketAddress(const sockaddr* address) {
  if (address == nullptr) return;
  if (address->sa_family == AF_INET) std::memcpy(&storage_, address, sizeof(sockaddr_in));
  if (address->sa_family == AF_INET6) std::memcpy(&storage_, address, sizeof(sockaddr_in6));
}

Result<SocketAddress> SocketAddress::parse(std::string_view host, std::uint16_t port) {
  const std::size_t percent = host.find('%');
  const std::string number(host.substr(0, percent));
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (percent == std::string_view::npos && inet_pton(AF_INET, number.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return SocketAddress(reinterpret_cast<const sockaddr*>(&v4));
  }
  if (inet_pton(AF_INET6, number.c_str(), &v6.sin6_addr) != 1)
    return Error(Code::invalid_argument, fmt::format("'{}' is not an IPv4 or IPv6 address (names are not looked up)", host));
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  if (percent != std::string_view::npos) {
    const std::string zone(host.substr(percent + 1));
    v6.sin6_scope_id = scope_of(zone);
    if (v6.sin6_scope_id == 0)
      return Error(Code::invalid_argument, fmt::format("'{}': this host has no interface '{}'", host, zone));
  }
  return SocketAddress(reinterpret_cast<const sockaddr*>(&v6));
}

SocketAddress SocketAddress::from_bytes(int family, const std::array<std::byte, 16>& bytes, std::uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (family == AF_INET) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data(), sizeof v4.sin_addr);
    return SocketAddress(reinterpret_cast<const sockaddr*>(&v4));
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, bytes.data(), sizeof v6.sin6_addr);
  return SocketAddress(reinterpret_cast<const sockaddr*>(&v6));
}

Result<SocketAddress> SocketAddress::of_socket(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return system_error(errno, "getsockname");
  return SocketAddress(reinterpret_cast<const sockaddr*>(&storage));
}

socklen_t SocketAddress::size() const noexcept { return family() == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }

std::array<std::byte, 16> SocketAddress::bytes() const noexcept {
  std::array<std::byte, 16> out{};
  if (family() == AF_INET) {
    const sockaddr_in v4 = as<sockaddr_in>(storage_);
    std::memcpy(out.data(), &v4.sin_addr, sizeof v4.sin_addr);
  } else if (family() == AF_INET6) {
    const sockaddr_in6 v6 = as<sockaddr_in6>(storage_);
    std::memcpy(out.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
  }
  return out;
}

std::uint16_t SocketAddress::port() const noexcept {
  // The port lies at the same place in both kinds.
  return ntohs(as<sockaddr_in>(storage_).sin_port);
}

bool SocketAddress::is_link_local() const noexcept {
  const auto address = bytes();
  if (family() == AF_INET) return address[0] == std::byte{169} && address[1] == std::byte{254};
  return family() == AF_INET6 && address[0] == std::byte{0xfe} && (address[1] & std::byte{0xc0}) == std::byte{0x80};
}

std::uint32_t SocketAddress::scope() const noexcept {
  return family() == AF_INET6 ? as<sockaddr_in6>(storage_).sin6_scope_id : 0;
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const {
  SocketAddress copy = from_bytes(family(), bytes(), port);
  return copy.with_scope(scope());
}

SocketAddress SocketAddress::with_scope(std::uint32_t scope) const {
  if (family() != AF_INET6) return *this;
  sockaddr_in6 v6 = as<sockaddr_in6>(storage_);
  v6.sin6_scope_id = scope;
  return SocketAddress(reinterpret_cast<const sockaddr*>(&v6));
}

bool SocketAddress::in_network(const SocketAddress& network, int prefix_bits) const noexcept {
  if (family() != network.family()) return false;
  const auto mine = bytes(), theirs = network.bytes();
  const auto whole = static_cast<std::size_t>(prefix_bits / 8);
  if (!std::equal(mine.begin(), mine.begin() + whole, theirs.begin())) return false;
  const int rest = prefix_bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::byte>(0xff << (8 - rest));
  return (mine[whole] & mask) == (theirs[whole] & mask);
}

std::string SocketAddress::host() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const auto address = bytes();
  if (inet_ntop(family(), address.data(), text.data(), text.size()) == nullptr) return "no address";
  if (scope() == 0) return text.data();
  std::array<char, IF_NAMESIZE> name{};
  if (if_indextoname(scope(), name.data()) == nullptr) return fmt::format("{}%{}", text.data(), scope());
  return fmt::format("{}%{}", text.data(), name.data());
}

std::string SocketAddress::to_string() const {
  return family() == AF_INET6 ? fmt::format("[{}]:{}", host(), port()) : fmt::format("{}:{}", host(), port());
}

}  // namespace tutti
