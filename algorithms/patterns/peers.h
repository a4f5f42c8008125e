// Peers: the other ranks of one group, all of which a rank reaches directly.
#pragma once

#include <algorithm>
#include <vector>

#include "algorithms/patterns/ring.h"
#include "tutti/schedule.h"

namespace tutti::peers {

// visit(to, from) for each of the others of a circle, beginning with the neighbours, so that not all talk to the same one.
template <class Visit>
void for_each_other(Rank me, Rank size, Visit&& visit) {
  for (Rank distance = 1; distance < size; ++distance) visit(ring::shift(me, distance, size), ring::shift(me, -distance, size));
}

// The same for the ranks of the group that `me` is in.
template <class Visit>
void for_each(const Grouping& groups, Rank me, Visit&& visit) {
  const auto all = groups.members(groups.group_of(me));
  for_each_other(groups.index_in_group(me), static_cast<Rank>(all.size()),
                 [&](Rank to, Rank from) { visit(all[static_cast<std::size_t>(to)], all[static_cast<std::size_t>(from)]); });
}

// The peers of a rank in its outermost group that it meets at a level and at none below.
[[nodiscard]] inline std::uint64_t meets_at(const Shape& shape, std::size_t level, Rank rank) {
  const auto size = [&](std::size_t l) {
    const Grouping& grouping = (*shape.levels)[l];
    return grouping.members(grouping.group_of(rank)).size();
  };
  return size(level) - (level == 0 ? 1 : size(level - 1));
}

// What a rank has to do with its peers in the outermost group at each level inside it: the most that any rank has of
// weight(rank) times the number of those peers that it meets at that level.
template <class Weight>
[[nodiscard]] std::vector<std::uint64_t> weigh(const Shape& shape, Weight&& weight) {
  std::vector<std::uint64_t> most(shape.levels->size(), 0);
  for (Rank r = 0; r < shape.ranks; ++r)
    for (std::size_t level = 0; level < most.size(); ++level)
      most[level] = std::max(most[level], static_cast<std::uint64_t>(weight(r)) * meets_at(shape, level, r));
  return most;
}

// Where every rank has a chunk for each other one: LevelCost::leaving, none where the outermost groups are not known.
[[nodiscard]] inline std::uint64_t leaving(const Shape& shape) {
  std::uint64_t most = 0;
  if (shape.levels == nullptr || shape.levels->empty()) return most;
  const Grouping& groups = shape.levels->back();
  for (int g = 0; g < groups.groups(); ++g) {
    const auto size = static_cast<std::uint64_t>(groups.members(g).size());
    most = std::max(most, size * (static_cast<std::uint64_t>(shape.ranks) - size));
  }
  return most;
}

}  // namespace tutti::peers
