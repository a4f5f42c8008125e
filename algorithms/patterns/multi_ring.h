// Several rings through all ranks, each in an order and on a channel of its own, that share the data in proportion to their
// weights (Shape::routes). Without routes: one ring in the order of ranks.
//
//   two rings, weights 2 and 1     channel 0: 0 -> 1 -> 2 -> 3 ->      the first two thirds of every block
//                                  channel 1: 0 -> 2 -> 1 -> 3 ->      the last third
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "tutti/routes.h"
#include "tutti/schedule.h"

namespace tutti::multi_ring {

[[nodiscard]] inline std::vector<Ring> rings(const Shape& shape) {
  if (shape.routes != nullptr && !shape.routes->rings.empty()) return shape.routes->rings;
  Ring natural;
  natural.order.resize(static_cast<std::size_t>(shape.ranks));
  std::iota(natural.order.begin(), natural.order.end(), 0);
  return {natural};
}

struct Weights {
  std::uint32_t sum = 0, most = 0;
};
// Of rings and of trees.
template <class Route>
[[nodiscard]] Weights weights(const std::vector<Route>& routes) {
  Weights w;
  for (const Route& route : routes) w = {w.sum + route.weight, std::max(w.most, route.weight)};
  return w;
}

// Calls visit(ring, index of `me` in it, weights before it, channel) for each ring.
template <class Visit>
void for_each(const std::vector<Ring>& rings, Rank me, Visit&& visit) {
  std::uint32_t before = 0;
  for (std::size_t r = 0; r < rings.size(); before += rings[r++].weight) {
    const auto& order = rings[r].order;
    const auto index = static_cast<Rank>(std::find(order.begin(), order.end(), me) - order.begin());
    visit(rings[r], index, before, static_cast<std::uint16_t>(r));
  }
}

}  // namespace tutti::multi_ring
