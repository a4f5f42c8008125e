#include "topology/sources/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "topology/sources/description.h"
#include "topology/wires.h"

namespace tutti {
namespace {

// Levels of a host that are nodes of the graph.
std::optional<NodeKind> node_kind(Unit unit) {
  switch (unit) {
    case Unit::package:
      return NodeKind::package;
    case Unit::numa:
      return NodeKind::numa;
    case Unit::l3:
      return NodeKind::l3;
    case Unit::core:
      return NodeKind::core;
    case Unit::group:
    case Unit::l2:
    case Unit::l1:
    case Unit::pu:
    case Unit::node:
    case Unit::pci_switch:
    case Unit::gpu:
    case Unit::nic:
    case Unit::rail:
      return std::nullopt;
  }
  return std::nullopt;
}

// A host's ends of the network: its NICs, or itself.
using Ends = std::vector<NodeId>;

class Maker {
 public:
  explicit Maker(const Description& description) : description_(description) {}

  Topology make() {
    for (int i = 0; i < description_.hosts; ++i) machine();
    switch (description_.wiring) {
      case Wiring::one_switch:
        one_switch();
        break;
      case Wiring::torus:
        torus();
        break;
      case Wiring::fat_tree:
        fat_tree();
        break;
      case Wiring::rails:
        rails();
        break;
    }
    return std::move(topology_);
  }

 private:
  NodeId add(NodeKind kind, NodeId parent, std::string name = {}) {
    Node node;
    node.kind = kind;
    node.parent = parent;
    node.name = std::move(name);
    if (kind == NodeKind::numa) node.memory_bytes = description_.numa_memory;
    if (kind == NodeKind::gpu) node.memory_bytes = description_.gpu_memory;
    if (kind == NodeKind::l3) node.cache_bytes = description_.l3_bytes;
    if (kind == NodeKind::core) node.cache_bytes = description_.l2_bytes;
    topology_.nodes.push_back(std::move(node));
    return static_cast<NodeId>(topology_.nodes.size() - 1);
  }

  void machine() {
    next_cpu_ = 0;
    const NodeId root = add(NodeKind::machine, kNoNode);
    homes_.clear();
    if (std::ranges::find(description_.levels, Unit::numa, &Count::unit) == description_.levels.end()) homes_.push_back(root);
    inside(0, root);
    if (description_.pci_switches > 0) homes_ = devices(NodeKind::pci_switch, description_.pci_switches);
    const std::vector<NodeId> gpus = devices(NodeKind::gpu, description_.gpus);
    const std::vector<NodeId> nics = devices(NodeKind::nic, description_.nics);
    if (description_.nvlink_gbps > 0 && !gpus.empty()) switched(root, gpus);
    if (description_.xgmi_gbps > 0) all_pairs(gpus);
    ends_.push_back(nics.empty() ? Ends{root} : nics);
  }

  // Fills `parent` with what stands from this level on.
  void inside(std::size_t level, NodeId parent) {
    const Count& here = description_.levels[level];
    const auto kind = node_kind(here.unit);
    for (int i = 0; i < here.count; ++i) {
      const NodeId id = kind ? add(*kind, parent) : parent;
      if (kind == NodeKind::numa) homes_.push_back(id);
      if (kind == NodeKind::core) {
        for (int pu = 0; pu < description_.levels.back().count; ++pu) topology_.nodes.back().cpus.push_back(next_cpu_++);
      } else {
        inside(level + 1, id);
      }
    }
  }

  // `count` devices spread evenly over the homes.
  std::vector<NodeId> devices(NodeKind kind, int count) {
    std::vector<NodeId> ids;
    for (int i = 0; i < count; ++i) {
      const std::size_t home = static_cast<std::size_t>(i) * homes_.size() / static_cast<std::size_t>(count);
      ids.push_back(add(kind, homes_[home], kind == NodeKind::pci_switch ? "" : fmt::format("{}{}", name(kind), i)));
      if (description_.pcie_gbps > 0) link(homes_[home], ids.back(), LinkKind::pcie, description_.pcie_gbps, 0);
    }
    return ids;
  }

  void switched(NodeId root, const std::vector<NodeId>& gpus) {
    const NodeId nvswitch = add(NodeKind::nvswitch, root);
    for (const NodeId gpu : gpus) link(gpu, nvswitch, LinkKind::nvlink, description_.nvlink_gbps, 0);
  }

  void all_pairs(const std::vector<NodeId>& gpus) {
    for (std::size_t i = 0; i < gpus.size(); ++i) {
      for (std::size_t j = i + 1; j < gpus.size(); ++j) link(gpus[i], gpus[j], LinkKind::xgmi, description_.xgmi_gbps, 0);
    }
  }

