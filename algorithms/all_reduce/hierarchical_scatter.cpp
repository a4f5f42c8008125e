// Hierarchical all_reduce with all ranks at the borders. The outermost groups (hosts) have the same number of ranks; the ranks
// that stand at the same place in their groups form a rail. Inside each group a direct reduce_scatter leaves one block per
// rank; each rail runs halving-doubling on its block; a direct all_gather inside each group brings the blocks to everybody.
//
//   4 ranks, 2 hosts      0   1 | 2   3
//   scatter               a<->b | a<->b        inside a host: 0 has block a of its host, 1 has b
//   rails                 a<----|>a            0 with 2, 1 with 3
//                             b<|----->b
//   gather                a<->b | a<->b        inside a host
//
// Each rank sends its share only, so every wire of a host is used. The vector is cut into pieces that follow each other through
// the three stages. With groups of unequal size there are no rails: then this is all_reduce::hierarchical.
// Source: M. Bayatpour et al., "Scalable Reduction Collectives with Data Partitioning-based Multi-Leader Design", SC 2017, with
// as many leaders as ranks.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/folding.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {
namespace {

constexpr std::string_view kName = "hierarchical_scatter";

bool has_rails(const Shape& shape) { return shape.levels && !shape.levels->empty() && shape.levels->back().equal_sizes(); }

// The shape of the call with rails.
struct Rails {
  explicit Rails(const Shape& shape)
      : groups(shape.levels->back()),
        in_group(shape.ranks / groups.groups()),
        in_rail(groups.groups()),
        block_chunks(static_cast<std::uint32_t>(Folding(in_rail).cores())),
        piece_chunks(block_chunks * static_cast<std::uint32_t>(in_group)) {}

  const Grouping& groups;
  Rank in_group, in_rail;
  std::uint32_t block_chunks, piece_chunks;
};

// Between two ranks of a group: levels of the machine inside the groups share these messages in some way.
LevelCost cost_in_group(const Rails& rails, std::uint64_t pieces) {
  if (rails.in_group == 1) return {};
  const auto others = static_cast<std::uint64_t>(rails.in_group - 1), chunks = std::uint64_t{rails.block_chunks};
  return {.rounds = static_cast<std::uint32_t>(pieces + 1),
          .path = (pieces + 1) * chunks,
          .sent = 2 * others * pieces * chunks,
          .reduced = others * pieces * chunks};
}

}  // namespace

Schedule hierarchical_scatter(Rank me, const Shape& shape, const Chunking& chunking) {
  if (!has_rails(shape)) {
    Schedule without_rails = hierarchical(me, shape, chunking);
    without_rails.algorithm = kName;
    return without_rails;
  }
  const Rails rails(shape);
  const Rank group = rails.groups.group_of(me), index = rails.groups.index_in_group(me);
  const auto member = [&](Rank i) { return rails.groups.members(group)[static_cast<std::size_t>(i)]; };
  const auto rail = [&](Rank g) { return rails.groups.members(g)[static_cast<std::size_t>(index)]; };
  const Schedule scatter = reduce_scatter_algorithms::direct(index, {.ranks = rails.in_group, .in_place = shape.in_place}, {});
  const Schedule across = halving_doubling(group, {.ranks = rails.in_rail}, {});
  const Schedule gather = all_gather_algorithms::direct(index, {.ranks = rails.in_group}, {});

  Builder b(Collective::all_reduce, std::string(kName), me, shape, rails.piece_chunks * chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    const std::uint32_t first = piece * rails.piece_chunks;
    const Slice whole = b.output(first, rails.piece_chunks);
    const Slice own = b.output(first + static_cast<std::uint32_t>(index) * rails.block_chunks, rails.block_chunks);
    embed(b, scatter, member, {b.input(first, rails.piece_chunks)}, {own}, 0);
    embed(b, across, rail, {own}, {own}, 0);
    embed(b, gather, member, {own}, {whole}, 1);
  }
  return std::move(b).finish();
}

Cost hierarchical_scatter_cost(const Shape& shape, const Chunking& chunking) {
  if (!has_rails(shape)) return hierarchical_cost(shape, chunking);
  const Rails rails(shape);
  const std::size_t inner_levels = shape.levels->size();
  const bool folds = Folding(rails.in_rail).extra() > 0;
  Cost cost{.chunks_per_block = rails.piece_chunks * chunking.pieces,
            .levels = {},
            .exact = inner_levels == 1 && !(folds && chunking.pieces > 1)};
  for (std::size_t level = 0; level < inner_levels; ++level) {
    cost.levels.push_back(cost_in_group(rails, chunking.pieces));
    cost.levels.back().level = static_cast<int>(level);
  }
  cost.levels.push_back(repeated_halving_doubling_cost(rails.in_rail, chunking.pieces));
  cost.levels.back().level = static_cast<int>(inner_levels);
  cost.levels.back().at_once = static_cast<std::uint32_t>(rails.in_group);
  return cost;
}

}  // namespace tutti::all_reduce_algorithms
