#include "transports/verbs/pairing.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "transports/verbs/networks.h"

namespace tutti::verbs {
namespace {

using Network = std::array<std::uint8_t, 16>;

Network network(const PortSummary& port) {
  ibv_gid gid{};
  std::ranges::copy(port.gid, gid.raw);
  gid = network_of(gid, port.network_bits);
  Network text{};
  std::ranges::copy(gid.raw, text.begin());
  return text;
}

struct Wanted {
  Fabric fabric = Fabric::none;
  bool near = false;    // only what is near
  bool routed = false;  // whatever the networks
};

// Positions of ports by their networks, all as one where networks do not matter.
std::map<Network, std::vector<std::size_t>> by_network(std::span<const PortSummary> ports, const Wanted& wanted) {
  std::map<Network, std::vector<std::size_t>> found;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const PortSummary& port = ports[i];
    if (port.fabric != wanted.fabric || (wanted.near && port.near == 0)) continue;
    if (wanted.routed)
      found[{}].push_back(i);
    else if (port.network_bits > 0)
      found[network(port)].push_back(i);
  }
  return found;
}

Pairing pair(std::span<const PortSummary> mine, std::span<const PortSummary> theirs, const Wanted& wanted) {
  Pairing pairing;
  pairing.routed = wanted.routed;
  const auto there = by_network(theirs, wanted);
  for (const auto& [network, here] : by_network(mine, wanted)) {
    const auto others = there.find(network);
    for (std::size_t k = 0; others != there.end() && k < std::min(here.size(), others->second.size()); ++k) {
      const std::size_t a = here[k], b = others->second[k];
      pairing.mine.push_back(a);
      pairing.theirs.push_back(b);
      pairing.megabits.push_back(std::max(std::min(mine[a].megabits, theirs[b].megabits), 1U));
    }
  }
  return pairing;
}

}  // namespace

PortSummary summary_of(const Port& port) {
  PortSummary summary{.fabric = port.fabric,
                      .near = static_cast<std::uint8_t>(port.near),
                      .network_bits = static_cast<std::uint8_t>(network_bits(port.gid.gid, port.ethernet)),
                      .megabits = port.megabits};
  std::ranges::copy(port.gid.gid.raw, summary.gid.begin());
  return summary;
}

Pairing pair_ports(std::span<const PortSummary> mine, std::span<const PortSummary> theirs) {
  constexpr std::array kFabrics{Fabric::infiniband, Fabric::roce_ipv4, Fabric::roce_ipv6, Fabric::roce_v1};
  for (const bool routed : {false, true})
    for (const Fabric fabric : kFabrics)
      for (const bool near : {true, false}) {
        if (routed && (fabric == Fabric::infiniband || fabric == Fabric::roce_v1)) continue;  // no IP
        Pairing pairing = pair(mine, theirs, {fabric, near, routed});
        if (!pairing.mine.empty()) return pairing;
      }
  return {};
}

}  // namespace tutti::verbs
