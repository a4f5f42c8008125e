// Swing all_reduce, for any even number of ranks: recursive halving and doubling with peers that are near on a ring or torus (see
// patterns/swing.h), and half of the vector goes to a neighbour. In the halving, near to far, two ranks that meet split what they
// have combined; the doubling goes the same way backwards. On a torus, a part of the vector begins in each direction of each
// dimension.
//
//   ranks      0         1         2         3         4         5         6         7
//   step 0     efgh->1   abcd->0   abcd->3   efgh->2   efgh->5   abcd->4   abcd->7   efgh->6
//   step 1     cd->7     ef->2     gh->1     cd->4     ab->3     gh->6     ef->5     ab->0
//   step 2     b->3      g->6      f->5      a->0      d->7      e->2      h->1      c->4
//   step 2     A->3      H->6      E->5      B->0      C->7      F->2      G->1      D->4       and back
//
// Which block a rank combines is of no matter here, so for a power of two of ranks blocks are numbered by how the ranks split,
// and all that travels is one slice. For other numbers blocks are sorted: Swing's reduce_scatter, then its all_gather. Least
// bytes, 2 ceil(log2 p) rounds; each bit of a result is computed once and is the same everywhere.
//
// Source: D. De Sensi, T. Bonato, D. Saam, T. Hoefler, "Swing: Short-cutting Rings for Higher Bandwidth Allreduce", NSDI 2024.
#include "algorithms/patterns/swing.h"

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/all_reduce/all_reduce.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::all_reduce_algorithms {
namespace {

struct Halves {
  Slice mine, other;
};
Halves split(const Slice& whole, bool second) {
  const std::uint32_t half = whole.count / 2;
  const Slice low{whole.buffer, whole.chunk, half}, high{whole.buffer, whole.chunk + half, half};
  return second ? Halves{high, low} : Halves{low, high};
}

void halve_and_double(Builder& b, const Swing& swing, std::uint32_t part) {
  const auto p = static_cast<std::uint32_t>(swing.ranks());
  const auto channel = static_cast<std::uint16_t>(part);
  const std::vector<Swing::Step> steps = swing.steps(part);
  Slice partial = b.input(part * p, p), held = b.output(part * p, p);  // held: where the result of `partial` goes
  std::vector<Halves> results;
  for (const Swing::Step& step : steps) {
    const Rank peer = swing.peer(b.me(), part, step);
    const bool second = swing.in_second_half(b.me(), part, step);
    const Halves halves = split(partial, second);
    results.push_back(split(held, second));
    held = results.back().mine;
    const Slice arrival = b.scratch_like(held), sum = held.count > 1 ? b.scratch_like(held) : held;
    b.send(halves.other, peer, channel);
    b.recv(peer, arrival, channel);
    b.copy(halves.mine, sum);
    b.reduce(arrival, sum);
    partial = sum;
  }
  for (std::size_t s = steps.size(); s-- > 0;) {
    const Rank peer = swing.peer(b.me(), part, steps[s]);
    b.send(results[s].mine, peer, channel);
    b.recv(peer, results[s].other, channel);
  }
}

}  // namespace

Schedule swing(Rank me, const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  const std::uint32_t parts = swing.parts(), chunks = static_cast<std::uint32_t>(shape.ranks) * parts;
  Builder b(Collective::all_reduce, "swing", me, shape, chunks);
  if (swing.power_of_two()) {
    for (std::uint32_t part = 0; part < parts; ++part) halve_and_double(b, swing, part);
    return std::move(b).finish();
  }
  const Shape inner{.ranks = shape.ranks, .torus = shape.torus};
  const Slice own = b.output(static_cast<std::uint32_t>(me) * parts, parts);
  embed(b, reduce_scatter_algorithms::swing(me, inner, {}), same_rank, {b.input(0, chunks)}, {own});
  embed(b, all_gather_algorithms::swing(me, inner, {}), same_rank, {own}, {b.output(0, chunks)});
  return std::move(b).finish();
}

Cost swing_cost(const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  const auto chain = swing.longest_chain();
  const std::uint64_t sent = static_cast<std::uint64_t>(shape.ranks - 1) * swing.parts();
  return flat_cost(static_cast<std::uint32_t>(shape.ranks) * swing.parts(),
                   {.rounds = 2 * chain.rounds,
                    .path = 2 * chain.path,
                    .sent = 2 * sent,
                    .reduced = sent,
                    .carried = carried(shape, [&](Carried& n) { swing.tell(n), swing.tell(n); }),
                    .posted = 2 * swing.messages()});
}

}  // namespace tutti::all_reduce_algorithms
