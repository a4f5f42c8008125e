// Combining the contributions of all ranks in rank order, once they have all arrived at one.
#pragma once

#include <vector>

#include "tutti/schedule.h"

namespace tutti {

// to = contributions[0] (+) contributions[1] (+) ..., where contributions[own] may already lie in `to` (in place: it is then
// joined by the lower ones from the left, so that nothing has to be moved out of the way).
// The steps form one chain on one slice. fuse() turns three contributions and more into a single pass over memory in rank order,
// so it gives the same bits on every rank, in place or not; two contributions have but one order anyway, and start from `own` so
// that the other one can be combined as it arrives.
inline void combine_in_rank_order(Builder& b, const std::vector<Slice>& contributions, std::size_t own, Slice to) {
  const std::size_t first = contributions.size() == 2 || contributions[own] == to ? own : 0;
  b.copy(contributions[first], to);
  for (std::size_t r = first; r-- > 0;) b.reduce_left(contributions[r], to);
  for (std::size_t r = first + 1; r < contributions.size(); ++r) b.reduce(contributions[r], to);
}

}  // namespace tutti
