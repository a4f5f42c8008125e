// Pairwise exchange all_to_all: one partner to send to and one to receive from at a time, others in every round. In round k
// (from 1) rank i sends to i+k and receives from i-k, so each round is a permutation of the ranks: nobody is sent to by two.
// No data makes a round wait for the one before; to keep the network from being flooded the messages of a round are made to
// wait for both messages of the round before it.
//
//   ranks      0        1        2        3
//   round 1    -> 1     -> 2     -> 3     -> 0
//   round 2    -> 2     -> 3     -> 0     -> 1
//   round 3    -> 3     -> 0     -> 1     -> 2
//
// Source: R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J.
// High Performance Computing Applications 19 (2005), for large sizes.
#include <algorithm>

#include "algorithms/all_to_all/all_to_all.h"
#include "algorithms/patterns/flat_cost.h"
#include "algorithms/patterns/peers.h"
#include "algorithms/patterns/ring.h"

namespace tutti::all_to_all_algorithms {
namespace {

// Adds what the data does not ask for: the two steps of a round, at first + 2k and first + 2k + 1, wait for the two before.
void wait_in_rounds(Schedule& schedule, std::uint32_t first) {
  std::vector<std::uint32_t> begin{0}, list;
  for (std::uint32_t step = 0; step < schedule.steps.size(); ++step) {
    const auto of_data = schedule.dependencies(step);
    const auto from = static_cast<std::ptrdiff_t>(list.size());
    list.insert(list.end(), of_data.begin(), of_data.end());
    if (step >= first + 2) {
      const std::uint32_t round_begin = step - (step - first) % 2;
      list.insert(list.end(), {round_begin - 2, round_begin - 1});
      std::sort(list.begin() + from, list.end());
      list.erase(std::unique(list.begin() + from, list.end()), list.end());
    }
    begin.push_back(static_cast<std::uint32_t>(list.size()));
  }
  schedule.dependency_begin = std::move(begin);
  schedule.dependency_list = std::move(list);
}

}  // namespace

Schedule pairwise(Rank me, const Shape& shape, const Chunking&) {
  Builder b(Collective::all_to_all, "pairwise", me, shape, 1);
  b.copy(b.input(static_cast<std::uint32_t>(me)), b.output(static_cast<std::uint32_t>(me)));
  for (Rank round = 1; round < shape.ranks; ++round) {
    const Rank to = ring::shift(me, round, shape.ranks), from = ring::shift(me, -round, shape.ranks);
    b.send(b.input(static_cast<std::uint32_t>(to)), to);
    b.recv(from, b.output(static_cast<std::uint32_t>(from)));
  }
  Schedule schedule = std::move(b).finish();
  const auto exchanges = 2 * static_cast<std::uint32_t>(shape.ranks - 1);
  wait_in_rounds(schedule, static_cast<std::uint32_t>(schedule.steps.size()) - exchanges);
  return schedule;
}

Cost pairwise_cost(const Shape& shape, const Chunking&) {
  const auto rounds = static_cast<std::uint64_t>(shape.ranks - 1);
  Cost cost = flat_cost(1, {.rounds = rounds,
                            .path = rounds,
                            .sent = rounds,
                            .carried = carried(shape, [&](Carried& n) { n.all_pairs(1); }),
                            .posted = rounds});
  cost.levels.front().leaving = peers::leaving(shape);
  return cost;
}

}  // namespace tutti::all_to_all_algorithms
