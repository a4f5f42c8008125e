// A topology for people: a tree, the links, and what ranks would pay; and as a Graphviz file.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>

#include "core/hash.h"
#include "topology/cpus.h"
#include "tutti/topology.h"

namespace tutti {
namespace {

std::string plural(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string join(const std::vector<std::string>& parts, std::string_view separator = ", ") {
  return fmt::format("{}", fmt::join(parts, separator));
}

// Rounded, for reading: "4.2 GiB".
std::string human_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; unit + 1 < kUnits.size() && value >= 1024; ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, value < 10 && value != static_cast<double>(static_cast<int>(value)) ? 1 : 0,
                     kUnits[unit]);
}

// What is known of a link's cost: "25 GB/s, 0.2 us".
std::string describe_cost(double bandwidth_gbps, double latency_us) {
  std::vector<std::string> parts;
  if (bandwidth_gbps > 0) parts.push_back(fmt::format("{:.4g} GB/s", bandwidth_gbps));
  if (latency_us > 0) parts.push_back(fmt::format("{:.3g} us", latency_us));
  return parts.empty() ? "speed unknown" : join(parts);
}

// Everything about a topology that drawing it needs to look up.
class Picture {
 public:
  explicit Picture(const Topology& topology)
      : topology_(topology), children_(topology.nodes.size()), index_(topology.nodes.size()) {
    std::vector<NodeId> machine(topology.nodes.size());
    std::map<NodeId, std::array<int, kNodeKinds>> seen;
    int machines = 0;
    for (std::size_t id = 0; id < topology.nodes.size(); ++id) {
      const Node& n = topology.nodes[id];
      const auto self = static_cast<NodeId>(id);
      machine[id] = n.parent == kNoNode ? self : machine[static_cast<std::size_t>(n.parent)];
      if (n.parent == kNoNode) roots_.push_back(self);
      if (n.parent != kNoNode) children_[static_cast<std::size_t>(n.parent)].push_back(self);
      index_[id] = n.kind == NodeKind::machine ? machines++ : seen[machine[id]][static_cast<std::size_t>(n.kind)]++;
    }
    hash_subtrees();
  }

