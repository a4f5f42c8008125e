// Finding the plan of a repeated call, with this many shapes in turn. What a whole call costs on top of the transport shows
// floors_bench.
#include <benchmark/benchmark.h>

#include <vector>

#include "runtime/plan_cache.h"

namespace {

void find_in_turn(benchmark::State& state) {
  const auto shapes = static_cast<std::size_t>(state.range(0));
  std::vector<float> in(shapes), out(shapes);
  tutti::PlanCache cache;
  std::vector<tutti::Call> calls;
  for (std::size_t n = 1; n <= shapes; ++n) {
    const tutti::Call& call = calls.emplace_back(tutti::Call{.collective = tutti::Collective::all_reduce,
                                                             .input = in.data(),
                                                             .output = out.data(),
                                                             .count = n,
                                                             .type = tutti::DataType::f32});
    cache.insert(std::make_shared<tutti::CachedPlan>(call, tutti::check_call(call, 0, 2).value_or_throw()));
  }
  std::size_t next = 0;
  for ([[maybe_unused]] auto _ : state) {
    const auto* plan = cache.find(calls[next]);
    if (plan == nullptr || plan->call.get().count != calls[next].count) state.SkipWithError("another plan was found");
    next = next + 1 == shapes ? 0 : next + 1;
  }
}
BENCHMARK(find_in_turn)->Arg(1)->Arg(2)->Arg(8)->Arg(32)->Arg(256);

}  // namespace

BENCHMARK_MAIN();
