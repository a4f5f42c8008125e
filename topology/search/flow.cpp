#include "topology/search/flow.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

namespace tutti::search {
namespace {

constexpr double kNothing = 1e-9;
constexpr double kEnough = std::numeric_limits<double>::infinity();

std::size_t at(int i) { return static_cast<std::size_t>(i); }

}  // namespace

int FlowNetwork::add(int from, int to, double capacity, double back) {
  const int id = static_cast<int>(capacity_.size());
  arcs_[at(from)].push_back({id, to});
  arcs_[at(to)].push_back({id + 1, from});
  capacity_.insert(capacity_.end(), {capacity, back});
  return id;
}

bool FlowNetwork::measure_depths(int from, int to) {
  depth_.assign(arcs_.size(), -1);
  depth_[at(from)] = 0;
  std::vector<int> open = {from};
  for (std::size_t i = 0; i < open.size(); ++i)
    for (const Arc& arc : arcs_[at(open[i])]) {
      ++steps_;
      if (left_[at(arc.id)] <= kNothing || depth_[at(arc.to)] >= 0) continue;
      depth_[at(arc.to)] = depth_[at(open[i])] + 1;
      open.push_back(arc.to);
    }
  return depth_[at(to)] >= 0;
}

double FlowNetwork::push(int vertex, int to, double most) {
  if (vertex == to) return most;
  for (std::size_t& i = next_[at(vertex)]; i < arcs_[at(vertex)].size(); ++i) {
    const Arc arc = arcs_[at(vertex)][i];
    ++steps_;
    if (left_[at(arc.id)] <= kNothing || depth_[at(arc.to)] != depth_[at(vertex)] + 1) continue;
    const double pushed = push(arc.to, to, std::min(most, left_[at(arc.id)]));
    if (pushed <= kNothing) continue;
    left_[at(arc.id)] -= pushed;
    left_[at(arc.id ^ 1)] += pushed;
    return pushed;
  }
  return 0;
}

double FlowNetwork::max_flow(int from, int to, double enough) {
  left_ = capacity_;
  double flow = 0;
  while (flow < enough && measure_depths(from, to)) {
    next_.assign(arcs_.size(), 0);
    for (double pushed = 1; pushed > kNothing && flow < enough; flow += pushed) pushed = push(from, to, enough - flow);
  }
  return flow;
}

namespace {

// One of the ends that look the same from the outside: joined to the same vertices by the same links.
std::vector<int> different_ends(const Graph& graph, const std::vector<int>& ends) {
  std::set<std::vector<std::pair<int, double>>> seen;
  std::vector<int> result;
  for (const int end : ends) {
    std::vector<std::pair<int, double>> links;
    for (const Arc& arc : graph.arcs[at(end)]) links.emplace_back(arc.to, graph.gbps(arc.id));
    std::sort(links.begin(), links.end());
    if (seen.insert(links).second) result.push_back(end);
  }
  return result;
}

// The network switches that a domain is plugged into, with how fast.
std::vector<std::pair<int, double>> plugs(const Graph& graph, const Domain& domain) {
  std::vector<std::pair<int, double>> result;
  for (const int port : domain.ports)
    for (const Arc& arc : graph.arcs[at(port)])
      if (graph.kinds[at(arc.to)] == NodeKind::net_switch) result.emplace_back(arc.to, graph.gbps(arc.id));
  return result;
}

}  // namespace

Bound broadcast_bound(const Graph& graph, const std::vector<Domain>& domains, int root) {
  FlowNetwork network(static_cast<int>(graph.nodes.size()));
  for (std::size_t v = 0; v < graph.nodes.size(); ++v)
    for (const Arc& arc : graph.arcs[v])
      if (arc.id % 2 == 0) network.add(static_cast<int>(v), arc.to, graph.gbps(arc.id), graph.gbps(arc.id));
  Bound bound{kEnough, 0};
  std::set<std::pair<int, std::vector<std::pair<int, double>>>> seen;
  for (const Domain& domain : domains) {
    const bool home = graph.domain_of[at(domain.ends.front())] == graph.domain_of[at(root)];
    if (!home && !seen.emplace(domain.alike, plugs(graph, domain)).second) continue;
    for (const int end : different_ends(graph, domain.ends))
      if (end != root) bound.gbps = std::min(bound.gbps, network.max_flow(root, end, bound.gbps));
    // The root's equals are left out with it.
    if (home)
      for (const int end : domain.ends)
        if (end != root) {
          bound.gbps = std::min(bound.gbps, network.max_flow(root, end, bound.gbps));
          break;
        }
  }
  bound.steps = network.steps();
  return bound;
}

Bound circles_bound(const Graph& graph, const Domain& domain, bool with_network) {
  const int count = static_cast<int>(domain.ends.size()) + (with_network ? 1 : 0);
  if (count < 2) return {kEnough, 0};
  // Every end is two vertices, one that sends and one that receives, so that nothing passes through it.
  std::map<int, int> sender, receiver;
  for (const int v : domain.vertices) sender.emplace(v, static_cast<int>(sender.size()));
  int vertices = static_cast<int>(sender.size());
  for (const int end : domain.ends) receiver.emplace(end, vertices++);
  const auto into = [&](int v) { return graph.is_end(v) ? receiver.at(v) : sender.at(v); };
  const int outside = vertices++, back_outside = vertices++, source = vertices++, sink = vertices++;
  FlowNetwork network(vertices);
  double each = kEnough;
  for (const int v : domain.vertices) {
    double out = 0;
    for (const Arc& arc : graph.arcs[at(v)]) {
      const double gbps = graph.gbps(arc.id);
      out += gbps;
      if (sender.contains(arc.to)) network.add(sender.at(v), into(arc.to), gbps);
      if (!with_network || graph.kinds[at(arc.to)] != NodeKind::net_switch) continue;
      network.add(sender.at(v), back_outside, gbps);
      network.add(outside, into(v), gbps);
    }
    if (graph.is_end(v)) each = std::min(each, out);
  }
  struct Once {
    int arc, from, to;
  };
  std::vector<Once> once;  // what every end sends, and what it receives
  const auto add_end = [&](int sends, int receives) {
    once.push_back({network.add(source, sends, 0), source, sends});
    once.push_back({network.add(receives, sink, 0), receives, sink});
  };
  for (const auto& [end, receives] : receiver) add_end(sender.at(end), receives);
  if (with_network) add_end(outside, back_outside);
  // From above: where the least cut is too small for what all want, they want no more than it lets through.
  for (int round = 0; round < 100 && each > 0; ++round) {
    for (const Once& o : once) network.set(o.arc, each);
    const double flow = network.max_flow(source, sink, count * each);
    if (flow >= count * each * (1 - 1e-9)) break;
    const auto cut = std::count_if(
        once.begin(), once.end(), [&](const Once& o) { return network.on_source_side(o.from) && !network.on_source_side(o.to); });
    const auto crossing = static_cast<double>(cut);
    each = (flow - crossing * each) / (count - crossing);
  }
  return {each, network.steps()};
}

}  // namespace tutti::search
