// Ranks in the order of the machine: by outermost group, then by the group inside it, and so on. The ranks of any group then
// stand side by side even where the launcher dealt them out, and what belongs to a group is one slice of a buffer kept in
// this order.
//
//   ranks dealt out to two hosts      0 2 | 1 3      order 0 2 1 3, positions of 0..3: 0 2 1 3
#pragma once

#include <algorithm>
#include <numeric>
#include <vector>

#include "tutti/schedule.h"

namespace tutti {

class GroupedOrder {
 public:
  explicit GroupedOrder(const Shape& shape) {
    if (shape.levels == nullptr) return;
    if (std::all_of(shape.levels->begin(), shape.levels->end(), [](const Grouping& level) { return level.ranges(); })) return;
    order_.resize(static_cast<std::size_t>(shape.ranks));
    std::iota(order_.begin(), order_.end(), Rank{0});
    for (const Grouping& level : *shape.levels)  // innermost first, so that the outermost decides
      std::stable_sort(order_.begin(), order_.end(), [&](Rank a, Rank b) { return level.group_of(a) < level.group_of(b); });
    position_.resize(order_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) position_[static_cast<std::size_t>(order_[i])] = static_cast<Rank>(i);
  }

  // Whether it is just the order of ranks; nothing is stored then.
  [[nodiscard]] bool is_rank_order() const noexcept { return order_.empty(); }
  [[nodiscard]] Rank position(Rank rank) const { return is_rank_order() ? rank : position_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] Rank rank_at(Rank position) const {
    return is_rank_order() ? position : order_[static_cast<std::size_t>(position)];
  }

 private:
  std::vector<Rank> order_, position_;
};

}  // namespace tutti