  [[nodiscard]] const Node& node(NodeId id) const { return topology_.nodes[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const std::vector<NodeId>& children(NodeId id) const { return children_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] const std::vector<NodeId>& roots() const { return roots_; }
  [[nodiscard]] int index(NodeId id) const { return index_[static_cast<std::size_t>(id)]; }
  [[nodiscard]] bool alike(NodeId a, NodeId b) const {
    return shape_[static_cast<std::size_t>(a)] == shape_[static_cast<std::size_t>(b)];
  }
  // "gpu 3"
  [[nodiscard]] std::string label(NodeId id) const { return fmt::format("{} {}", name(node(id).kind), index(id)); }
  [[nodiscard]] bool is_device(NodeId id) const {
    const NodeKind kind = node(id).kind;
    return kind == NodeKind::gpu || kind == NodeKind::nic || kind == NodeKind::nvswitch || kind == NodeKind::pci_switch;
  }

 private:
  // What two hosts must have in common to be shown as one.
  void hash_subtrees() {
    shape_.resize(topology_.nodes.size());
    for (std::size_t id = topology_.nodes.size(); id-- > 0;) {
      const Node& n = topology_.nodes[id];
      Hasher hasher;
      hasher.value(n.kind).value(n.memory_bytes).value(n.cache_bytes).value(static_cast<std::uint64_t>(n.cpus.size()));
      for (const NodeId child : children_[id]) hasher.value(shape_[static_cast<std::size_t>(child)]);
      shape_[id] = hasher.result();
    }
  }

  const Topology& topology_;
  std::vector<std::vector<NodeId>> children_;
  std::vector<NodeId> roots_;
  std::vector<int> index_;
  std::vector<std::uint64_t> shape_;
};

class TreePrinter {
 public:
  TreePrinter(const Topology& topology, std::span<const int> bound)
      : topology_(topology), picture_(topology), bound_(bound), hosts_(hosts(topology)) {}

  std::string print() && {
    print_machines();
    print_links();
    print_estimates();
    return std::move(out_);
  }

 private:
  void print_machines() {
    std::vector<NodeId> machines;
    for (const NodeId root : picture_.roots()) {
      if (picture_.node(root).kind == NodeKind::machine) machines.push_back(root);
    }
    for (std::size_t i = 0; i < machines.size();) {
      std::size_t end = i + 1;
      while (end < machines.size() && picture_.alike(machines[i], machines[end])) ++end;
      print_machine(machines[i], end - i);
      i = end;
    }
  }

  void print_machine(NodeId machine, std::size_t alike) {
    const Node& node = picture_.node(machine);
    const std::string which = alike == 1 ? fmt::format("machine {}", picture_.index(machine))
                                         : fmt::format("machines {}-{}, {} alike, each", picture_.index(machine),
                                                       picture_.index(machine) + static_cast<int>(alike) - 1, alike);
    const Totals totals = count(machine);
    std::vector<std::string> parts = {plural(totals.cores, "core"), plural(totals.cpus, "PU")};
    if (totals.memory > 0) parts.push_back(human_bytes(totals.memory));
    if (totals.gpus > 0) parts.push_back(plural(totals.gpus, "GPU"));
    if (totals.nics > 0) parts.push_back(plural(totals.nics, "NIC"));
    out_ += fmt::format("{}{}: {}\n", which, node.name.empty() ? "" : fmt::format(" \"{}\"", node.name), join(parts));
    if (!node.virtual_machine.empty()) print_virtual_machine(node, picture_.index(machine));
    if (node.cpu_quota > 0) out_ += fmt::format("  control group: CPU time of {:.4g} cores\n", node.cpu_quota);
    if (node.memory_limit_bytes > 0)
      out_ += fmt::format("  control group: memory limit {}\n", human_bytes(node.memory_limit_bytes));
    if (totals.forbidden > 0) out_ += fmt::format("  {} may not be used by this job\n", plural(totals.forbidden, "core"));
    if (!bound_.empty() && picture_.index(machine) == 0) {
      const bool everywhere = bound_.size() >= totals.cpus;
      out_ += fmt::format("  this process: {}\n", everywhere ? "not bound" : "bound to PUs " + format_cpus(bound_));
    }
    print_children(machine, "");
  }

  void print_virtual_machine(const Node& node, int host) {
    out_ += fmt::format("  virtual machine: {}\n", node.virtual_machine);
    constexpr int kLookedAt = 64;  // each costs a walk over all nodes
    if (host >= kLookedAt) return;
    if (const auto hidden = hidden_parts(topology_, host); !hidden.empty())
      out_ += fmt::format("    it may hide {}: measurements count more than this tree\n", join(hidden));
  }

  struct Totals {
    std::size_t cores = 0, forbidden = 0, cpus = 0, gpus = 0, nics = 0;
    std::uint64_t memory = 0;
  };

  [[nodiscard]] Totals count(NodeId machine) const {
    Totals totals;
    std::vector<NodeId> open = {machine};
    while (!open.empty()) {
      const NodeId id = open.back();
      open.pop_back();
      const Node& node = picture_.node(id);
      totals.cores += node.kind == NodeKind::core;
      totals.forbidden += node.kind == NodeKind::core && node.cpus.empty();
      totals.cpus += node.cpus.size();
      totals.gpus += node.kind == NodeKind::gpu;
      totals.nics += node.kind == NodeKind::nic;
      if (node.kind == NodeKind::numa) totals.memory += node.memory_bytes;
      open.insert(open.end(), picture_.children(id).begin(), picture_.children(id).end());
    }
    return totals;
  }

  void print_children(NodeId parent, const std::string& indent) {
    const std::vector<NodeId>& children = picture_.children(parent);
    for (std::size_t i = 0; i < children.size();) {
      const std::size_t end = run_of_cores(children, i);
      const bool last = end == children.size();
      out_ += indent + (last ? "└─ " : "├─ ") +
              (picture_.node(children[i]).kind == NodeKind::core ? describe_cores({children.data() + i, end - i})
                                                                 : describe(children[i]));
      out_ += '\n';
      print_children(children[i], indent + (last ? "   " : "│  "));
      i = end;
    }
  }

  // Cores in a row that are alike go on one line.
  [[nodiscard]] std::size_t run_of_cores(const std::vector<NodeId>& children, std::size_t begin) const {
    std::size_t end = begin + 1;
    if (picture_.node(children[begin]).kind != NodeKind::core) return end;
    while (end < children.size() && picture_.alike(children[begin], children[end])) ++end;
    return end;
  }

  [[nodiscard]] std::string describe_cores(std::span<const NodeId> cores) const {
    std::vector<int> cpus;
    for (const NodeId core : cores) cpus.insert(cpus.end(), picture_.node(core).cpus.begin(), picture_.node(core).cpus.end());
    std::sort(cpus.begin(), cpus.end());
    const Node& first = picture_.node(cores.front());
    std::string text = cores.size() == 1
                           ? fmt::format("core {}", picture_.index(cores.front()))
                           : fmt::format("cores {}-{}", picture_.index(cores.front()), picture_.index(cores.back()));
    text += cpus.empty() ? ": not for this job" : fmt::format(": PU{} {}", cpus.size() == 1 ? "" : "s", format_cpus(cpus));
    if (first.cache_bytes > 0) text += fmt::format(", L2 {}{}", human_bytes(first.cache_bytes), cores.size() == 1 ? "" : " each");
    if (!bound_.empty() &&
        std::any_of(cpus.begin(), cpus.end(), [&](int cpu) { return !std::binary_search(bound_.begin(), bound_.end(), cpu); })) {
      std::vector<int> here;
      std::set_intersection(cpus.begin(), cpus.end(), bound_.begin(), bound_.end(), std::back_inserter(here));
      if (!here.empty()) text += fmt::format(" (bound here: {})", format_cpus(here));
    }
    return text;
  }

  [[nodiscard]] std::string describe(NodeId id) const {
    const Node& node = picture_.node(id);
    std::vector<std::string> parts;
    if (!node.name.empty()) parts.push_back(node.name);
    if (node.memory_bytes > 0) parts.push_back(human_bytes(node.memory_bytes));
    if (node.cache_bytes > 0) parts.push_back(human_bytes(node.cache_bytes));
    if (!node.pci_bus_id.empty()) parts.push_back(node.pci_bus_id);
    if (const Link* link = pcie_link(id)) parts.push_back("PCIe " + describe_cost(link->bandwidth_gbps, link->latency_us));
    return parts.empty() ? picture_.label(id) : fmt::format("{}: {}", picture_.label(id), join(parts));
  }

  [[nodiscard]] const Link* pcie_link(NodeId id) const {
    if (!picture_.is_device(id)) return nullptr;
    const auto found = std::find_if(topology_.links.begin(), topology_.links.end(), [&](const Link& l) {
      return l.kind == LinkKind::pcie && l.b == id && l.a == picture_.node(id).parent;
    });
    return found == topology_.links.end() ? nullptr : &*found;
  }

  // Links that are not drawn in the tree already, those that cost the same together.
  void print_links() {
    std::map<std::tuple<LinkKind, double, double, Origin>, std::vector<std::string>> groups;
    for (const Link& link : topology_.links) {
      if (link.kind == LinkKind::pcie) continue;
      groups[{link.kind, link.bandwidth_gbps, link.latency_us, link.origin}].push_back(link_label(link));
    }
    if (groups.empty()) return;
    out_ += "links\n";
    if (const std::vector<int> torus = torus_dimensions(topology_); !torus.empty())
      out_ += fmt::format("  a torus of {} hosts\n", fmt::join(torus, " x "));
    constexpr std::size_t kShown = 6;
    for (const auto& [key, pairs] : groups) {
      const auto& [kind, bandwidth_gbps, latency_us, origin] = key;
      const std::vector<std::string> shown(pairs.begin(),
                                           pairs.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, pairs.size())));
      const std::string more = pairs.size() > kShown ? fmt::format(" and {} more", pairs.size() - kShown) : "";
      out_ += fmt::format("  {:<8} {} ({}): {}{}\n", name(kind), describe_cost(bandwidth_gbps, latency_us), name(origin),
                          join(shown), more);
    }
  }

