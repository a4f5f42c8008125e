// What a choice costs: pricing all variants of all rows for one call, and finding where the choice changes.
#include <benchmark/benchmark.h>

#include <string>

#include "select/choice_table.h"

namespace {

using tutti::Collective;

tutti::JobMachine machine(std::int64_t ranks) {
  const auto topology = tutti::load_topology("node:" + std::to_string(ranks / 8) + " numa:2 core:4");
  return std::move(*tutti::describe_job(*topology, static_cast<tutti::Rank>(ranks)));
}

void choose(benchmark::State& state, Collective collective) {
  const auto job = machine(state.range(0));
  std::uint64_t bytes = 8;
  for (auto _ : state) {
    auto selection = tutti::select({.collective = collective, .block_bytes = bytes}, job);
    benchmark::DoNotOptimize(selection);
    bytes = bytes > (1u << 28) ? 8 : bytes * 3;
  }
}

// Of a communicator: the first call of its kind, and later ones of sizes that it has not seen.
void first_of(benchmark::State& state, const tutti::JobMachine& job, Collective collective) {
  std::uint64_t bytes = 8;
  for (auto _ : state) {
    tutti::ChoiceTable table;
    auto winner = table.choose({.collective = collective, .block_bytes = bytes}, job);
    benchmark::DoNotOptimize(winner);
    bytes = bytes > (1u << 28) ? 8 : bytes * 3;
  }
}

void first(benchmark::State& state, Collective collective) { first_of(state, machine(state.range(0)), collective); }

// Where distance or a narrow way has a price, which is counted message by message: 1,024 hosts.
void first_on(benchmark::State& state, const char* network, Collective collective) {
  first_of(state, *tutti::describe_job(*tutti::load_topology(network), 1024, tutti::Seats::hosts), collective);
}

void later(benchmark::State& state, Collective collective) {
  const auto job = machine(state.range(0));
  tutti::ChoiceTable table;
  std::uint64_t bytes = 8;
  for (auto _ : state) {
    auto winner = table.choose({.collective = collective, .block_bytes = bytes}, job);
    benchmark::DoNotOptimize(winner);
    bytes = bytes > (1u << 28) ? bytes % 61 + 8 : bytes * 3;
  }
}

void crossovers(benchmark::State& state, Collective collective) {
  const auto job = machine(state.range(0));
  for (auto _ : state) {
    auto table = tutti::crossovers({.collective = collective}, job);
    benchmark::DoNotOptimize(table);
  }
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgName("ranks")->Arg(8)->Arg(64)->Arg(1024)->Arg(16384)->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(choose, all_reduce, Collective::all_reduce)->Apply(sizes);
BENCHMARK_CAPTURE(choose, all_gather, Collective::all_gather)->Apply(sizes);
BENCHMARK_CAPTURE(choose, broadcast, Collective::broadcast)->Apply(sizes);
BENCHMARK_CAPTURE(choose, all_to_all, Collective::all_to_all)->Apply(sizes);
BENCHMARK_CAPTURE(first, all_reduce, Collective::all_reduce)->Apply(sizes);
BENCHMARK_CAPTURE(first, all_gather, Collective::all_gather)->Apply(sizes);
BENCHMARK_CAPTURE(first_on, fat_tree, "fat-tree:32x32 oversubscription=4 net=12.5GB/s", Collective::all_reduce)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(first_on, torus, "torus:16x8x8", Collective::all_reduce)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(later, all_reduce, Collective::all_reduce)->Apply(sizes);
BENCHMARK_CAPTURE(crossovers, all_reduce, Collective::all_reduce)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
