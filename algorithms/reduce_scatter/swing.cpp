// Swing reduce_scatter, for any even number of ranks in ceil(log2 p) rounds (see patterns/swing.h for tori): Swing's all_gather
// run backwards. Near to far, a rank sends the one it meets its partial sums of the blocks whose owners that one stands for in
// the steps that follow, so half of all blocks go to the neighbour only, and one block goes far. Blocks are brought to scratch
// first, in the order of patterns/swing_slots.h, where what travels is one slice.
//
//   ranks      0          1          2          3          4          5          6          7
//   step 0     bgcf -> 1  adhe -> 0  daeh -> 3  cfbg -> 2  fcgb -> 5  ehda -> 4  head -> 7  gbfc -> 6
//   step 1     he -> 7    cf -> 2    bg -> 1    eh -> 4    da -> 3    gb -> 6    fc -> 5    ad -> 0
//   step 2     d -> 3     g -> 6     f -> 5     a -> 0     h -> 7     c -> 2     b -> 1     e -> 4
//
// Every rank sends and combines p-1 blocks. What is combined comes from both sides, so the operator must be commutative.
// Source: D. De Sensi, T. Bonato, D. Saam, T. Hoefler, "Swing: Short-cutting Rings for Higher Bandwidth Allreduce", NSDI 2024.
#include "algorithms/patterns/swing.h"

#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/swing_slots.h"
#include "algorithms/reduce_scatter/reduce_scatter.h"

namespace tutti::reduce_scatter_algorithms {
namespace {

// The slots of the runs become what they are (+) what arrives from `peer` for them, as one message.
void combine_arrival(Builder& b, Rank peer, std::uint32_t base, const std::vector<SwingSlots::Run>& runs, std::uint16_t channel) {
  std::vector<Slice> arrivals;
  for (const auto& run : runs) arrivals.push_back(b.scratch_like({Buffer::scratch, base + run.first, run.count}));
  const std::uint32_t first = arrivals.front().chunk, end = arrivals.back().chunk + arrivals.back().count;
  b.recv(peer, {Buffer::scratch, first, end - first}, channel);
  for (std::size_t i = 0; i < runs.size(); ++i) b.reduce(arrivals[i], {Buffer::scratch, base + runs[i].first, runs[i].count});
}

void scatter_part(Builder& b, const Swing& swing, std::uint32_t part) {
  const SwingSlots slots(swing, part);
  const auto channel = static_cast<std::uint16_t>(part);
  const auto chunk = [&](std::uint32_t slot) { return b.input(slots.block(slot, b.me()) * swing.parts() + part); };
  const std::uint32_t base = b.scratch_like(chunk(0)).chunk;
  for (std::uint32_t slot = 1; slot < slots.slots(); ++slot) (void)b.scratch_like(chunk(slot));
  for (std::uint32_t slot = 0; slot < slots.slots(); ++slot) b.copy(chunk(slot), {Buffer::scratch, base + slot, 1});
  for (auto round = slots.rounds().rbegin(); round != slots.rounds().rend(); ++round) {
    const Rank peer = swing.peer(b.me(), part, round->step);
    b.send({Buffer::scratch, base + round->received.first, round->received.count}, peer, channel);
    combine_arrival(b, peer, base, round->sent, channel);
  }
  b.copy({Buffer::scratch, base, 1}, b.output(part));
}

}  // namespace

Schedule swing(Rank me, const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  Builder b(Collective::reduce_scatter, "swing", me, shape, swing.parts());
  for (std::uint32_t part = 0; part < swing.parts(); ++part) scatter_part(b, swing, part);
  return std::move(b).finish();
}

Cost swing_cost(const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  const auto chain = swing.longest_chain();
  const std::uint64_t sent = static_cast<std::uint64_t>(shape.ranks - 1) * swing.parts();
  const auto tell = [&](Carried& network) { swing.tell(network); };
  return flat_cost(swing.parts(), {.rounds = chain.rounds,
                                   .path = chain.path,
                                   .sent = sent,
                                   .reduced = sent,
                                   .carried = carried(shape, tell),
                                   .posted = swing.messages()});
}

}  // namespace tutti::reduce_scatter_algorithms
