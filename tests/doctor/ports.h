// Ports of RDMA devices as libibverbs would tell of them.
#pragma once

#include <arpa/inet.h>

#include "trees.h"

namespace tutti::doctor::test {

inline ibv_gid_entry gid(std::uint32_t index, const char* address, ibv_gid_type type = IBV_GID_TYPE_ROCE_V2) {
  ibv_gid_entry entry{};
  entry.gid_index = index;
  entry.gid_type = type;
  EXPECT_EQ(inet_pton(AF_INET6, address, entry.gid.raw), 1) << address;
  return entry;
}

// Active, RoCE v2 over IPv4, 25 Gbit/s.
inline verbs::Port roce(const std::string& device, const char* address = "::ffff:10.0.0.1") {
  verbs::Port port;
  port.device = device;
  port.mtu = IBV_MTU_4096;
  port.megabits = 25000;
  port.gids = {gid(0, "fe80::1"), gid(1, address)};
  return port;
}
inline verbs::Port infiniband(const std::string& device, ibv_port_state state = IBV_PORT_ACTIVE) {
  verbs::Port port = roce(device);
  port.ethernet = false;
  port.state = state;
  port.megabits = 200000;
  port.gids = {gid(0, "fe80::2:c903:1:1", IBV_GID_TYPE_IB)};
  return port;
}

// A host whose devices libibverbs shows.
inline void has_ports(Tree& tree, std::vector<verbs::Port> ports) {
  for (const verbs::Port& port : ports) tree.folder("sys/class/infiniband/" + port.device);
  tree.system.rdma = {.none = "", .ports = std::move(ports)};
}

}  // namespace tutti::doctor::test
