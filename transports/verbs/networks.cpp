#include "transports/verbs/networks.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
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

// Which route leads from one address to another out of an interface.
struct RouteQuestion {
  RouteQuestion(const SocketAddress& from, const SocketAddress& to, int interface) {
    const std::size_t bytes = from.family() == AF_INET ? 4 : 16;
    body.rtm_family = static_cast<unsigned char>(from.family());
    body.rtm_src_len = body.rtm_dst_len = static_cast<unsigned char>(8 * bytes);
    body.rtm_flags = RTM_F_FIB_MATCH;
    head.nlmsg_type = RTM_GETROUTE;
    head.nlmsg_flags = NLM_F_REQUEST;
    add(RTA_SRC, from.bytes().data(), bytes);
    add(RTA_DST, to.bytes().data(), bytes);
    add(RTA_OIF, &interface, sizeof interface);
  }

  nlmsghdr head{.nlmsg_len = NLMSG_LENGTH(sizeof(rtmsg)), .nlmsg_type = 0, .nlmsg_flags = 0, .nlmsg_seq = 0, .nlmsg_pid = 0};
  rtmsg body{};
  std::array<std::byte, 3 * RTA_SPACE(16)> attributes{};

 private:
  void add(unsigned short type, const void* value, std::size_t bytes) {
    std::byte* at = attributes.data() + (head.nlmsg_len - NLMSG_LENGTH(sizeof(rtmsg)));
    const rtattr attribute{static_cast<unsigned short>(RTA_LENGTH(bytes)), type};
    std::memcpy(at, &attribute, sizeof attribute);
    std::memcpy(at + RTA_LENGTH(0), value, bytes);
    head.nlmsg_len += static_cast<std::uint32_t>(RTA_SPACE(bytes));
  }
};

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

// Asks the kernel's tables, as `ip route get fibmatch ... oif ...` does: connect() with an interface given would hold what no
// route leads to for a neighbour. Source: Linux, rtnetlink(7).
Status check_route(const ibv_gid& from, const ibv_gid& to) {
  const SocketAddress here = address_of(from), there = address_of(to);
  const auto refused = [&](int error) {
    return system_error(error, fmt::format("looking for a way from {} to {}", here.host(), there.host()));
  };
  const Interface interface = interface_of(here);
  if (interface.name.empty()) return refused(EADDRNOTAVAIL);
  const Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return refused(errno);
  const RouteQuestion question(here, there, static_cast<int>(if_nametoindex(interface.name.c_str())));
  if (send(socket.get(), &question, question.head.nlmsg_len, 0) < 0) return refused(errno);
  alignas(nlmsghdr) std::array<std::byte, 4096> answer{};
  const ssize_t size = recv(socket.get(), answer.data(), answer.size(), 0);
  if (size < 0) return refused(errno);
  const auto* head = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (!NLMSG_OK(head, static_cast<std::size_t>(size))) return refused(EPROTO);
  if (head->nlmsg_type == NLMSG_ERROR) return refused(-static_cast<const nlmsgerr*>(NLMSG_DATA(head))->error);
  const auto type = static_cast<const rtmsg*>(NLMSG_DATA(head))->rtm_type;
  return type == RTN_UNICAST || type == RTN_LOCAL ? Status{} : refused(EHOSTUNREACH);
}

}  // namespace tutti::verbs
