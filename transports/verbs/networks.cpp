#include "transports/verbs/networks.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "core/fd.h"
#include "transports/tcp/socket_address.h"

namespace tutti::verbs {
namespace {

constexpr std::array<std::uint8_t, 12> kIpv4Mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kMappedBits = 96;

SocketAddress address_of(const ibv_gid& gid) {
  std::array<std::byte, 16> bytes{};
  const bool ipv4 = is_ipv4(gid);
  std::memcpy(bytes.data(), gid.raw + (ipv4 ? kIpv4Mapped.size() : 0), ipv4 ? 4 : 16);
  return SocketAddress::from_bytes(ipv4 ? AF_INET : AF_INET6, bytes, 0);
}

struct Interface {
  std::string name;
  int bits = 0;  // of its network's prefix
};

int ones(const sockaddr* mask, int family) {
  const std::byte* at = reinterpret_cast<const std::byte*>(mask) +
                        (family == AF_INET ? offsetof(sockaddr_in, sin_addr) : offsetof(sockaddr_in6, sin6_addr));
  int bits = 0;
  for (const std::byte byte : std::span(at, family == AF_INET ? 4 : 16)) bits += std::popcount(std::to_integer<unsigned>(byte));
  return bits;
}

// No name: none has this address.
Interface interface_of(const SocketAddress& address) {
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list(raw, freeifaddrs);
  for (const ifaddrs* each = raw; each != nullptr; each = each->ifa_next)
    if (each->ifa_addr != nullptr && each->ifa_netmask != nullptr && each->ifa_addr->sa_family == address.family() &&
        SocketAddress(each->ifa_addr).bytes() == address.bytes())
      return {each->ifa_name, ones(each->ifa_netmask, address.family())};
  return {};
}

}  // namespace

bool is_ipv4(const ibv_gid& gid) { return std::equal(kIpv4Mapped.begin(), kIpv4Mapped.end(), gid.raw); }
bool is_link_local(const ibv_gid& gid) { return gid.raw[0] == 0xfe && (gid.raw[1] & 0xc0) == 0x80; }

int network_bits(const ibv_gid& gid, bool ethernet) {
  if (!ethernet || is_link_local(gid)) return 64;
  const Interface found = interface_of(address_of(gid));
  return found.name.empty() ? 0 : found.bits + (is_ipv4(gid) ? kMappedBits : 0);
}

ibv_gid network_of(const ibv_gid& gid, int bits) {
  ibv_gid network{};
  for (int i = 0; i < 16; ++i) {
    const int left = std::clamp(bits - 8 * i, 0, 8);
    network.raw[i] = static_cast<std::uint8_t>(gid.raw[i] & (0xff00U >> left));
  }
  return network;
}

Status check_route(const ibv_gid& from, const ibv_gid& to) {
  const SocketAddress here = address_of(from), there = address_of(to);
  const auto refused = [&] {
    return system_error(errno, fmt::format("looking for a way from {} to {}", here.host(), there.host()));
  };
  const Fd socket(::socket(here.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return refused();
  // Kernels before 5.7 want privileges for it: they say less.
  const std::string interface = interface_of(here).name;
  (void)setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(), static_cast<socklen_t>(interface.size()));
  if (bind(socket.get(), here.get(), here.size()) != 0) return refused();
  if (connect(socket.get(), there.with_port(4791).get(), there.size()) != 0) return refused();
  return {};
}

}  // namespace tutti::verbs
