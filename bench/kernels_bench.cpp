// Reduction kernels beside a memcpy of as many bytes, in one run and in random turn: what a reduction of n bytes costs beside
// moving n bytes. Prints the medians as two tables, in GB/s (n bytes over CPU time) and as shares of memcpy.
//
// What can be reached depends on how many cache lines move per line of the result:
//
//   memcpy         2: the source in, the target in (a store needs its line first); past the caches the target only goes out
//   in place       2: the left one, which is the result, and the right one
//   third buffer   3: left, right, and the target in; past the caches the target only goes out
//
// So a third buffer is held against "memcpy_3_lines", too: a memcpy of 3/2 n bytes, counted as n.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace {

namespace kernels = tutti::kernels;
using tutti::DataType;
using tutti::ReduceKind;

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
  for (std::size_t i = 0; i < count; ++i) made.emplace_back(std::max<std::size_t>(bytes, 4096));
  return made;
}

template <class Run>
void time(benchmark::State& state, Run&& run) {
  for (auto _ : state) {
    run();
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

void copy_by_memcpy(benchmark::State& state, std::size_t lines) {
  const auto bytes = static_cast<std::size_t>(state.range(0)) / 2 * lines;
  auto memory = buffers(2, bytes);
  time(state, [&] { std::memcpy(memory[1].data(), memory[0].data(), bytes); });
}

void copy_past_caches(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  auto memory = buffers(2, bytes);
  time(state, [&] { kernels::copy(memory[1].data(), memory[0].data(), bytes, true); });
}

// As the runtime decides it for a rank that has the last cache for itself.
bool beyond_caches(std::size_t bytes) {
  std::size_t last = 0;
  for (const auto& cache : benchmark::CPUInfo::Get().caches) last = std::max(last, static_cast<std::size_t>(cache.size));
  return last > 0 && bytes > last;
}

enum class Target { in_place, third_buffer, third_buffer_in_caches };

// out = left (+) right; in place as a step of a ring does it.
void reduce2(benchmark::State& state, ReduceKind kind, DataType type, Target target) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  auto memory = buffers(3, bytes);
  std::byte *left = memory[0].data(), *right = memory[1].data(), *out = target == Target::in_place ? left : memory[2].data();
  const kernels::Options options{.past_caches = target == Target::third_buffer && beyond_caches(3 * bytes)};
  time(state, [&] { kernels::reduce2({.kind = kind}, type, left, right, out, bytes / size_of(type), options); });
}

void fold(benchmark::State& state, DataType type, std::size_t inputs) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  auto memory = buffers(inputs + 1, bytes);
  std::vector<const void*> in;
  for (std::size_t i = 0; i < inputs; ++i) in.push_back(memory[i].data());
  const kernels::Options options{.past_caches = beyond_caches((inputs + 1) * bytes)};
  time(state, [&] { kernels::fold({}, type, in, memory[inputs].data(), bytes / size_of(type), options); });
}

std::vector<std::string> names;  // of the rows, in order

template <class... Arguments>
void add(const std::string& name, void (*run)(benchmark::State&, Arguments...), Arguments... arguments) {
  names.push_back(name);
  auto* row = benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { run(state, arguments...); });
  for (const std::int64_t bytes :
       {8, 64, 1 << 10, 4 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20})
    row->Arg(bytes);
}

void add_all() {
  add("memcpy", copy_by_memcpy, std::size_t{2});
  add("memcpy_3_lines", copy_by_memcpy, std::size_t{3});
  add("copy_past_caches", copy_past_caches);
  for (const DataType type : {DataType::f32, DataType::f64, DataType::bf16, DataType::f16}) {
    const std::string sum = "sum_" + std::string(name(type));
    add(sum + "_in_place", reduce2, ReduceKind::sum, type, Target::in_place);
    add(sum, reduce2, ReduceKind::sum, type, Target::third_buffer);
  }
  add("sum_f32_in_caches", reduce2, ReduceKind::sum, DataType::f32, Target::third_buffer_in_caches);
  add("max_f32", reduce2, ReduceKind::max, DataType::f32, Target::third_buffer);
  add("sum_f8e4m3", reduce2, ReduceKind::sum, DataType::f8e4m3, Target::third_buffer);
  add("sum_f32_of_4", fold, DataType::f32, std::size_t{4});
  add("sum_bf16_of_4", fold, DataType::bf16, std::size_t{4});
  add("sum_f16_of_4", fold, DataType::f16, std::size_t{4});
  add("sum_f32_of_16", fold, DataType::f32, std::size_t{16});
}

std::string short_size(std::int64_t bytes) {
  if (bytes >= 1 << 20) return fmt::format("{}M", bytes >> 20);
  return bytes >= 1 << 10 ? fmt::format("{}K", bytes >> 10) : fmt::format("{}", bytes);
}

// Collects the medians and prints them when all is done.
class Tables final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.aggregate_name != "median") continue;
      gbps_[run.run_name.function_name][std::stoll(run.run_name.args)] = run.counters.at("bytes_per_second") / 1e9;
    }
  }
  void Finalize() override {
    print("GB/s", [](double rate, double) { return fmt::format("{:>7.2f}", rate); });
    print("of memcpy", [](double rate, double memcpy) { return memcpy > 0 ? fmt::format("{:>7.2f}", rate / memcpy) : ""; });
  }

 private:
  template <class Cell>
  void print(const char* title, Cell cell) {
    fmt::print("{:<20}", title);
    for (const auto& [bytes, rate] : gbps_["memcpy"]) fmt::print("{:>7}", short_size(bytes));
    for (const std::string& name : names) {
      fmt::print("\n{:<20}", name);
      for (const auto& [bytes, rate] : gbps_[name]) fmt::print("{}", cell(rate, gbps_["memcpy"][bytes]));
    }
    fmt::print("\n\n");
  }

  std::map<std::string, std::map<std::int64_t, double>> gbps_;
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  std::string defaults[] = {"--benchmark_repetitions=9", "--benchmark_enable_random_interleaving=true",
                            "--benchmark_min_time=0.01"};
  for (std::string& flag : defaults) arguments.insert(arguments.begin() + 1, flag.data());
  auto count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;
  add_all();
  Tables tables;
  benchmark::RunSpecifiedBenchmarks(&tables);
}
