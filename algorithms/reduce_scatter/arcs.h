// What reduce_scatters have in common that send arcs of blocks (patterns/arc.h).
#pragma once

#include "algorithms/patterns/arc_memory.h"

namespace tutti::reduce_scatter_algorithms {

// sum = kept (+) what arrives from `from`
inline void combine(Builder& b, Rank from, const Slice& kept, const Slice& sum, std::uint16_t channel) {
  const Slice arrival = b.scratch_like(kept);
  b.recv(from, arrival, channel);
  b.copy(kept, sum);
  b.reduce(arrival, sum);
}

// The first round: `sent` leaves the input, `received` arrives. `kept` ends up in `sums`, in its own order; it holds what is
// received. An arc that wraps travels on two channels, at the same time.
inline void split_input(Builder& b, Rank to, Arc sent, Rank from, Arc received, Arc kept, const Slice& sums) {
  const Rank p = b.ranks();
  const Slice all = b.input(0, static_cast<std::uint32_t>(p));
  for_each_range(sent, p, [&](Rank first, Rank count, std::uint16_t channel) { b.send(part(all, first, count), to, channel); });
  const Rank before = ring::shift(received.first, -kept.first, p), behind = before + received.size;
  for_each_range(received, p, [&](Rank first, Rank count, std::uint16_t channel) {
    combine(b, from, part(all, first, count), part(sums, ring::shift(first, -kept.first, p), count), channel);
  });
  const auto copy = [&](Rank at, Rank size) {
    if (size == 0) return;
    for_each_range_in(part(sums, at, size), {ring::shift(kept.first, at, p), size}, all,
                      [&](const Slice& input, const Slice& sum) { b.copy(input, sum); });
  };
  copy(0, before);
  copy(behind, kept.size - behind);
}

}  // namespace tutti::reduce_scatter_algorithms
