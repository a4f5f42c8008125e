// Stages (patterns/stages.h) with a root: it leads every group it is in, in place of the lowest rank.
//
//   6 ranks, root 3       0   1   2   3   4   5
//   stage 0               0-->1   2<--3   4-->5        leaders 0, 3 and 4
//   stage 1               0<----------3-->4
#pragma once

#include <algorithm>

#include "algorithms/patterns/stages.h"

namespace tutti::stages {

[[nodiscard]] inline Rank rooted_leader(const Shape& shape, std::size_t level, Rank of) {
  const Grouping& grouping = (*shape.levels)[level];
  const int group = grouping.group_of(of);
  return grouping.group_of(shape.root) == group ? shape.root : grouping.leader(group);
}

// Whether `me` leads all its groups below a stage and so takes part in it.
[[nodiscard]] inline bool takes_part(const Shape& shape, std::size_t stage, Rank me) {
  return stage == 0 || rooted_leader(shape, stage - 1, me) == me;
}

struct RootedMeeting {
  Meeting meeting;
  Rank leader = 0;  // index of the member that leads
};

// For those who take part. Same members in the same order for all of them.
[[nodiscard]] inline RootedMeeting rooted_meeting(const Shape& shape, std::size_t stage, Rank me) {
  const auto lowest_below = [&](Rank r) {  // the rank that the root stands in for
    return stage == 0 ? r : (*shape.levels)[stage - 1].leader((*shape.levels)[stage - 1].group_of(r));
  };
  RootedMeeting result{.meeting = meeting(shape, stage, lowest_below(me)), .leader = 0};
  auto& members = result.meeting.members;
  const auto root = std::lower_bound(members.begin(), members.end(), lowest_below(shape.root));
  if (root != members.end() && *root == lowest_below(shape.root)) {
    *root = shape.root;
    result.leader = static_cast<Rank>(root - members.begin());
  }
  return result;
}

}  // namespace tutti::stages
