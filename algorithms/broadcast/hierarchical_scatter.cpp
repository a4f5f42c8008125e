// Hierarchical broadcast with all ranks at the borders (patterns/rails.h). The data has one part per rail. The root gives each
// rank of its outermost group (host) the parts of the rails it stands on; each rail runs a double binary tree broadcast of its
// part; a direct all_gather inside each group brings the parts to everybody.
//
//   4 ranks, 2 hosts, root 0     0     1  |  2     3
//   scatter                      | -b->   |                  inside the root's host
//   rails                        | ---a---|->      |         0 with 2, 1 with 3
//                                      |--|---b--->
//   gather                       a ->     |  a <-> b         inside a host; the root has it all
//
// The data is cut into pieces that follow each other through the three stages.
// Source: the scatter and all_gather of M. Barnett et al., "Interprocessor collective communication library (InterCom)", SHPCC
// 1994, inside the groups, with the leaders of M. Bayatpour et al., SC 2017, between them.
#include "algorithms/broadcast/broadcast.h"
#include "algorithms/patterns/rails.h"
#include "algorithms/patterns/stages.h"

namespace tutti::broadcast_algorithms {
namespace {

constexpr std::uint32_t kPartChunks = 2;  // the trees' halves

}  // namespace

Schedule hierarchical_scatter(Rank me, const Shape& shape, const Chunking& chunking) {
  const Rails rails(shape);
  const Parts parts{rails, kPartChunks};
  const Rank group = rails.group_of(me), root_group = rails.group_of(shape.root);
  const Rails::Range own_rails = rails.of(me);
  const bool at_root = me == shape.root, beside_root = group == root_group;
  const Schedule tree = double_binary_tree(group, {.ranks = rails.groups(), .root = root_group}, {});

  const std::uint32_t piece_chunks = rails.count() * kPartChunks;
  Builder b(Collective::broadcast, "hierarchical_scatter", me, shape, piece_chunks * chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    const std::uint32_t first = piece * piece_chunks;
    const Slice data = at_root ? b.input(first, piece_chunks) : b.output(first, piece_chunks);
    if (at_root)
      rails.for_each_peer(me, [&](Rank to, Rank) {
        if (const Slice theirs = parts.of(data, to); theirs.count > 0) b.send(theirs, to);
      });
    else if (beside_root && own_rails.count > 0)
      b.recv(shape.root, parts.of(data, me));
    for (std::uint32_t rail = own_rails.first; rail < own_rails.first + own_rails.count; ++rail) {
      const Slice part = parts.of(data, {rail, 1});
      embed(b, tree, [&, rail](Rank g) { return rails.rank(g, rail); }, {part}, {part});
    }
    parts.all_gather(b, data, 1, beside_root ? shape.root : kNoRank);
  }
  if (at_root) b.copy(b.input(0, piece_chunks * chunking.pieces), b.output(0, piece_chunks * chunking.pieces));
  return std::move(b).finish();
}

Cost hierarchical_scatter_cost(const Shape& shape, const Chunking& chunking) {
  const Rails rails(shape);
  const std::uint64_t pieces = chunking.pieces, most = rails.most();
  const Rank groups = rails.groups();
  Cost cost{.chunks_per_block = rails.count() * kPartChunks * chunking.pieces,
            .levels = {},
            .exact = groups > 1 && stages::sizes(shape).equal};
  const PartsInside inside(shape, rails);
  for (std::size_t level = 0; level < shape.levels->size(); ++level)
    if (inside.scattered[level] > 0)
      cost.levels.push_back({.level = static_cast<int>(level),
                             .rounds = static_cast<std::uint32_t>(pieces + 1),
                             .path = (pieces + 1) * most * kPartChunks,
                             // The root scatters, and gathers like all.
                             .sent = (inside.scattered[level] + inside.gathered[level]) * kPartChunks * pieces,
                             .posted = 2 * inside.peers[level] * pieces});
  const Chunking in_turn{.pieces = chunking.pieces * rails.in_turn()};
  LevelCost across = double_binary_tree_cost({.ranks = groups}, in_turn).levels.front();
  across.sent = groups > 1 ? kPartChunks * pieces * most : 0;
  across.posted = across.sent;
  across.level = static_cast<int>(shape.levels->size());
  across.at_a_time *= rails.most();
  across.leaving = groups > 1 ? kPartChunks * pieces * rails.count() : 0;
  cost.levels.push_back(across);
  return cost;
}

}  // namespace tutti::broadcast_algorithms
