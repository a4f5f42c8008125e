// Hierarchical reduce with all ranks at the borders (patterns/rails.h). The vector has one part per rail. Inside each outermost
// group (host) a direct reduce_scatter leaves each part at the rank that stands on its rail; each rail reduces its part up a
// binomial tree to the root's group, whose ranks give their parts to the root.
//
//   4 ranks, 2 hosts, root 0     0     1  |  2     3
//   scatter                      a <-> b  |  a <-> b         inside a host
//   rails                        <-----a--|--|     |         0 with 2, 1 with 3
//                                      <--|---b----|
//   gather                       <-b-- |  |                  inside the root's host
//
// The vector is cut into pieces that follow each other through the three stages.
// Source: M. Bayatpour et al., "Scalable Reduction Collectives with Data Partitioning-based Multi-Leader Design", SC 2017, with
// as many leaders as ranks.
#include "algorithms/patterns/rails.h"
#include "algorithms/patterns/stages.h"
#include "algorithms/reduce/reduce.h"

namespace tutti::reduce_algorithms {

Schedule hierarchical_scatter(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rails rails(shape);
  const Parts parts{rails};
  const Rank group = rails.group_of(me), root_group = rails.group_of(shape.root);
  const bool at_root = me == shape.root, beside_root = group == root_group;
  const Rails::Range own_rails = rails.of(me);
  const Schedule tree = knomial(group, {.ranks = rails.groups(), .root = root_group}, {});

  Builder b(Collective::reduce, "hierarchical_scatter", me, shape, rails.count() * chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    const Slice vector = b.input(piece * rails.count(), rails.count()), result = b.output(vector.chunk, vector.count);
    const Slice own = parts.of(vector, me);
    const Slice sum = at_root ? parts.of(result, me) : b.scratch_like(own);
    parts.reduce_scatter(b, vector, sum, 0);
    for (std::uint32_t i = 0; i < own_rails.count; ++i) {
      const Slice part{sum.buffer, sum.chunk + i, 1};
      embed(b, tree, [&, rail = own_rails.first + i](Rank g) { return rails.rank(g, rail); }, {part}, {part});
    }
    if (at_root)
      rails.for_each_peer(me, [&](Rank, Rank from) {
        if (const Slice theirs = parts.of(result, from); theirs.count > 0) b.recv(from, theirs, 1);
      });
    else if (beside_root && own.count > 0)
      b.send(sum, shape.root, 1);
  }
  return std::move(b).finish();
}

Cost hierarchical_scatter_cost(const Shape& shape, const Chunking& chunking) {
  const Rails rails(shape);
  const std::uint64_t pieces = chunking.pieces, most = rails.most();
  const Rank groups = rails.groups();
  Cost cost{.chunks_per_block = rails.count() * chunking.pieces, .levels = {}, .exact = stages::sizes(shape).equal};
  const PartsInside inside(shape, rails);
  for (std::size_t level = 0; level < shape.levels->size(); ++level)
    if (inside.scattered[level] > 0)
      cost.levels.push_back({.level = static_cast<int>(level),
                             .rounds = static_cast<std::uint32_t>(pieces + 1),
                             .path = (pieces + 1) * most,
                             .sent = (inside.scattered[level] + most) * pieces,  // and to the root
                             .reduced = inside.gathered[level] * pieces,
                             .posted = 2 * inside.peers[level] * pieces});
  const Shape tree{.ranks = groups, .root = rails.group_of(shape.root)};
  LevelCost across = knomial_cost(tree, {.pieces = chunking.pieces * rails.in_turn()}).levels.front();
  across.sent = groups > 1 ? most * pieces : 0;
  across.reduced = knomial_cost(tree, {}).levels.front().reduced * most * pieces;
  across.posted = across.reduced;
  across.level = static_cast<int>(shape.levels->size());
  across.leaving = groups > 1 ? rails.count() * pieces : 0;
  cost.taken = across.reduced;  // the root of a rail has several children
  cost.levels.push_back(across);
  return cost;
}

}  // namespace tutti::reduce_algorithms
