#include "topology/search/graph.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "topology/estimates.h"
#include "topology/wires.h"

namespace tutti::search {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

int root(std::vector<int>& parent, int i) {
  while (parent[at(i)] != i) i = parent[at(i)] = parent[at(parent[at(i)])];
  return i;
}

class Maker {
 public:
  Maker(const Topology& topology, std::span<const NodeId> ends) : topology_(topology), ends_(ends) {
    rank_of_node_.assign(topology.nodes.size(), -1);
    for (std::size_t r = 0; r < ends.size(); ++r) rank_of_node_[at(ends[r])] = static_cast<int>(r);
  }

  Graph make() {
    add_vertices();
    for (const Link& link : topology_.links) add_link(link);
    for (std::size_t id = 0; id < topology_.nodes.size(); ++id) add_containment(static_cast<NodeId>(id));
    join_packages();
    for (std::size_t e = 0; e < graph_.edges.size(); ++e) {
      const Edge& edge = graph_.edges[e];
      graph_.arcs[at(edge.a)].push_back({static_cast<int>(2 * e), edge.b});
      graph_.arcs[at(edge.b)].push_back({static_cast<int>(2 * e + 1), edge.a});
    }
    number_domains();
    return std::move(graph_);
  }

 private:
  [[nodiscard]] const Node& node(NodeId id) const { return topology_.nodes[at(id)]; }

  // The package around a node; where there is none the NUMA node; the machine where nobody knows.
  [[nodiscard]] NodeId processor(NodeId id) const {
    NodeId found = kNoNode;
    for (; node(id).parent != kNoNode; id = node(id).parent)
      if (node(id).kind == NodeKind::package || node(id).kind == NodeKind::numa) found = id;
    return found == kNoNode ? id : found;
  }

  void add_vertices() {
    const std::size_t n = topology_.nodes.size();
    graph_.vertex_of.assign(n, -1);
    machine_of_.assign(n, kNoNode);
    // What lies in a machine itself, as in virtual machines that hide where, is taken to be at its first processor.
    for (std::size_t id = 0; id < n; ++id) {
      const Node& here = topology_.nodes[id];
      machine_of_[id] = here.parent == kNoNode ? static_cast<NodeId>(id) : machine_of_[at(here.parent)];
      const bool package = here.kind == NodeKind::package || here.kind == NodeKind::numa;
      if (package && processor(static_cast<NodeId>(id)) == static_cast<NodeId>(id))
        first_.try_emplace(machine_of_[id], static_cast<NodeId>(id));
    }
    for (std::size_t id = 0; id < n; ++id) {
      const auto self = static_cast<NodeId>(id);
      if (stands_alone(self)) {
        graph_.vertex_of[id] = static_cast<int>(graph_.nodes.size());
        graph_.nodes.push_back(self);
        graph_.kinds.push_back(node(self).kind);
        graph_.rank_of.push_back(rank_of_node_[id]);
        machine_of_vertex_.push_back(machine_of_[id]);
      }
    }
    for (std::size_t id = 0; id < n; ++id) {
      const NodeKind kind = topology_.nodes[id].kind;
      if (graph_.vertex_of[id] < 0 && kind != NodeKind::gpu && kind != NodeKind::core)
        graph_.vertex_of[id] = graph_.vertex_of[at(home(static_cast<NodeId>(id)))];
    }
    graph_.arcs.resize(graph_.nodes.size());
    for (const NodeId end : ends_) graph_.ends.push_back(graph_.vertex_of[at(end)]);
  }

  // The processor that a node is in or, for lack of a better guess, the machine's first.
  [[nodiscard]] NodeId home(NodeId id) const {
    const NodeId found = processor(id);
    const auto first = first_.find(found);
    return first == first_.end() ? found : first->second;
  }

  [[nodiscard]] bool stands_alone(NodeId id) const {
    switch (node(id).kind) {
      case NodeKind::gpu:
      case NodeKind::core:
        return rank_of_node_[at(id)] >= 0;
      case NodeKind::nvswitch:
      case NodeKind::pci_switch:
      case NodeKind::nic:
      case NodeKind::net_switch:
        return true;
      case NodeKind::machine:
      case NodeKind::package:
      case NodeKind::numa:
        return home(id) == id;
      case NodeKind::l3:
        return false;
    }
    return false;
  }

