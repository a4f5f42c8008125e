// Hierarchical scatter: blocks go from the root down a tree of the leaders of the outermost groups (hosts), and in each group
// from its leader down a binomial tree (patterns/group_tree.h), whole ranges at a time. So every host gets what is for it in one
// message.
//
//   4 ranks, 2 hosts, root 0     0      1   |   2      3
//   between                      |-cd---------->       |
//   inside                       |- b -->   |   |- d -->
//
// Where ranks are not in the order of groups, the root copies the blocks into that order first.
// Source: N. Karonis et al., "Exploiting Hierarchy in Parallel Computer Networks to Optimize Collective Operation Performance",
// IPDPS 2000.
#include "algorithms/patterns/group_tree.h"
#include "algorithms/scatter/scatter.h"

namespace tutti::scatter_algorithms {

Schedule hierarchical(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::scatter, "hierarchical", me, shape, 1);
  const GroupTree tree(me, shape);
  if (tree.children().empty() && tree.parent() != kNoRank) {  // a leaf has nothing to hand on
    b.recv(tree.parent(), b.output(0));
    return std::move(b).finish();
  }
  const bool at_root = tree.parent() == kNoRank, in_place = at_root && tree.in_rank_order();
  const Slice held = in_place ? b.input(0, static_cast<std::uint32_t>(shape.ranks)) : tree.room(b, Buffer::input);
  if (at_root && !in_place)
    tree.for_each_run(tree.below(), [&](Rank first, GroupTree::Range run) {
      b.copy(b.input(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(run.count)), tree.part(held, run));
    });
  if (!at_root) b.recv(tree.parent(), held);
  for (const GroupTree::Child& child : tree.children()) b.send(tree.part(held, child.below), child.rank);
  b.copy(tree.part(held, {tree.position(me), 1}), b.output(0));
  return std::move(b).finish();
}

Cost hierarchical_cost(const Shape& shape, const Chunking&) {
  const GroupTreeCost tree(shape);
  const Grouping& groups = shape.levels->back();
  const auto others = static_cast<std::uint64_t>(groups.largest() - 1);
  const auto outside = static_cast<std::uint64_t>(shape.ranks) - groups.members(groups.group_of(shape.root)).size();
  Cost cost{.chunks_per_block = 1, .levels = {}, .exact = tree.exact};
  for (std::size_t level = 0; level <= shape.levels->size(); ++level) {
    const bool inside = level < shape.levels->size();
    const auto& part = inside ? tree.inside : tree.between;
    cost.levels.push_back({.level = static_cast<int>(level),
                           .rounds = static_cast<std::uint32_t>(part.depth),
                           .path = part.heaviest,
                           .sent = inside ? others : outside,
                           .posted = part.widest});
  }
  return cost;
}

}  // namespace tutti::scatter_algorithms
