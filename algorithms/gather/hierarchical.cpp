// Hierarchical gather: blocks go up a binomial tree inside each outermost group (host) to its leader, and up a tree of the
// leaders to the root (patterns/group_tree.h), whole ranges at a time. So every host sends what it has in one message.
//
//   4 ranks, 2 hosts, root 0     0      1   |   2      3
//   inside                       <-- b -|   |   <-- d -|
//   between                      <--------------cd     |
//
// Where ranks are not in the order of groups, the root puts the blocks into the order of ranks at the end.
// Source: N. Karonis et al., "Exploiting Hierarchy in Parallel Computer Networks to Optimize Collective Operation Performance",
// IPDPS 2000.
#include "algorithms/gather/gather.h"
#include "algorithms/patterns/group_tree.h"

namespace tutti::gather_algorithms {

Schedule hierarchical(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::gather, "hierarchical", me, shape, 1);
  const GroupTree tree(me, shape);
  if (tree.children().empty() && tree.parent() != kNoRank) {  // a leaf has nothing to collect
    b.send(b.input(0), tree.parent());
    return std::move(b).finish();
  }
  const bool at_root = tree.parent() == kNoRank, in_place = at_root && tree.in_rank_order();
  const Slice held = in_place ? b.output(0, static_cast<std::uint32_t>(shape.ranks)) : tree.room(b, Buffer::output);
  b.copy(b.input(0), tree.part(held, {tree.position(me), 1}));
  for (const GroupTree::Child& child : tree.children()) b.recv(child.rank, tree.part(held, child.below));
  if (!at_root) b.send(held, tree.parent());
  if (at_root && !in_place)
    tree.for_each_run(tree.below(), [&](Rank first, GroupTree::Range run) {
      b.copy(tree.part(held, run), b.output(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(run.count)));
    });
  return std::move(b).finish();
}

Cost hierarchical_cost(const Shape& shape, const Chunking&) {
  const GroupTreeCost tree(shape);
  Cost cost{.chunks_per_block = 1, .levels = {}, .taken = static_cast<std::uint64_t>(shape.ranks - 1), .exact = tree.exact};
  for (std::size_t level = 0; level <= shape.levels->size(); ++level) {
    const auto& part = level < shape.levels->size() ? tree.inside : tree.between;
    cost.levels.push_back({.level = static_cast<int>(level),
                           .rounds = static_cast<std::uint32_t>(part.depth),
                           .path = part.heaviest,
                           .sent = part.largest,
                           .posted = part.widest});
  }
  return cost;
}

}  // namespace tutti::gather_algorithms