  void add_link(const Link& link) {
    const int a = graph_.vertex_of[at(link.a)], b = graph_.vertex_of[at(link.b)];
    if (a < 0 || b < 0 || a == b) return;
    const bool said = link.bandwidth_gbps > 0;
    add(a, b, link.kind, said ? link.bandwidth_gbps : usual_gbps(link.kind), link.latency_us,
        said ? link.origin : Origin::estimate);
  }

  // Parallel links add up; but distances between the NUMA nodes of two packages all tell of the same connection.
  void add(int a, int b, LinkKind kind, double gbps, double latency_us = 0, Origin origin = Origin::estimate) {
    const auto [found, fresh] = edge_between_.try_emplace({std::min(a, b), std::max(a, b), kind}, graph_.edges.size());
    if (fresh) {
      graph_.edges.push_back({a, b, gbps, kind, latency_us, origin});
    } else if (kind == LinkKind::memory) {
      graph_.edges[found->second].gbps = std::max(graph_.edges[found->second].gbps, gbps);
    } else {
      graph_.edges[found->second].gbps += gbps;
    }
  }

  [[nodiscard]] bool joined(int a, int b, LinkKind kind) const {
    return edge_between_.contains({std::min(a, b), std::max(a, b), kind});
  }

  // A device is joined to what it is plugged into, and a core to its package.
  void add_containment(NodeId id) {
    const int self = graph_.vertex_of[at(id)];
    const NodeKind kind = node(id).kind;
    const bool plugged = kind == NodeKind::gpu || kind == NodeKind::nic || kind == NodeKind::pci_switch;
    if (self < 0 || (!plugged && kind != NodeKind::core)) return;
    const int around = graph_.vertex_of[at(node(id).parent)];
    const LinkKind link = plugged ? LinkKind::pcie : LinkKind::memory;
    if (around < 0 || around == self || joined(self, around, link)) return;
    add(around, self, link, plugged ? usual_gbps(LinkKind::pcie) : kCoreGbps);
  }

  void join_packages() {
    std::map<NodeId, std::vector<int>> processors;
    for (std::size_t v = 0; v < graph_.nodes.size(); ++v)
      if (graph_.kinds[v] == NodeKind::package || graph_.kinds[v] == NodeKind::numa)
        processors[machine_of_vertex_[v]].push_back(static_cast<int>(v));
    for (const auto& [machine, all] : processors)
      for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t j = i + 1; j < all.size(); ++j)
          if (!joined(all[i], all[j], LinkKind::memory)) add(all[i], all[j], LinkKind::memory, usual_gbps(LinkKind::memory));
  }

  void number_domains() {
    const std::size_t n = graph_.nodes.size();
    std::vector<int> parent(n);
    std::iota(parent.begin(), parent.end(), 0);
    std::map<NodeId, int> first_of_machine;
    for (std::size_t v = 0; v < n; ++v) {
      const auto [first, fresh] = first_of_machine.try_emplace(machine_of_vertex_[v], static_cast<int>(v));
      if (!fresh) parent[at(root(parent, static_cast<int>(v)))] = root(parent, first->second);
    }
    for (const Edge& edge : graph_.edges)
      if (edge.kind != LinkKind::network) {
        const int a = root(parent, edge.a), b = root(parent, edge.b);
        parent[at(std::max(a, b))] = std::min(a, b);
      }
    std::map<int, int> number;
    graph_.domain_of.assign(n, -1);
    for (std::size_t v = 0; v < n; ++v) {
      if (graph_.kinds[v] == NodeKind::net_switch) continue;
      graph_.domain_of[v] = number.try_emplace(root(parent, static_cast<int>(v)), static_cast<int>(number.size())).first->second;
    }
    graph_.domains = static_cast<int>(number.size());
  }

