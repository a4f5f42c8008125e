// What a repeated call costs before any byte is sent: checking its arguments, finding its plan, starting and finishing it. A
// communicator of one rank runs all of that and copies eight bytes.
#include <benchmark/benchmark.h>

#include <vector>

#include "tutti/communicator.h"

namespace {

void repeated_call(benchmark::State& state) {
  auto comm = tutti::Communicator::from_environment().value_or_throw();
  std::vector<float> in(2, 1.0F), out(2);
  for (auto _ : state) {
    comm.all_reduce<float>(in, out).value_or_throw();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(repeated_call);

// The same with this many other plans in the cache, each call another one.
void calls_in_turn(benchmark::State& state) {
  auto comm = tutti::Communicator::from_environment().value_or_throw();
  std::vector<float> in(64, 1.0F), out(64);
  const auto shapes = static_cast<std::size_t>(state.range(0));
  std::size_t n = 0;
  for (auto _ : state) {
    n = n % shapes + 1;
    comm.all_reduce<float>(std::span<const float>(in).first(n), std::span(out).first(n)).value_or_throw();
  }
}
BENCHMARK(calls_in_turn)->Arg(2)->Arg(8)->Arg(32);

}  // namespace

BENCHMARK_MAIN();
