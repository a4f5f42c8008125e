// The ports of this host's RDMA devices, and which of them to use. One syntax, like that of network interfaces:
//
//   mlx5_0,mlx5_2       ports of devices that are called so or begin so
//   mlx5_0:1            port 1 of these
//   =mlx5_1             exactly mlx5_1
//   ^mlx5_3             anything but these; `^=mlx5_3` excludes that one only
//
// A leading `^` or `=` holds for the whole list, elsewhere for its item. Empty: all. Ports that are down are left out.
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/result.h"

namespace tutti::verbs {

inline constexpr std::size_t kMostRails = 8;

// Ports of the same kind can be joined.
enum class Fabric : std::uint8_t { none, infiniband, roce_ipv4, roce_ipv6, roce_v1 };
[[nodiscard]] std::string_view kind(Fabric fabric) noexcept;

struct Port {
  std::string device;
  std::string pci;  // "0000:3b:00.0"; empty: it is no PCI device
  std::uint8_t number = 1;
  ibv_port_state state = IBV_PORT_ACTIVE;
  bool ethernet = true;  // the link layer; else InfiniBand
  std::uint16_t lid = 0;
  ibv_mtu mtu = IBV_MTU_1024;  // active
  ibv_mtu most_mtu = IBV_MTU_4096;
  std::uint32_t megabits = 0;    // a second
  std::uint32_t most_bytes = 0;  // of one message on the wire
  std::vector<ibv_gid_entry> gids;
  ibv_gid_entry gid{};  // the one that is used
  Fabric fabric = Fabric::none;
  bool near = true;        // to this rank; or none is, or nobody knows
  std::size_t opened = 0;  // which of the devices given to whoever has found it

  [[nodiscard]] std::string to_string() const;  // "port 1 of mlx5_0"
};

// "fe80::1"
[[nodiscard]] std::string to_string(const ibv_gid& gid);
[[nodiscard]] std::uint32_t megabits(const ibv_port_attr& attributes) noexcept;
[[nodiscard]] constexpr int bytes(ibv_mtu mtu) noexcept { return 128 << mtu; }
[[nodiscard]] std::string_view name(ibv_port_state state) noexcept;  // "down"

// The active ports that `spec` asks for, as positions in `ports`. Errors (Code::environment, or
// Code::invalid_argument for a malformed spec) show what there is.
[[nodiscard]] Result<std::vector<std::size_t>> choose_ports(std::string_view spec, std::span<const Port> ports);

// Whether it is well formed; Code::invalid_argument says where it is not.
[[nodiscard]] Status check_spec(std::string_view spec);
// Items of a well-formed spec that no port matches, active or not.
[[nodiscard]] std::vector<std::string> unmatched(std::string_view spec, std::span<const Port> ports);

// Sets the port's gid and fabric: entry `index` of its table, or, where that is negative, the best one: RoCE v2 with an IPv4
// address before one with an IPv6 address before a link-local one before RoCE v1; on InfiniBand the first.
[[nodiscard]] Status choose_gid(Port& port, int index);

// What both leave of `ports`: those that are used, at most kMostRails. Where `spec` names none, what is near to this rank comes
// first: devices at one of the PCI addresses `near`.
struct UsedPorts {
  std::vector<Port> ports;      // at least one
  std::vector<Error> left_out;  // why the ports without a GID are; an error where `gid_index` asks for one
};
[[nodiscard]] Result<UsedPorts> used_ports(std::string_view spec, int gid_index, std::span<const std::string> near,
                                           std::span<const Port> ports);

}  // namespace tutti::verbs
