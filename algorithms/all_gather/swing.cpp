// Swing all_gather, for any even number of ranks in ceil(log2 p) rounds (see patterns/swing.h for tori). Far to near, a rank and
// the one it meets swap all blocks that they have, so what goes far is one block, and half of all blocks go to the neighbour
// only. A rank keeps blocks in scratch, in the order of patterns/swing_slots.h, where what travels is one slice, and puts them
// into place at the end. Where a step carries only a part of what the sender has, that is brought together first.
//
//   ranks      0          1          2          3          4          5          6          7
//   step 2     a -> 3     b -> 6     c -> 5     d -> 0     e -> 7     f -> 2     g -> 1     h -> 4
//   step 1     ad -> 7    bg -> 2    cf -> 1    da -> 4    eh -> 3    fc -> 6    gb -> 5    he -> 0
//   step 0     adhe -> 1  bgcf -> 0  cfbg -> 3  daeh -> 2  ehda -> 5  fcgb -> 4  gbfc -> 7  head -> 6      each put into place
//
// Source: D. De Sensi, T. Bonato, D. Saam, T. Hoefler, "Swing: Short-cutting Rings for Higher Bandwidth Allreduce", NSDI 2024.
#include "algorithms/patterns/swing.h"

#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/swing_slots.h"

namespace tutti::all_gather_algorithms {
namespace {

// The blocks of the runs side by side: as they are if there is one run.
Slice together(Builder& b, std::uint32_t base, const std::vector<SwingSlots::Run>& runs) {
  const auto slice = [base](SwingSlots::Run run) { return Slice{Buffer::scratch, base + run.first, run.count}; };
  if (runs.size() == 1) return slice(runs.front());
  Slice all{Buffer::scratch, 0, 0};
  for (const auto& run : runs) {
    const Slice copy = b.scratch_like(slice(run));
    b.copy(slice(run), copy);
    if (all.count == 0) all.chunk = copy.chunk;
    all.count += copy.count;
  }
  return all;
}

void gather_part(Builder& b, const Swing& swing, std::uint32_t part) {
  const SwingSlots slots(swing, part);
  const auto channel = static_cast<std::uint16_t>(part);
  const auto chunk = [&](std::uint32_t slot) { return b.output(slots.block(slot, b.me()) * swing.parts() + part); };
  const std::uint32_t base = b.scratch_like(chunk(0)).chunk;
  for (std::uint32_t slot = 1; slot < slots.slots(); ++slot) (void)b.scratch_like(chunk(slot));
  b.copy(b.input(part), {Buffer::scratch, base, 1});
  b.copy(b.input(part), chunk(0));
  for (const auto& round : slots.rounds()) {
    const Rank peer = swing.peer(b.me(), part, round.step);
    b.send(together(b, base, round.sent), peer, channel);
    b.recv(peer, {Buffer::scratch, base + round.received.first, round.received.count}, channel);
  }
  for (std::uint32_t slot = 1; slot < slots.slots(); ++slot) b.copy({Buffer::scratch, base + slot, 1}, chunk(slot));
}

}  // namespace

Schedule swing(Rank me, const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  Builder b(Collective::all_gather, "swing", me, shape, swing.parts());
  for (std::uint32_t part = 0; part < swing.parts(); ++part) gather_part(b, swing, part);
  return std::move(b).finish();
}

Cost swing_cost(const Shape& shape, const Chunking&) {
  const Swing swing(shape);
  const auto chain = swing.longest_chain();
  const std::uint64_t sent = static_cast<std::uint64_t>(shape.ranks - 1) * swing.parts();
  return flat_cost(swing.parts(), {.rounds = chain.rounds,
                                   .path = chain.path,
                                   .sent = sent,
                                   .carried = carried(shape, [&](Carried& n) { swing.tell(n); }),
                                   .posted = swing.messages()});
}

}  // namespace tutti::all_gather_algorithms