  const Topology& topology_;
  const std::span<const NodeId> ends_;
  std::vector<int> rank_of_node_;
  std::vector<NodeId> machine_of_, machine_of_vertex_;
  std::map<NodeId, NodeId> first_;  // a machine's first processor
  std::map<std::tuple<int, int, LinkKind>, std::size_t> edge_between_;
  Graph graph_;
};

bool is_linked(const Graph& graph, const Domain& domain) {
  if (domain.ends.size() < 2) return false;
  std::map<int, int> position;
  std::vector<int> parent(graph.nodes.size());
  std::iota(parent.begin(), parent.end(), 0);
  const auto through = [&](int v) { return graph.is_end(v) || graph.kinds[at(v)] == NodeKind::nvswitch; };
  for (const int e : domain.edges) {
    const Edge& edge = graph.edges[at(e)];
    if (is_fast(edge.kind) && through(edge.a) && through(edge.b)) parent[at(root(parent, edge.a))] = root(parent, edge.b);
  }
  return std::all_of(domain.ends.begin(), domain.ends.end(),
                     [&](int end) { return root(parent, end) == root(parent, domain.ends.front()); });
}

// What two domains must have in common to be searched once.
std::vector<double> looks(const Graph& graph, const Domain& domain) {
  std::map<int, int> place;
  for (const int v : domain.vertices) place.emplace(v, static_cast<int>(place.size()));
  std::vector<double> result;
  for (const int v : domain.vertices) {
    result.push_back(static_cast<double>(graph.kinds[at(v)]));
    result.push_back(graph.is_end(v) ? 1 : 0);
    for (const Arc& arc : graph.arcs[at(v)])
      if (graph.kind(arc.id) == LinkKind::network) result.push_back(graph.gbps(arc.id));
  }
  for (const int e : domain.edges) {
    const Edge& edge = graph.edges[at(e)];
    result.insert(result.end(), {-1.0, static_cast<double>(place.at(edge.a)), static_cast<double>(place.at(edge.b)), edge.gbps,
                                 static_cast<double>(edge.kind)});
  }
  return result;
}

}  // namespace

Graph make_graph(const Topology& topology, std::span<const NodeId> ends) { return Maker(topology, ends).make(); }

std::vector<Domain> domains(const Graph& graph) {
  std::vector<Domain> result(at(graph.domains));
  for (std::size_t v = 0; v < graph.nodes.size(); ++v) {
    const int d = graph.domain_of[v];
    if (d < 0) continue;
    result[at(d)].vertices.push_back(static_cast<int>(v));
    if (std::any_of(graph.arcs[v].begin(), graph.arcs[v].end(),
                    [&](const Arc& arc) { return graph.kinds[at(arc.to)] == NodeKind::net_switch; }))
      result[at(d)].ports.push_back(static_cast<int>(v));
  }
  for (const int end : graph.ends) result[at(graph.domain_of[at(end)])].ends.push_back(end);
  for (std::size_t e = 0; e < graph.edges.size(); ++e)
    if (graph.edges[e].kind != LinkKind::network)
      result[at(graph.domain_of[at(graph.edges[e].a)])].edges.push_back(static_cast<int>(e));
  std::erase_if(result, [](const Domain& d) { return d.ends.empty(); });
  std::map<std::vector<double>, int> first;
  for (std::size_t d = 0; d < result.size(); ++d) {
    result[d].alike = first.try_emplace(looks(graph, result[d]), static_cast<int>(d)).first->second;
    result[d].linked = result[d].alike == static_cast<int>(d) ? is_linked(graph, result[d]) : result[at(result[d].alike)].linked;
  }
  return result;
}

void prune(Graph& graph, const std::vector<Domain>& domains) {
  if (domains.size() != 1) return;
  const bool linked = domains.front().linked;
  for (auto& arcs : graph.arcs)
    std::erase_if(arcs, [&](const Arc& arc) {
      const LinkKind kind = graph.kind(arc.id);
      return kind == LinkKind::network || (linked && !is_fast(kind));
    });
}

}  // namespace tutti::search
