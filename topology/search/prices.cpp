// What it costs ranks on GPUs to talk, from the links between them.
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "topology/estimates.h"
#include "topology/gpu_paths.h"
#include "topology/search/route.h"
#include "topology/wires.h"
#include "tutti/route_search.h"

namespace tutti {
namespace {

using namespace search;

// Of one GPU's memory, where copies read and write at once: BabelStream on an H200, 4.0 TB/s read and written.
constexpr double kSameGpuGbps = 2000;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool is_processor(NodeKind kind) { return kind == NodeKind::package || kind == NodeKind::numa || kind == NodeKind::machine; }

// Paths from one end after the other.
class Pricer {
 public:
  Pricer(const Topology& topology, std::span<const NodeId> ends)
      : graph_(make_graph(topology, ends)), router_(graph_), between_processors_us_(between(topology, Level::host).latency_us) {
    add_fabrics();
  }

  [[nodiscard]] const Graph& graph() const { return graph_; }
  void from(int end) { router_.explore(from_ = end, 0, Via::any); }
  [[nodiscard]] bool reaches(int end) const { return router_.reached(end); }
  // Of the way that router_ has found, whatever else joins the two.
  [[nodiscard]] double one_way_gbps(int end) const { return router_.left_to(end); }

  [[nodiscard]] GpuPath to(int end) const {
    const Path path = router_.path_to(end);
    GpuPath found = priced(path);
    if (const double gbps = joined_gbps(from_, end); gbps > 0) found.bandwidth_gbps = gbps;
    for (std::size_t i = 0; i + 1 < path.size(); ++i) found.through.push_back(graph_.nodes[at(graph_.to(path[i]))]);
    return found;
  }

 private:
  [[nodiscard]] bool is_switch(int vertex) const { return graph_.kinds[at(vertex)] == NodeKind::nvswitch; }

  // Switches that are joined are one fabric, which carries whatever its ends send.
  void add_fabrics() {
    std::vector<int> fabric(graph_.nodes.size());
    std::iota(fabric.begin(), fabric.end(), 0);
    const auto root = [&](int v) {
      while (fabric[at(v)] != v) v = fabric[at(v)] = fabric[at(fabric[at(v)])];
      return v;
    };
    for (const Edge& e : graph_.edges)
      if (is_fast(e.kind) && is_switch(e.a) && is_switch(e.b)) fabric[at(root(e.a))] = root(e.b);
    into_fabrics_.resize(graph_.nodes.size());
    for (const Edge& e : graph_.edges)
      for (const auto& [end, other] : {std::pair(e.a, e.b), std::pair(e.b, e.a)})
        if (is_fast(e.kind) && graph_.is_end(end) && is_switch(other)) into_fabrics_[at(end)][root(other)] += e.gbps;
  }

  // All links of their own that join two ends; 0: none does.
  [[nodiscard]] double joined_gbps(int a, int b) const {
    double gbps = 0;
    for (const Arc& arc : graph_.arcs[at(a)])
      if (arc.to == b && is_fast(graph_.kind(arc.id))) gbps += graph_.gbps(arc.id);
    for (const auto& [fabric, of_a] : into_fabrics_[at(a)])
      if (const auto of_b = into_fabrics_[at(b)].find(fabric); of_b != into_fabrics_[at(b)].end())
        gbps += std::min(of_a, of_b->second);
    return gbps;
  }

  [[nodiscard]] PathKind kind_of(const Path& path) const {
    if (std::ranges::any_of(path, [&](int arc) { return graph_.kind(arc) == LinkKind::network; })) return PathKind::network;
    int processors = 0;
    bool fast = true;
    for (const int arc : path) {
      if (is_processor(graph_.kinds[at(graph_.to(arc))])) ++processors;
      fast = fast && is_fast(graph_.kind(arc));
    }
    if (processors > 0) return processors == 1 ? PathKind::processor : PathKind::processors;
    if (!fast) return PathKind::pci_switch;
    if (path.size() > 1) return PathKind::nvswitch;
    return graph_.kind(path.front()) == LinkKind::xgmi ? PathKind::xgmi : PathKind::nvlink;
  }

  [[nodiscard]] double latency_us(PathKind kind, const Path& path) const {
    if (is_fast(kind)) return kNvlinkHopUs;
    double network_us = 0, memory_us = 0;
    for (const int arc : path) {
      const double said = graph_.edges[at(arc / 2)].latency_us;
      if (graph_.kind(arc) == LinkKind::network) network_us += said;
      if (graph_.kind(arc) == LinkKind::memory) memory_us += said > 0 ? said : between_processors_us_;
    }
    if (kind == PathKind::network) return network_us > 0 ? network_us : kNetworkHopUs;
    return kPcieHopUs + memory_us;
  }

