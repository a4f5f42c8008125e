// Arcs: runs of blocks on a circle of them. An arc that passes the last block goes on at the first one and is then two ranges. It
// is cut there whoever looks at it, so both ends of a message agree on the two.
//
//   5 blocks, the arc of 4 from 3       0 1 . 3 4       ranges {3 4} and {0 1}
#pragma once

#include <algorithm>

#include "tutti/types.h"

namespace tutti {

struct Arc {
  Rank first = 0, size = 1;
};

// visit(first, size, part) for each range of blocks of the arc, in its order; part is 0, then 1.
template <class Visit>
constexpr void for_each_range(Arc arc, Rank blocks, Visit&& visit) {
  const Rank before_end = std::min(arc.size, blocks - arc.first);
  visit(arc.first, before_end, 0);
  if (before_end < arc.size) visit(Rank{0}, arc.size - before_end, 1);
}

}  // namespace tutti
