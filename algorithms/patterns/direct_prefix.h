// Direct prefixes. Every rank sends its whole input to all higher ones, piece by piece, the next one first; each combines what it
// has got, with its own (scan) or without it (exscan), in rank order and in one pass over memory.
//
//   ranks      0             1             2             3
//   sends      a -> 1 2 3    b -> 2 3      c -> 3
//   scan       a             a b           a b c         a b c d
//   exscan                   a             a b           a b c
//
// A single round, for small inputs and few ranks; and every result comes about in one step, whatever the rank. The first rank
// sends p-1 times its input. Source: as direct all_reduce, the all-to-all broadcast with local reduction of the textbooks.
#pragma once

#include <vector>

#include "algorithms/patterns/combine.h"
#include "algorithms/patterns/flat_cost.h"

namespace tutti::direct_prefix {

inline Schedule build(Collective collective, Rank me, const Shape& shape, const Chunking& chunking) {
  Builder b(collective, "direct", me, shape, chunking.pieces);
  for (std::uint32_t piece = 0; piece < chunking.pieces; ++piece) {
    std::vector<Slice> parts;
    for (Rank to = me + 1; to < shape.ranks; ++to) b.send(b.input(piece), to);
    for (Rank from = 0; from < me; ++from) {
      parts.push_back(b.scratch_like(b.output(piece)));
      b.recv(from, parts.back());
    }
    if (collective == Collective::scan) parts.push_back(b.input(piece));
    if (!parts.empty()) combine_in_rank_order(b, parts, parts.size() - 1, b.output(piece));
  }
  return std::move(b).finish();
}

inline Cost cost(Collective collective, const Shape& shape, const Chunking& chunking) {
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1), pieces = std::uint64_t{chunking.pieces};
  const std::uint64_t stream = others > 0 ? pieces : 0, sent = others * pieces;
  const std::uint64_t combined = collective == Collective::scan || others == 0 ? others : others - 1;
  const auto tell = [&](Carried& network) {
    for (Rank from = 0; from < shape.ranks; ++from)
      for (Rank to = from + 1; to < shape.ranks; ++to) network.message(from, to, pieces);
  };
  return flat_cost(chunking.pieces, {.rounds = stream,
                                     .path = stream,
                                     .sent = sent,
                                     .reduced = combined * pieces,
                                     .carried = carried(shape, tell),
                                     .posted = sent});
}

}  // namespace tutti::direct_prefix
