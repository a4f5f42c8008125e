// Reduction kernels against a memcpy of the same bytes: what a reduction of n bytes costs beside moving n bytes.
//
// "bytes_per_second" counts n for every row, so that rows of equal size compare directly.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace {

namespace kernels = tutti::kernels;
using tutti::DataType;
using tutti::ReduceKind;
using tutti::ReduceOp;

constexpr std::int64_t kSmallest = 4 << 10;
constexpr std::int64_t kLargest = 64 << 20;

// Page-aligned, every page touched.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes), data_(static_cast<std::byte*>(std::aligned_alloc(4096, bytes))) {
    std::memset(data_, 0, bytes_);
  }
  Buffer(Buffer&& other) noexcept : bytes_(other.bytes_), data_(std::exchange(other.data_, nullptr)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }
  std::byte* data() { return data_; }

 private:
  std::size_t bytes_;
  std::byte* data_;
};

std::vector<Buffer> buffers(std::size_t count, std::size_t bytes) {
  std::vector<Buffer> made;
  made.reserve(count);
  for (std::size_t i = 0; i < count; ++i) made.emplace_back(bytes);
  return made;
}

void count_bytes(benchmark::State& state) { state.SetBytesProcessed(state.iterations() * state.range(0)); }

void copy_by_memcpy(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  auto memory = buffers(2, bytes);
  for (auto _ : state) {
    std::memcpy(memory[1].data(), memory[0].data(), bytes);
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

void copy_streaming(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  auto memory = buffers(2, bytes);
  for (auto _ : state) {
    kernels::copy(memory[1].data(), memory[0].data(), bytes, 0);
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

// out = left (+) right; in place where `in_place`, as a step of a ring does it.
void reduce2(benchmark::State& state, ReduceKind kind, DataType type, bool in_place, std::size_t stream_from) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  auto memory = buffers(3, bytes);
  std::byte* out = memory[in_place ? 0 : 2].data();
  const ReduceOp op{.kind = kind};
  for (auto _ : state) {
    kernels::reduce2(op, type, memory[0].data(), memory[1].data(), out, bytes / size_of(type),
                     {.stream_from_bytes = stream_from});
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

void fold(benchmark::State& state, DataType type, std::size_t inputs) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  auto memory = buffers(inputs + 1, bytes);
  std::vector<const void*> in;
  for (std::size_t i = 0; i < inputs; ++i) in.push_back(memory[i].data());
  for (auto _ : state) {
    kernels::fold({}, type, in, memory[inputs].data(), bytes / size_of(type));
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

void sizes(benchmark::internal::Benchmark* benchmark) { benchmark->RangeMultiplier(2)->Range(kSmallest, kLargest); }
void tiny(benchmark::internal::Benchmark* benchmark) { benchmark->Arg(8)->Arg(64)->Arg(1024); }
void large(benchmark::internal::Benchmark* benchmark) { benchmark->RangeMultiplier(4)->Range(1 << 20, kLargest); }

BENCHMARK(copy_by_memcpy)->Apply(sizes)->Apply(tiny);
BENCHMARK_CAPTURE(reduce2, sum_f32_in_place, ReduceKind::sum, DataType::f32, true, kernels::kNeverStream)
    ->Apply(sizes)
    ->Apply(tiny);
BENCHMARK_CAPTURE(reduce2, sum_f32, ReduceKind::sum, DataType::f32, false, kernels::kNeverStream)->Apply(sizes);
BENCHMARK_CAPTURE(reduce2, sum_bf16_in_place, ReduceKind::sum, DataType::bf16, true, kernels::kNeverStream)->Apply(sizes);
BENCHMARK_CAPTURE(reduce2, sum_bf16, ReduceKind::sum, DataType::bf16, false, kernels::kNeverStream)->Apply(sizes);
BENCHMARK_CAPTURE(reduce2, sum_f16, ReduceKind::sum, DataType::f16, false, kernels::kNeverStream)->Apply(sizes);
BENCHMARK_CAPTURE(reduce2, max_f32, ReduceKind::max, DataType::f32, false, kernels::kNeverStream)->Apply(sizes);
BENCHMARK_CAPTURE(reduce2, sum_f8e4m3, ReduceKind::sum, DataType::f8e4m3, false, kernels::kNeverStream)->Apply(sizes);
BENCHMARK_CAPTURE(reduce2, sum_f32_streaming, ReduceKind::sum, DataType::f32, false, std::size_t{0})->Apply(large);
BENCHMARK(copy_streaming)->Apply(large);
BENCHMARK_CAPTURE(fold, sum_f32_of_4, DataType::f32, 4)->Apply(sizes);
BENCHMARK_CAPTURE(fold, sum_bf16_of_4, DataType::bf16, 4)->Apply(sizes);
BENCHMARK_CAPTURE(fold, sum_f32_of_16, DataType::f32, 16)->Apply(sizes);

}  // namespace

BENCHMARK_MAIN();
