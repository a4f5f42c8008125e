// Stages of a hierarchical algorithm. In stage 0 the ranks of each innermost group meet; in stage i the leaders (lowest ranks) of
// the groups of level i-1 that share a group of level i; in the last stage the leaders of all outermost groups.
//
//   6 ranks, 2 levels     0   1   2   3   4   5
//   stage 0               0<--1   2<--3   4   5        groups of level 0: 01 23 4 5
//   stage 1               0<------2       4<--5        groups of level 1: 0123 45
//   stage 2               0<--------------4            the outermost leaders
//
// A rank takes part in the stages up to the first where it is not the first member. Levels are nested, groups of any size,
// and the ranks of a group need not be neighbours.
#pragma once

#include <algorithm>
#include <vector>

#include "tutti/schedule.h"

namespace tutti::stages {

// One for each level, and the last; 1 on a flat machine.
[[nodiscard]] inline std::size_t count(const Shape& shape) noexcept { return shape.levels ? shape.levels->size() + 1 : 1; }

// How many meet in the last stage.
[[nodiscard]] inline Rank outermost(const Shape& shape) noexcept {
  return count(shape) == 1 ? shape.ranks : static_cast<Rank>(shape.levels->back().groups());
}

// Those who meet in one stage, in ascending order, and where `me` stands among them.
struct Meeting {
  std::vector<Rank> members;
  Rank index = 0;

  [[nodiscard]] Rank size() const noexcept { return static_cast<Rank>(members.size()); }
};

// `me` must have led all its groups below `stage`. Costs time and memory for the group of `me` at that level; in the last
// stage for the outermost groups.
[[nodiscard]] inline Meeting meeting(const Shape& shape, std::size_t stage, Rank me) {
  Meeting result;
  const auto leads_below = [&](Rank r) {
    if (stage == 0) return true;
    const Grouping& below = (*shape.levels)[stage - 1];
    return below.leader(below.group_of(r)) == r;
  };
  if (stage + 1 < count(shape)) {
    const Grouping& level = (*shape.levels)[stage];
    for (const Rank r : level.members(level.group_of(me)))
      if (leads_below(r)) result.members.push_back(r);
  } else if (stage > 0) {
    const Grouping& outermost = shape.levels->back();
    for (int g = 0; g < outermost.groups(); ++g) result.members.push_back(outermost.leader(g));
  } else {
    for (Rank r = 0; r < shape.ranks; ++r) result.members.push_back(r);
  }
  const auto at = std::lower_bound(result.members.begin(), result.members.end(), me);
  result.index = static_cast<Rank>(at - result.members.begin());
  return result;
}

// How many meet in each stage: the most of any group, and whether all groups of each level are alike in that.
struct Sizes {
  std::vector<Rank> most;
  bool equal = true;
};

[[nodiscard]] inline Sizes sizes(const Shape& shape) {
  Sizes result;
  for (std::size_t stage = 0; stage + 1 < count(shape); ++stage) {
    const Grouping& level = (*shape.levels)[stage];
    std::vector<Rank> met(static_cast<std::size_t>(level.groups()), 0);
    const auto meets = [&](Rank r) { ++met[static_cast<std::size_t>(level.group_of(r))]; };
    if (stage == 0)
      for (Rank r = 0; r < shape.ranks; ++r) meets(r);
    else
      for (int g = 0; g < (*shape.levels)[stage - 1].groups(); ++g) meets((*shape.levels)[stage - 1].leader(g));
    const auto [least, most] = std::minmax_element(met.begin(), met.end());
    result.most.push_back(*most);
    result.equal = result.equal && *least == *most;
  }
  result.most.push_back(outermost(shape));
  return result;
}

}  // namespace tutti::stages
