// Neighbour exchange all_gather, for even numbers of ranks: p/2 rounds, each rank talks to its two neighbours only. A pair
// is two ranks 2k and 2k+1 and their blocks. In round 0 the two of each pair swap blocks. From then on a rank turns from one
// neighbour to the other and swaps the pair it learnt last: in round 1 with the neighbour outside its pair, in round 2 with
// the one inside, and so on. Half the rounds of the ring for the same bytes.
//
//   ranks      0          1          2          3
//   round 0    a <------> b          c <------> d
//   round 1    ab -> 3    ab <-----> cd    0 <- cd          (0 and 3 are neighbours on the circle)
//
// Source: J. Chen, L. Zhang, Y. Zhang, W. Yuan, "Performance Evaluation of Allgather Algorithms on Terascale Linux Cluster
// with Fast Ethernet", HPC Asia 2005.
#include "algorithms/all_gather/all_gather.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_gather_algorithms {
namespace {

// The pair that rank `me` learns in `round`: its own, then by turns the nearest unknown one beyond its outer and its inner
// neighbour. Even ranks have their outer neighbour on the left.
Rank learnt_pair(Rank me, Rank round, Rank pairs) {
  const Rank outwards = me % 2 == 0 ? -1 : 1;
  const Rank distance = (round + 1) / 2;
  return ring::shift(me / 2, (round % 2 == 1 ? outwards : -outwards) * distance, pairs);
}

}  // namespace

Schedule neighbour_exchange(Rank me, const Shape& shape, const Chunking&) {
  const Rank p = shape.ranks;
  const Rank inner = me % 2 == 0 ? me + 1 : me - 1;
  const Rank outer = ring::shift(me, me % 2 == 0 ? -1 : 1, p);
  Builder b(Collective::all_gather, "neighbour_exchange", me, shape, 1);
  const auto pair = [&](Rank round) { return b.output(2 * static_cast<std::uint32_t>(learnt_pair(me, round, p / 2)), 2); };

  b.copy(b.input(0), b.output(static_cast<std::uint32_t>(me)));
  b.send(b.input(0), inner);
  b.recv(inner, b.output(static_cast<std::uint32_t>(inner)));
  for (Rank round = 1; round < p / 2; ++round) {
    const Rank neighbour = round % 2 == 1 ? outer : inner;
    b.send(pair(round - 1), neighbour);
    b.recv(neighbour, pair(round));
  }
  return std::move(b).finish();
}

Cost neighbour_exchange_cost(const Shape& shape, const Chunking&) {
  const auto rounds = static_cast<std::uint64_t>(shape.ranks / 2);
  const auto others = static_cast<std::uint64_t>(shape.ranks - 1);
  const auto tell = [&](Carried& network) {
    const Rank outward = shape.ranks / 4, inward = (shape.ranks / 2 - 1) / 2;  // rounds of two blocks
    for (Rank even = 0; even < shape.ranks; even += 2) {
      network.exchange(even, even + 1, 1 + 2 * static_cast<std::uint64_t>(inward));
      network.exchange(even, ring::left(even, shape.ranks), 2 * static_cast<std::uint64_t>(outward));
    }
  };
  return flat_cost(1, {.rounds = rounds, .path = others, .sent = others, .carried = carried(shape, tell), .posted = rounds});
}

}  // namespace tutti::all_gather_algorithms