  // "gpu 0 - gpu 1", with the machine where there are several, once where it is the same.
  [[nodiscard]] std::string link_label(const Link& link) const {
    const std::string a = host_label(link.a), b = host_label(link.b);
    return fmt::format("{}{} - {}{}", a, end_label(link.a), a == b ? "" : b, end_label(link.b));
  }

  [[nodiscard]] std::string host_label(NodeId id) const {
    const bool part = hosts_ > 1 && picture_.node(id).parent != kNoNode;
    return part ? fmt::format("machine {} ", picture_.index(enclosing(topology_, id, NodeKind::machine))) : "";
  }

  [[nodiscard]] std::string end_label(NodeId id) const {
    const Node& node = picture_.node(id);
    if (node.kind == NodeKind::net_switch) return node.name.empty() ? std::string("network") : node.name;
    return picture_.label(id);
  }

  void print_estimates() {
    out_ += "between two ranks (first estimates; calibration refines them)\n";
    static constexpr std::pair<Level, std::string_view> kRows[] = {{Level::l3, "on one L3"},
                                                                   {Level::numa, "on one NUMA node"},
                                                                   {Level::package, "on one package"},
                                                                   {Level::host, "on one host"},
                                                                   {Level::network, "on different hosts"}};
    for (const auto& [level, text] : kRows) {
      const LinkParameters cost = between(topology_, level);
      out_ += fmt::format("  {:<18} {} ({})\n", text, describe_cost(cost.bandwidth_gbps, cost.latency_us), name(cost.origin));
    }
  }

  const Topology& topology_;
  const Picture picture_;
  const std::span<const int> bound_;
  const int hosts_;
  std::string out_;
};

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

std::string render_tree(const Topology& topology, std::span<const int> bound) { return TreePrinter(topology, bound).print(); }

std::string to_dot(const Topology& topology) {
  const Picture picture(topology);
  std::string out = "graph topology {\n  node [shape=box];\n";
  for (std::size_t i = 0; i < topology.nodes.size(); ++i) {
    const auto id = static_cast<NodeId>(i);
    const Node& node = topology.nodes[i];
    const std::string title = node.name.empty() ? picture.label(id) : picture.label(id) + " " + node.name;
    out += fmt::format("  n{} [label={}];\n", id, quoted(title));
    if (node.parent != kNoNode) out += fmt::format("  n{} -- n{};\n", node.parent, id);
  }
  for (const Link& link : topology.links) {
    const std::string label = fmt::format("{} {}", name(link.kind), describe_cost(link.bandwidth_gbps, link.latency_us));
    out += fmt::format("  n{} -- n{} [style=dashed, constraint=false, label={}];\n", link.a, link.b, quoted(label));
  }
  return out + "}\n";
}

}  // namespace tutti
