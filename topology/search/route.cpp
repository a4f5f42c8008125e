#include "topology/search/route.h"

#include <algorithm>
#include <limits>
#include <queue>

namespace tutti::search {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

int price(LinkKind kind) {
  switch (kind) {
    case LinkKind::nvlink:
    case LinkKind::xgmi:
      return 1;
    case LinkKind::pcie:
      return 4;
    case LinkKind::memory:
      return 16;
    case LinkKind::network:
      return 64;
  }
  return 64;
}

bool allowed(LinkKind kind, Via via) {
  switch (via) {
    case Via::fast:
      return is_fast(kind);
    case Via::inside:
      return kind != LinkKind::network;
    case Via::network:
      return kind == LinkKind::network;
    case Via::any:
      return true;
  }
  return false;
}

}  // namespace

Router::Router(const Graph& graph) : graph_(graph), found_(graph.nodes.size()) {
  left_.reserve(2 * graph.edges.size());
  for (const Edge& edge : graph.edges) left_.insert(left_.end(), 2, edge.gbps);
}

void Router::explore(int from, double width, Via via) {
  struct Open {
    int cost;
    double left;
    int vertex;
    bool operator<(const Open& o) const {  // of two, the one to look at later
      if (cost != o.cost) return cost > o.cost;
      return left != o.left ? left < o.left : vertex > o.vertex;
    }
  };
  ++stamp_;
  from_ = from;
  found_[at(from)] = {stamp_, 0, 0, std::numeric_limits<double>::infinity(), -1};
  std::priority_queue<Open> open;
  open.push({0, found_[at(from)].left, from});
  while (!open.empty()) {
    const Open here = open.top();
    open.pop();
    if (found_[at(here.vertex)].settled == stamp_) continue;
    found_[at(here.vertex)].settled = stamp_;
    ++steps_;
    if (here.vertex != from && graph_.is_end(here.vertex)) continue;
    for (const Arc& arc : graph_.arcs[at(here.vertex)]) {
      const LinkKind kind = graph_.kind(arc.id);
      if (!allowed(kind, via) || !has(arc.id, width)) continue;
      Found& found = found_[at(arc.to)];
      const int cost = here.cost + price(kind);
      const double most = std::min(here.left, left(arc.id));
      if (found.stamp == stamp_ && (found.settled == stamp_ || cost > found.cost || (cost == found.cost && most <= found.left)))
        continue;
      found = {stamp_, found.settled, cost, most, arc.id};
      open.push({cost, most, arc.to});
    }
  }
}

Path Router::path_to(int vertex) const {
  Path path;
  for (; vertex != from_; vertex = graph_.from(path.back())) path.push_back(found_[at(vertex)].arc);
  std::reverse(path.begin(), path.end());
  return path;
}

bool Router::has(const Path& path, double width) const {
  return std::all_of(path.begin(), path.end(), [&](int arc) { return has(arc, width); });
}

void Router::take(std::span<const int> path, double width) {
  for (const int arc : path) left_[at(arc)] -= width;
}

Path reversed(const Path& path) {
  Path back;
  for (auto arc = path.rbegin(); arc != path.rend(); ++arc) back.push_back(*arc ^ 1);
  return back;
}

}  // namespace tutti::search
