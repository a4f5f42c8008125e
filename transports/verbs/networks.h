// Which networks the addresses (GIDs) of ports are in, and whether there is a way between two of them.
#pragma once

#include <infiniband/verbs.h>

#include "tutti/result.h"

namespace tutti::verbs {

[[nodiscard]] bool is_ipv4(const ibv_gid& gid);
[[nodiscard]] bool is_link_local(const ibv_gid& gid);

// How many of its first bits are those of the network: of InfiniBand and of link-local addresses 64, else what the interface of
// this host says that has the address. 0: no interface has it.
[[nodiscard]] int network_bits(const ibv_gid& gid, bool ethernet);
// The address of that network: all other bits are 0.
[[nodiscard]] ibv_gid network_of(const ibv_gid& gid, int bits);

// Whether a route of the kernel leads to `to` out of the interface that has the address `from`: RoCE v2 goes where IP goes. What
// lies on the way may still refuse UDP port 4791.
[[nodiscard]] Status check_route(const ibv_gid& from, const ibv_gid& to);

}  // namespace tutti::verbs
