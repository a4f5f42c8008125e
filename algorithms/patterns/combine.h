// Combining the contributions of all ranks in rank order, once they have all arrived at one.
#pragma once

#include <vector>

#include "tutti/schedule.h"

namespace tutti {

// to = contributions[0] (+) contributions[1] (+) ... It starts from contributions[own], which may already lie in `to` (in place,
// here or where the schedule is embedded), so that nothing has to be moved out of the way, and is joined by lower ones from the
// left. The steps form one chain on one slice. fuse() turns three contributions and more into a single pass over memory in rank
// order, so it gives the same bits on every rank; two have but one order anyway, and the other one can be combined as it arrives.
inline void combine_in_rank_order(Builder& b, const std::vector<Slice>& contributions, std::size_t own, Slice to) {
  b.copy(contributions[own], to);
  for (std::size_t r = own; r-- > 0;) b.reduce_left(contributions[r], to);
  for (std::size_t r = own + 1; r < contributions.size(); ++r) b.reduce(contributions[r], to);
}

}  // namespace tutti
