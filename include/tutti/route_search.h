// Searches for rings and trees that use the links of a machine as much as possible, and what they could reach at most.
//
//   auto found = search_routes(*load_topology("node:2 core:8 gpu:8 nic:8 nvlink=450GB/s pcie=50GB/s net=50GB/s"));
//   fmt::print("{}", render(*found));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tutti/routes.h"
#include "tutti/topology.h"

namespace tutti {

// A ring through all ranks, and where its data passes.
struct FoundRing {
  std::vector<Rank> order;                // order[i] sends to order[i + 1], the last one to the first
  double gbps = 0;                        // with all rings at work
  NodeId port = kNoNode;                  // the first host's NIC, where it leaves the host
  std::vector<std::vector<NodeId>> hops;  // what the data passes from order[i] to the next rank, both included
};

// A spanning tree of all ranks, and where its data passes.
struct FoundTree {
  std::vector<Rank> parent;               // rooted at rank 0
  double gbps = 0;                        // with all trees at work, in one direction
  int depth = 0;                          // edges from the root to the farthest rank
  NodeId port = kNoNode;                  // the first host's NIC, where it leaves the host
  std::vector<std::vector<NodeId>> hops;  // from the parent of each rank to it; empty at the root
};

// What the way between a GPU and a NIC of its host stays below.
enum class Nearness : std::uint8_t { pci_switch, package, host };
[[nodiscard]] std::string_view name(Nearness nearness) noexcept;

// Which NIC serves a rank.
struct Rail {
  NodeId nic = kNoNode;  // kNoNode: the host has none
  Nearness nearness = Nearness::host;
  double gbps = 0;  // of the way to the NIC or of its link to the network, whichever is less
  int sharers = 1;  // ranks that the NIC serves
};

// What search_routes() finds.
struct RouteSearch {
  std::vector<NodeId> ends;  // where each rank sits
  std::vector<FoundRing> rings;
  std::vector<FoundTree> trees;
  double ring_bound_gbps = 0, tree_bound_gbps = 0;  // what no set of rings or trees can exceed on these links
  std::vector<LevelGroups> levels;                  // innermost first
  std::vector<Rail> rails;                          // of each rank
  std::uint64_t steps = 0;                          // the work it took, the same on every machine

  // What all rings, or all trees, carry together.
  [[nodiscard]] double ring_gbps() const;
  [[nodiscard]] double tree_gbps() const;
};

// Where ranks sit when nobody says: on the GPUs or, where there are none, on the hosts of a torus or else on the cores that may
// be used, host after host.
[[nodiscard]] std::vector<NodeId> usual_ends(const Topology& topology);

// Rings and trees through all ends that use the links as much as possible, each link no more than it carries. Hosts that are
// alike are searched once. Where NVLink or xGMI joins all ends of a host nothing else is used between them. The same on every
// machine. Code::invalid_argument when an end is no GPU or core, stands twice, or cannot be reached from the others; all hosts of
// a torus (torus_dimensions()) may be ends, too, in their order.
Result<RouteSearch> search_routes(const Topology& topology, std::vector<NodeId> ends);
Result<RouteSearch> search_routes(const Topology& topology);

// Rings through all nodes of a torus, numbered with the last dimension fastest, of which no two share a link in one direction:
// two for each pair of links of a node, one round and one back, where that many are found.
[[nodiscard]] std::vector<std::vector<Rank>> torus_rings(std::span<const Rank> dimensions);

// What ranks there pay: links[i] between two that share a group of levels[i] but none of levels[i - 1], the slowest of them, and
// last those that share none. Bandwidths are those of the way between them that no other pair uses at that time.
[[nodiscard]] std::vector<LinkParameters> between(const Topology& topology, std::span<const NodeId> ends,
                                                  std::span<const LevelGroups> levels);

// What algorithms need of it: small weights in proportion to the bandwidths.
[[nodiscard]] Routes routes(const RouteSearch& search);

// For a person, and as one line of JSON for a program.
[[nodiscard]] std::string render(const RouteSearch& search, const Topology& topology);
[[nodiscard]] std::string to_json(const RouteSearch& search, const Topology& topology);

}  // namespace tutti
