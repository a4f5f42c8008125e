// Hierarchical all_reduce with all ranks at the borders (patterns/rails.h). The vector has one part per rail. Inside each of the
// outermost groups (hosts, or NUMA nodes of a single host) a direct reduce_scatter leaves each part at the rank that stands on
// its rail; each rail runs an all_reduce on its part; a direct all_gather inside each group brings the parts to everybody.
// The all_reduce is a circulant one, or, in hierarchical_two_shot, a direct reduce_scatter and a direct all_gather: more messages
// for many groups, but contributions meet in the canonical tree where groups are 2^k ranks that follow each other.
//
//   4 ranks, 2 hosts      0   1 | 2   3
//   scatter               a<->b | a<->b        inside a host: 0 has part a of its host, 1 has b
//   rails                 a<----|>a            0 with 2, 1 with 3
//                             b<|----->b
//   gather                a<->b | a<->b        inside a host
//
// Each rank sends its share only, so every wire of a host is used; in groups smaller than the largest a rank has several shares.
// The vector is cut into pieces that follow each other through the three stages. What goes back has channels of its own, so that
// no piece waits for an answer to the one before it.
// Source: M. Bayatpour et al., "Scalable Reduction Collectives with Data Partitioning-based Multi-Leader Design", SC 2017, with
// as many leaders as ranks; for two shots on the rails A. Shah et al., "MSCCL++: Rethinking GPU Communication Abstractions for
// Cutting-edge AI Applications", 2025.
#include <bit>

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/circulant.h"
#include "algorithms/patterns/rails.h"
#include "algorithms/patterns/stages.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {
namespace {

constexpr std::uint16_t kBack = 2;  // the circulant schedules have two channels

using Build = Schedule (*)(Rank, const Shape&, const Chunking&);

// What a rail does.
struct Exchange {
  std::string_view name;
  Build scatter, gather;
  LevelCost (*cost)(Rank groups, std::uint64_t vectors);
  std::uint64_t (*posted)(Rank groups);  // of one vector
};

// Of `vectors` that follow each other on a rail: a grid of rounds and vectors, in which a message waits for the one of the round
// before and for the one of the vector before.
LevelCost circulant_cost_on_rail(Rank groups, std::uint64_t vectors) {
  if (groups == 1) return {};
  const auto others = static_cast<std::uint64_t>(groups - 1);
  const auto chain = vectors == 1 ? circulant::longest_chain(groups)
                                  : circulant::Chain{static_cast<std::uint64_t>(circulant::rounds(groups)), others};
  const auto widest = static_cast<std::uint64_t>(circulant::round(groups, 0).size);
  return {.rounds = static_cast<std::uint32_t>(2 * chain.rounds + vectors - 1), .path = 2 * chain.path + (vectors - 1) * widest};
}

// The answer to a vector goes out while the next one comes in.
LevelCost two_shot_cost_on_rail(Rank groups, std::uint64_t vectors) {
  if (groups == 1) return {};
  return {.rounds = static_cast<std::uint32_t>(vectors + 1), .path = vectors + 1};
}

constexpr Exchange kCirculant{"hierarchical_scatter", reduce_scatter_algorithms::circulant, all_gather_algorithms::circulant,
                              circulant_cost_on_rail, circulant::posted_both_ways};
constexpr Exchange kTwoShot{"hierarchical_two_shot", reduce_scatter_algorithms::direct, all_gather_algorithms::direct,
                            two_shot_cost_on_rail, [](Rank groups) { return 2 * static_cast<std::uint64_t>(groups - 1); }};

Schedule build(const Exchange& exchange, Rank me, const Shape& shape, const Chunking& chunking) {
  const Rails rails(shape);
  const Rank groups = rails.groups(), group = rails.group_of(me);
  const auto block = static_cast<std::uint32_t>(groups), own_chunk = static_cast<std::uint32_t>(group);
  const Parts parts{rails, block};
  const Rails::Range own_rails = rails.of(me);
  const Schedule scatter = exchange.scatter(group, {.ranks = groups}, {});
  const Schedule gather = exchange.gather(group, {.ranks = groups}, {});

  const std::uint32_t piece_chunks = rails.count() * block;
  Builder b(Collective::all_reduce, std::string(exchange.name), me, shape, piece_chunks * chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    const Slice result = b.output(piece * piece_chunks, piece_chunks);
    parts.reduce_scatter(b, b.input(piece * piece_chunks, piece_chunks), parts.of(result, me), 0);
    for (std::uint32_t rail = own_rails.first; rail < own_rails.first + own_rails.count; ++rail) {
      const auto on_rail = [&, rail](Rank g) { return rails.rank(g, rail); };
      const Slice part = parts.of(result, {rail, 1}), own{part.buffer, part.chunk + own_chunk, 1};
      embed(b, scatter, on_rail, {part}, {own});
      embed(b, gather, on_rail, {own}, {part}, kBack);
    }
    parts.all_gather(b, result, 1);
  }
  return std::move(b).finish();
}

Cost cost_of(const Exchange& exchange, const Shape& shape, const Chunking& chunking) {
  const Rails rails(shape);
  const std::uint64_t pieces = chunking.pieces, block = static_cast<std::uint64_t>(rails.groups());
  const bool power_of_two = (block & (block - 1)) == 0;
  Cost cost{.chunks_per_block = static_cast<std::uint32_t>(rails.count() * block * pieces),
            .levels = {},
            .exact = stages::sizes(shape).equal && (power_of_two || pieces == 1)};
  const auto most = std::uint64_t{rails.most()};
  const PartsInside inside(shape, rails);
  for (std::size_t level = 0; level < shape.levels->size(); ++level) {
    if (inside.scattered[level] == 0) continue;
    cost.levels.push_back({.level = static_cast<int>(level),
                           .rounds = static_cast<std::uint32_t>(pieces + 1),
                           .path = (pieces + 1) * most * block,
                           .sent = (inside.scattered[level] + inside.gathered[level]) * pieces * block,
                           .reduced = inside.gathered[level] * pieces * block,
                           .posted = 2 * inside.peers[level] * pieces});
  }
  LevelCost across = exchange.cost(rails.groups(), pieces * rails.in_turn());
  across.level = static_cast<int>(shape.levels->size());
  across.sent = 2 * (block - 1) * most * pieces;
  across.reduced = (block - 1) * most * pieces;
  across.posted = exchange.posted(rails.groups()) * most * pieces;
  across.leaving = 2 * (block - 1) * rails.count() * pieces;
  cost.levels.push_back(across);
  return cost;
}

}  // namespace

Schedule hierarchical_scatter(Rank me, const Shape& shape, const Chunking& chunking) {
  return build(kCirculant, me, shape, chunking);
}
Cost hierarchical_scatter_cost(const Shape& shape, const Chunking& chunking) { return cost_of(kCirculant, shape, chunking); }

Schedule hierarchical_two_shot(Rank me, const Shape& shape, const Chunking& chunking) {
  return build(kTwoShot, me, shape, chunking);
}
Cost hierarchical_two_shot_cost(const Shape& shape, const Chunking& chunking) { return cost_of(kTwoShot, shape, chunking); }

bool hierarchical_two_shot_is_canonical(const Shape& shape, const Chunking&) {
  const Grouping& groups = shape.levels->back();
  return groups.equal_sizes() && groups.ranges() && std::has_single_bit(static_cast<std::uint32_t>(groups.largest()));
}

}  // namespace tutti::all_reduce_algorithms
