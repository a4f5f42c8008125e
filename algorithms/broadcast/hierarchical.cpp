// Hierarchical broadcast. Ranks meet in stages, one per level of the machine (patterns/stages.h); the root leads every group
// it is in. The data goes from the outermost stage inwards, in each stage from the group's leader down a binomial tree
// (patterns/knomial_tree.h), so each group gets it once over its link to the outside. The data is cut into pieces: while a
// piece is spread inside the groups, the next crosses between them.
//
//   4 ranks in two groups of 2, root 1      0      1      2      3
//   stage 1, between the leaders                   | ---> 2
//   stage 0, inside the groups              0 <--- |      | ---> 3
//
// Source: N. Karonis, B. de Supinski, I. Foster, W. Gropp, E. Lusk, J. Bresnahan, "Exploiting Hierarchy in Parallel Computer
// Networks to Optimize Collective Operation Performance", IPDPS 2000.
#include <algorithm>
#include <bit>

#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/patterns/logarithm.h"
#include "algorithms/patterns/rooted_stages.h"

namespace tutti::broadcast_algorithms {
namespace {

struct StageEdges {
  Rank parent = kNoRank;
  std::vector<Rank> children;
};

// All stages' edges of one rank, in the order in which it sends: it is below a parent in its outermost stage only.
StageEdges edges(Rank me, const Shape& shape) {
  StageEdges found;
  for (std::size_t stage = stages::count(shape); stage-- > 0;) {
    if (!stages::takes_part(shape, stage, me)) continue;
    const auto [meeting, leader] = stages::rooted_meeting(shape, stage, me);
    const auto node = knomial_tree::find(meeting.index, leader, meeting.size());
    const auto rank = [&](Rank index) { return meeting.members[static_cast<std::size_t>(index)]; };
    if (node.parent != kNoRank) found.parent = rank(node.parent);
    knomial_tree::for_each_child(node, [&](const knomial_tree::Group& child) { found.children.push_back(rank(child.root)); });
  }
  return found;
}

}  // namespace

Schedule hierarchical(Rank me, const Shape& shape, const Chunking& chunking) {
  const std::uint32_t pieces = chunking.pieces;
  Builder b(Collective::broadcast, "hierarchical", me, shape, pieces);
  const bool at_root = me == shape.root;
  const StageEdges tree = edges(me, shape);
  for (std::uint32_t piece = 0; piece < pieces; ++piece) {
    if (!at_root) b.recv(tree.parent, b.output(piece));
    for (const Rank child : tree.children) b.send(at_root ? b.input(piece) : b.output(piece), child);
  }
  if (at_root) b.copy(b.input(0, pieces), b.output(0, pieces));
  return std::move(b).finish();
}

Cost hierarchical_cost(const Shape& shape, const Chunking& chunking) {
  const std::uint64_t pieces = chunking.pieces;
  const stages::Sizes sizes = stages::sizes(shape);
  Cost cost{.chunks_per_block = chunking.pieces, .levels = {}, .exact = sizes.equal};
  for (std::size_t stage = 0; stage < stages::count(shape); ++stage) {
    // The group of the root, and any other, whose leader comes first.
    const Rank most = sizes.most[stage], root = stages::rooted_meeting(shape, stage, shape.root).leader;
    const bool others = stage + 1 < stages::count(shape) && (*shape.levels)[stage].groups() > 1;
    const Rank other = others ? 0 : root;
    const std::uint64_t depth = std::max(knomial_tree::extremes(root, most).depth, knomial_tree::extremes(other, most).depth);
    const std::uint64_t widest = std::max(knomial_tree::extremes(root, most).widest, knomial_tree::extremes(other, most).widest);
    const std::uint64_t chain = depth == 0 ? 0 : depth + pieces - 1;
    cost.levels.push_back({.level = static_cast<int>(stage),
                           .rounds = static_cast<std::uint32_t>(chain),
                           .path = chain,
                           .sent = widest * pieces,
                           .posted = widest * pieces});
  }
  return cost;
}

}  // namespace tutti::broadcast_algorithms
