#include "topology/search/branchings.h"

#include <algorithm>

#include "topology/search/flow.h"

namespace tutti::search {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

class Growing {
 public:
  Growing(int vertices, int root, std::vector<UnitArc> arcs)
      : vertices_(vertices), root_(root), arcs_(std::move(arcs)), flow_(vertices) {
    for (const UnitArc& arc : arcs_) flow_.add(arc.from, arc.to, arc.count);
  }

  // A tree after which `remaining` more can be grown; empty where there is none.
  std::vector<int> grow(int remaining) {
    std::vector<int> parent(at(vertices_), -1), depth(at(vertices_), -1);
    depth[at(root_)] = 0;
    for (int inside = 1; inside < vertices_; ++inside) {
      const int chosen = choose(depth, remaining);
      if (chosen < 0) return {};
      const UnitArc& arc = arcs_[at(chosen)];
      parent[at(arc.to)] = arc.from;
      depth[at(arc.to)] = depth[at(arc.from)] + 1;
    }
    return parent;
  }

  [[nodiscard]] std::uint64_t steps() const { return flow_.steps(); }

 private:
  // Takes out one arc that leaves the tree, the nearest to the root whose loss leaves enough.
  int choose(const std::vector<int>& depth, int remaining) {
    std::vector<int> leaving;
    for (std::size_t i = 0; i < arcs_.size(); ++i)
      if (arcs_[i].count > 0 && depth[at(arcs_[i].from)] >= 0 && depth[at(arcs_[i].to)] < 0)
        leaving.push_back(static_cast<int>(i));
    std::stable_sort(leaving.begin(), leaving.end(), [&](int a, int b) {
      const UnitArc &x = arcs_[at(a)], &y = arcs_[at(b)];
      const int near = depth[at(x.from)], far = depth[at(y.from)];
      return near != far ? near < far : x.count > y.count;
    });
    for (const int i : leaving) {
      UnitArc& arc = arcs_[at(i)];
      flow_.set(2 * i, --arc.count);
      if (flow_.max_flow(root_, arc.to, remaining) >= remaining) return i;
      flow_.set(2 * i, ++arc.count);
    }
    return -1;
  }

  const int vertices_, root_;
  std::vector<UnitArc> arcs_;
  FlowNetwork flow_;
};

}  // namespace

std::vector<std::vector<int>> branchings(int vertices, int root, std::vector<UnitArc> arcs, int trees, std::uint64_t& steps) {
  Growing growing(vertices, root, std::move(arcs));
  std::vector<std::vector<int>> result;
  for (int t = 0; t < trees; ++t) {
    result.push_back(growing.grow(trees - t - 1));
    if (result.back().empty()) break;
  }
  steps += growing.steps();
  if (!result.empty() && result.back().empty()) result.clear();
  return result;
}

}  // namespace tutti::search