  // --- the network ---

  NodeId net_switch(std::string name) { return add(NodeKind::net_switch, kNoNode, std::move(name)); }

  void plug(NodeId a, NodeId b, double gbps) { link(a, b, LinkKind::network, gbps, description_.net_latency_us); }

  void one_switch() {
    if (description_.hosts == 1 && description_.nics == 0 && description_.net_gbps == 0) return;
    const NodeId net = net_switch("network");
    for (const Ends& host : ends_) {
      for (const NodeId end : host) plug(end, net, description_.net_gbps);
    }
  }

  // Each host to the next one in every dimension; each direction takes a NIC of its own as long as there are some.
  void torus() {
    const std::vector<int>& shape = description_.shape;
    int stride = static_cast<int>(ends_.size());
    for (std::size_t dimension = 0; dimension < shape.size(); ++dimension) {
      const int length = shape[dimension];
      const int round = stride;
      stride /= length;
      if (length == 1) continue;
      for (int host = 0; host < static_cast<int>(ends_.size()); ++host) {
        const int position = host / stride % length;
        if (length == 2 && position == 1) continue;
        const int next = position + 1 < length ? host + stride : host + stride - round;
        plug(port(host, 2 * dimension), port(next, 2 * dimension + 1), description_.net_gbps);
      }
    }
  }

  [[nodiscard]] NodeId port(int host, std::size_t direction) const {
    const Ends& ends = ends_[static_cast<std::size_t>(host)];
    return ends[direction % ends.size()];
  }

  void fat_tree() {
    const std::vector<int>& shape = description_.shape;
    std::vector<Ends> below = ends_;
    double gbps = description_.net_gbps, known = known_net_gbps();
    for (std::size_t level = shape.size(); level-- > 0;) {
      std::vector<Ends> switches;
      const auto arity = static_cast<std::size_t>(shape[level]);
      for (std::size_t first = 0; first < below.size(); first += arity) {
        const NodeId above = net_switch(level_name(level, first / arity));
        for (std::size_t child = first; child < first + arity; ++child) {
          for (const NodeId end : below[child]) plug(end, above, gbps);
        }
        switches.push_back({above});
      }
      known *= static_cast<double>(arity * below.front().size());
      if (level > 0) known /= oversubscription(level - 1);
      gbps = known;
      below = std::move(switches);
    }
  }

  // Of an uplink that is as wide as what comes from below, whoever says how wide that is.
  [[nodiscard]] double known_net_gbps() const {
    return description_.net_gbps > 0 ? description_.net_gbps : usual_gbps(LinkKind::network);
  }

  [[nodiscard]] std::string level_name(std::size_t level, std::size_t index) const {
    const bool leaf = level + 1 == description_.shape.size();
    if (level == 0 && !leaf) return "spine";
    return fmt::format("{} {}", leaf ? "leaf" : "aggregation", index);
  }

  // Of the uplinks to a level of switches, counted from the top.
  [[nodiscard]] double oversubscription(std::size_t level) const {
    const std::vector<double>& all = description_.oversubscription;
    return all.empty() ? 1 : all[all.size() == 1 ? 0 : level];
  }

  void rails() {
    std::vector<NodeId> rails;
    for (int i = 0; i < description_.rails; ++i) rails.push_back(net_switch(fmt::format("rail {}", i)));
    std::vector<int> plugged(rails.size(), 0);
    for (const Ends& host : ends_) {
      for (std::size_t nic = 0; nic < host.size(); ++nic) {
        plug(host[nic], rails[nic % rails.size()], description_.net_gbps);
        ++plugged[nic % rails.size()];
      }
    }
    if (rails.size() < 2) return;
    const NodeId spine = net_switch("spine");
    for (std::size_t i = 0; i < rails.size(); ++i) plug(rails[i], spine, known_net_gbps() * plugged[i] / oversubscription(0));
  }

  void link(NodeId a, NodeId b, LinkKind kind, double gbps, double latency_us) {
    topology_.links.push_back({a, b, kind, Origin::synthetic, gbps, latency_us});
  }

  const Description& description_;
  Topology topology_;
  std::vector<NodeId> homes_;  // where devices of the machine at hand live
  std::vector<Ends> ends_;     // of every host
  int next_cpu_ = 0;
};

}  // namespace

Result<Topology> topology_from_synthetic(std::string_view text) {
  auto description = parse_description(text);
  if (!description) return std::move(description.error());
  Topology topology = Maker(*description).make();
  if (Status status = check(topology); !status) {
    return Error(Code::invalid_argument, "synthetic topology: " + status.error().message());
  }
  return topology;
}

}  // namespace tutti
