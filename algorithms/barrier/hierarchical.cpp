// Hierarchical barrier over the levels of the machine (patterns/stages.h). Ranks report up a binomial tree in each group to its
// leader, level by level; the outermost leaders tell each other by dissemination; the release goes down the same trees.
//
//   4 ranks, 2 hosts      0   1 | 2   3
//   up                    0<--1 | 2<--3        ranks of a host
//   across                0<----|>2            the leaders
//   down                  0-->1 | 2-->3
//
// Source: J. Mellor-Crummey, M. Scott, "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors", ACM Trans.
// Computer Systems 9 (1991), inside groups; D. Hensgen, R. Finkel, U. Manber (1988) between them.
#include "algorithms/barrier/barrier.h"
#include "algorithms/patterns/knomial_tree.h"
#include "algorithms/patterns/stages.h"

namespace tutti::barrier_algorithms {
namespace {

// The trees that a rank is in, those of all stages but the last joined: it is below a parent in its outermost one only.
struct Edges {
  Rank parent = kNoRank;
  std::vector<Rank> children;  // innermost first
};

Edges edges(Rank me, const Shape& shape) {
  Edges found;
  for (std::size_t stage = 0; stage + 1 < stages::count(shape) && found.parent == kNoRank; ++stage) {
    const auto meeting = stages::meeting(shape, stage, me);
    const auto rank = [&](Rank index) { return meeting.members[static_cast<std::size_t>(index)]; };
    const auto node = knomial_tree::find(meeting.index, 0, meeting.size());
    knomial_tree::for_each_child(node, [&](const knomial_tree::Group& child) { found.children.push_back(rank(child.root)); });
    if (node.parent != kNoRank) found.parent = rank(node.parent);
    if (meeting.index != 0) break;
  }
  return found;
}

}  // namespace

Schedule hierarchical(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::barrier, "hierarchical", me, shape, 1);
  const Edges tree = edges(me, shape);
  Slice heard = b.input(0);
  if (!tree.children.empty()) {
    heard = b.scratch_like(b.output(0));
    b.copy(b.input(0), heard);
  }
  for (const Rank child : tree.children) {
    const Slice arrival = b.scratch_like(b.output(0));
    b.recv(child, arrival);
    b.reduce(arrival, heard);
  }
  if (tree.parent != kNoRank) {
    b.send(heard, tree.parent);
    b.recv(tree.parent, b.output(0));
  } else {
    const auto leaders = stages::meeting(shape, stages::count(shape) - 1, me);
    embed(b, dissemination(leaders.index, {.ranks = leaders.size()}, {}), leaders.members, {heard}, {b.output(0)});
  }
  for (auto child = tree.children.rbegin(); child != tree.children.rend(); ++child) b.send(b.output(0), *child);
  return std::move(b).finish();
}

Cost hierarchical_cost(const Shape& shape, const Chunking&) {
  const stages::Sizes sizes = stages::sizes(shape);
  Cost cost{.chunks_per_block = 1, .levels = {}, .exact = sizes.equal};
  for (std::size_t stage = 0; stage + 1 < sizes.most.size(); ++stage) {
    const auto tree = knomial_tree::extremes(0, sizes.most[stage]);
    cost.levels.push_back({.level = static_cast<int>(stage),
                           .rounds = static_cast<std::uint32_t>(2 * tree.depth),
                           .path = 2 * tree.depth,
                           .sent = tree.widest,
                           .reduced = tree.widest,
                           .posted = tree.widest});
  }
  LevelCost across = dissemination_cost({.ranks = sizes.most.back()}, {}).levels.front();
  across.level = static_cast<int>(sizes.most.size()) - 1;
  cost.levels.push_back(across);
  return cost;
}

}  // namespace tutti::barrier_algorithms