  [[nodiscard]] GpuPath priced(const Path& path) const {
    GpuPath found{.kind = kind_of(path), .bandwidth_gbps = std::numeric_limits<double>::infinity()};
    found.latency_us = latency_us(found.kind, path);
    for (const int arc : path) {
      const Edge& edge = graph_.edges[at(arc / 2)];
      if (edge.gbps >= found.bandwidth_gbps) continue;
      found.bandwidth_gbps = edge.gbps;
      found.origin = edge.origin;
    }
    return found;
  }

  const Graph graph_;
  Router router_;
  const double between_processors_us_;
  std::vector<std::map<int, double>> into_fabrics_;  // GB/s from each end
  int from_ = 0;
};

GpuPath unknown_path() {
  return {.kind = PathKind::unknown, .bandwidth_gbps = usual_gbps(LinkKind::pcie), .latency_us = kPcieHopUs};
}

}  // namespace

std::string_view name(PathKind kind) noexcept {
  static constexpr std::array<std::string_view, kPathKinds> kNames = {
      "same_gpu", "nvlink", "nvswitch", "xgmi", "pci_switch", "processor", "processors", "network", "unknown"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string_view description(PathKind kind) noexcept {
  static constexpr std::array<std::string_view, kPathKinds> kWords = {
      "the same GPU",       "NVLink",      "NVLink through switches", "xGMI", "PCIe below one switch", "through a processor",
      "between processors", "the network", "not described, as PCIe"};
  return kWords[static_cast<std::size_t>(kind)];
}

std::size_t shared_level(std::span<const LevelGroups> levels, std::size_t a, std::size_t b) {
  std::size_t l = 0;
  while (l < levels.size() && levels[l].group_of[a] != levels[l].group_of[b]) ++l;
  return l;
}

GpuPath slower(const GpuPath& a, const GpuPath& b) {
  const GpuPath& narrow = b.bandwidth_gbps < a.bandwidth_gbps ? b : a;
  return {.kind = std::max(a.kind, b.kind),
          .bandwidth_gbps = narrow.bandwidth_gbps,
          .latency_us = std::max(a.latency_us, b.latency_us),
          .origin = narrow.origin};
}

std::vector<GpuPath> gpu_paths(const Topology& topology, std::span<const NodeId> gpus) {
  std::vector<GpuPath> paths(gpus.size() * gpus.size(), unknown_path());
  std::vector<NodeId> known;
  std::vector<std::size_t> place;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    paths[i * gpus.size() + i] = {.kind = PathKind::same_gpu, .bandwidth_gbps = kSameGpuGbps};
    if (gpus[i] == kNoNode) continue;
    known.push_back(gpus[i]);
    place.push_back(i);
  }
  Pricer pricer(topology, known);
  const std::vector<int>& ends = pricer.graph().ends;
  for (std::size_t a = 0; a < ends.size(); ++a) {
    pricer.from(ends[a]);
    for (std::size_t b = 0; b < ends.size(); ++b)
      if (a != b && pricer.reaches(ends[b])) paths[place[a] * gpus.size() + place[b]] = pricer.to(ends[b]);
  }
  return paths;
}

std::vector<LinkParameters> between(const Topology& topology, std::span<const NodeId> ends, std::span<const LevelGroups> levels) {
  Pricer pricer(topology, ends);
  const Graph& graph = pricer.graph();
  const std::vector<Domain> all = domains(graph);
  std::vector<LinkParameters> links(levels.size() + 1);
  std::vector<bool> known(links.size(), false);
  std::vector<int> domain_of(ends.size(), -1);  // by rank
  for (std::size_t d = 0; d < all.size(); ++d)
    for (const int end : all[d].ends) domain_of[at(graph.rank_of[at(end)])] = static_cast<int>(d);
  const auto add = [&](std::size_t level, const GpuPath& path) {
    LinkParameters& link = links[level];
    link.latency_us = std::max(link.latency_us, path.latency_us);
    link.bandwidth_gbps = known[level] ? std::min(link.bandwidth_gbps, path.bandwidth_gbps) : path.bandwidth_gbps;
    known[level] = true;
  };
  for (std::size_t d = 0; d < all.size(); ++d) {
    if (all[d].alike != static_cast<int>(d)) continue;
    for (const int end : all[d].ends) {
      const auto me = at(graph.rank_of[at(end)]);
      pricer.from(end);
      // All of the own domain. For each level beyond it the best one of the first domain there: on rails that is who has the same
      // place, and others are reached by way of it.
      std::map<std::size_t, int> best;
      std::map<std::size_t, int> first_domain;
      for (std::size_t r = 0; r < ends.size(); ++r) {
        const int other = graph.ends[r];
        if (r == me || !pricer.reaches(other)) continue;
        const std::size_t level = shared_level(levels, me, r);
        const int domain = domain_of[r];
        if (domain == static_cast<int>(d)) {
          add(level, pricer.to(other));
          continue;
        }
        if (first_domain.try_emplace(level, domain).first->second != domain) continue;
        const auto found = best.try_emplace(level, other).first;
        if (pricer.one_way_gbps(other) > pricer.one_way_gbps(found->second)) found->second = other;
      }
      for (const auto& [level, other] : best) add(level, pricer.to(other));
    }
  }
  // Nothing is as far apart as that, or nothing joins what is.
  for (std::size_t l = 0; l < links.size(); ++l)
    if (!known[l]) links[l] = l > 0 ? links[l - 1] : between(topology, Level::host);
  return links;
}

namespace {

// The PCIe switches around a GPU, innermost first, and its processor, as vertices.
std::vector<int> around(const Topology& topology, const Graph& graph, NodeId gpu) {
  std::vector<int> found;
  NodeId id = topology.nodes[at(gpu)].parent;
  for (; topology.nodes[at(id)].kind == NodeKind::pci_switch; id = topology.nodes[at(id)].parent)
    found.push_back(graph.vertex_of[at(id)]);
  found.push_back(graph.vertex_of[at(id)]);
  return found;
}

// What leads out of a PCIe switch upward, or from a processor to others.
double way_out_gbps(const Topology& topology, const Graph& graph, int vertex) {
  const bool processor = is_processor(graph.kinds[at(vertex)]);
  const int above = processor ? -1 : graph.vertex_of[at(topology.nodes[at(graph.nodes[at(vertex)])].parent)];
  double gbps = 0;
  for (const Arc& arc : graph.arcs[at(vertex)])
    if (processor ? graph.kind(arc.id) == LinkKind::memory && is_processor(graph.kinds[at(arc.to)]) : arc.to == above)
      gbps += graph.gbps(arc.id);
  return gbps;
}

// How many ranks each group has, where each has as many, one after the other; the last may have fewer. 0: they lie otherwise.
Rank even_size(std::span<const int> group_of) {
  std::set<int> seen;
  std::vector<Rank> sizes;
  for (std::size_t r = 0; r < group_of.size(); ++r) {
    if (r > 0 && group_of[r] == group_of[r - 1]) {
      ++sizes.back();
      continue;
    }
    if (!seen.insert(group_of[r]).second) return 0;
    sizes.push_back(1);
  }
  const bool even = std::all_of(sizes.begin(), sizes.end() - 1, [&](Rank size) { return size == sizes.front(); });
  return even && sizes.back() <= sizes.front() ? sizes.front() : 0;
}

}  // namespace

std::vector<SharedWay> shared_ways(const Topology& topology, std::span<const NodeId> gpus) {
  if (gpus.empty() || std::ranges::find(gpus, kNoNode) != gpus.end()) return {};
  std::vector<NodeId> ends(gpus.begin(), gpus.end());
  std::ranges::sort(ends);
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  const Graph graph = make_graph(topology, ends);
  const std::vector<GpuPath> paths = gpu_paths(topology, ends);
  std::map<NodeId, std::vector<int>> homes;
  std::size_t depth = SIZE_MAX;
  for (const NodeId gpu : ends) depth = std::min(depth, (homes[gpu] = around(topology, graph, gpu)).size());
  std::vector<SharedWay> found;
  for (std::size_t d = 0; d < depth; ++d) {
    std::vector<int> group_of;
    for (const NodeId gpu : gpus) group_of.push_back(d + 1 < depth ? homes[gpu][d] : homes[gpu].back());
    const Rank size = even_size(group_of);
    if (size < 2 || static_cast<std::size_t>(size) >= gpus.size()) continue;
    bool only_way = true;
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const NodeId a = ends[i / ends.size()], b = ends[i % ends.size()];
      const auto group = [&](NodeId gpu) { return d + 1 < depth ? homes[gpu][d] : homes[gpu].back(); };
      only_way = only_way && (group(a) == group(b) || !is_fast(paths[i].kind));
    }
    if (!only_way) continue;
    double gbps = std::numeric_limits<double>::infinity();
    for (const int vertex : std::set<int>(group_of.begin(), group_of.end()))
      gbps = std::min(gbps, way_out_gbps(topology, graph, vertex));
    if (gbps <= 0) continue;
    if (!found.empty() && found.back().size == size)
      found.back().gbps = std::min(found.back().gbps, gbps);
    else
      found.push_back({size, gbps});
  }
  return found;
}

}  // namespace tutti
