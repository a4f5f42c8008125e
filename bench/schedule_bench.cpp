// What building and proving schedules costs: time and memory of one rank's schedule must follow that rank's own steps, however
// many ranks there are.
//
// Counters: "steps" of the schedule, "s_per_step" (seconds), "bytes" allocated while building or proving, "bytes_per_step".
#include <benchmark/benchmark.h>

#include <vector>

#include "algorithms/registry.h"
#include "allocations.h"
#include "verify/verify.h"

namespace {

using tutti::Algorithm;
using tutti::Collective;
using tutti::Grouping;
using tutti::Rank;
using tutti::Schedule;
using tutti::Shape;

// Hosts of 64 ranks with an L3 for every 8.
std::vector<Grouping> levels(Rank ranks) {
  std::vector<int> l3, host;
  for (Rank r = 0; r < ranks; ++r) l3.push_back(r / 8), host.push_back(r / 64);
  return {Grouping(l3), Grouping(host)};
}

void build(benchmark::State& state, Collective collective, const char* algorithm) {
  const auto ranks = static_cast<Rank>(state.range(0));
  const auto me = static_cast<Rank>(state.range(1));
  const Algorithm* row = tutti::find_algorithm(collective, algorithm);
  if (row == nullptr) return state.SkipWithError("no such row");
  const auto machine = levels(ranks);
  const Shape shape{.ranks = ranks, .levels = &machine};
  std::uint64_t steps = 0, bytes = 0;
  for (auto _ : state) {
    const std::uint64_t before = allocated_bytes();
    Schedule schedule = row->build(me, shape, {});
    steps = schedule.steps.size();
    bytes = allocated_bytes() - before;
    benchmark::DoNotOptimize(schedule);
  }
  const auto count = static_cast<double>(steps);
  state.counters["steps"] = count;
  state.counters["bytes"] = static_cast<double>(bytes);
  state.counters["bytes_per_step"] = static_cast<double>(bytes) / count;
  state.counters["s_per_step"] = benchmark::Counter(count * static_cast<double>(state.iterations()),
                                                    benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void prove(benchmark::State& state, const char* algorithm) {
  const auto ranks = static_cast<Rank>(state.range(0));
  const Algorithm* row = tutti::find_algorithm(Collective::all_reduce, algorithm);
  if (row == nullptr) return state.SkipWithError("no such row");
  const auto machine = levels(ranks);
  std::vector<Schedule> schedules;
  for (Rank r = 0; r < ranks; ++r) schedules.push_back(row->build(r, {.ranks = ranks, .levels = &machine}, {}));
  std::size_t steps = 0;
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    const std::uint64_t before = allocated_bytes();
    const auto proof = tutti::verify(schedules);
    if (!proof) return state.SkipWithError(proof.error().to_string().c_str());
    steps = proof->steps;
    bytes = allocated_bytes() - before;
  }
  state.counters["steps"] = static_cast<double>(steps);
  state.counters["bytes"] = static_cast<double>(bytes);
}

// Rank 0 leads all its groups, rank 1 none.
void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"ranks", "rank"});
  for (const std::int64_t ranks : {1'024, 100'000})
    for (const std::int64_t rank : {0, 1}) b->Args({ranks, rank});
}

BENCHMARK_CAPTURE(build, all_reduce_ring, Collective::all_reduce, "ring")->Apply(sizes)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build, all_reduce_hierarchical, Collective::all_reduce, "hierarchical")
    ->Apply(sizes)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build, broadcast_hierarchical, Collective::broadcast, "hierarchical")
    ->Apply(sizes)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(build, all_gather_hierarchical, Collective::all_gather, "hierarchical")
    ->Apply(sizes)
    ->Unit(benchmark::kMicrosecond);

void proved(benchmark::internal::Benchmark* b) {
  b->ArgName("ranks")->Arg(16)->Arg(64)->Arg(256)->Arg(1024)->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(prove, ring, "ring")->Apply(proved);
BENCHMARK_CAPTURE(prove, halving_doubling, "halving_doubling")->Apply(proved);
BENCHMARK_CAPTURE(prove, hierarchical, "hierarchical")->Apply(proved);
BENCHMARK_CAPTURE(prove, hierarchical_scatter, "hierarchical_scatter")->Apply(proved);

}  // namespace

BENCHMARK_MAIN();
