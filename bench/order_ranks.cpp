// What it costs to promise more of the bits of a reduction, ranks being processes that a launcher has started (bench/order.py):
// each order class, and sums in f64, beside `fast`. They take turns, round by round, in one job, on the same numbers; a time is
// that of the slowest rank, a ratio is to `fast` in the same round, and the medians over the rounds are printed. All results are
// compared with sums that each rank computes by itself.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tutti/communicator.h"

namespace {

using namespace tutti;

struct Contender {
  std::string name;
  OrderClass order;
  std::optional<DataType> accumulate = {};
};
const std::vector<Contender> kContenders{{"fast", OrderClass::fast},
                                         {"same_layout", OrderClass::same_layout},
                                         {"placement_free", OrderClass::placement_free},
                                         {"size_free", OrderClass::size_free},
                                         {"in f64", OrderClass::fast, DataType::f64}};

struct Settings {
  std::vector<std::uint64_t> bytes{8, 1024, 64 << 10, 1 << 20, 64 << 20};
  int rounds = 21;
  double milliseconds = 20;
};

// As gradients are: of one size in the middle, mostly.
std::vector<float> numbers(std::size_t count, Rank rank) {
  std::mt19937 random(static_cast<unsigned>(rank) + 1);
  std::normal_distribution<float> normal(0, 1e-3F);
  std::vector<float> all(std::min<std::size_t>(count, 1 << 16));
  for (float& x : all) x = normal(random);
  for (std::size_t i = all.size(); i < count; ++i) all.push_back(all[i - (1 << 16)]);
  return all;
}

class Bench {
 public:
  Bench(Communicator& comm, const Settings& options) : comm_(comm), options_(options) {}

  void size(std::uint64_t bytes) {
    const std::size_t count = bytes / sizeof(float);
    input_ = numbers(count, comm_.rank());
    output_.assign(count, 0);
    sums_.assign(count, 0);
    magnitudes_.assign(count, 0);
    for (Rank r = 0; r < comm_.size(); ++r) {
      const std::vector<float> of_rank = numbers(count, r);
      for (std::size_t i = 0; i < count; ++i) {
        sums_[i] += of_rank[i];
        magnitudes_[i] += std::abs(of_rank[i]);
      }
    }
    std::vector<std::string> algorithms;
    int calls = 0;
    for (const Contender& c : kContenders) {
      (void)timed(c, 1);
      check(c);
      const double us = timed(c, 1);
      if (calls == 0) calls = std::clamp(static_cast<int>(options_.milliseconds * 1e3 / std::max(us, 1.0)), 1, 1000);
      algorithms.push_back(algorithm_);
    }
    std::vector<std::vector<double>> us(kContenders.size()), ratios(kContenders.size());
    for (int round = 0; round < options_.rounds; ++round) {
      for (std::size_t turn = 0; turn < kContenders.size(); ++turn) {
        const std::size_t c = (turn + static_cast<std::size_t>(round)) % kContenders.size();
        us[c].push_back(timed(kContenders[c], calls));
      }
      for (std::size_t c = 0; c < kContenders.size(); ++c) ratios[c].push_back(us[c].back() / us[0].back());
    }
    if (comm_.rank() != 0) return;
    fmt::print("{:>6} {:>10}", comm_.size(), bytes);
    for (std::size_t c = 0; c < kContenders.size(); ++c)
      fmt::print("  {:>9.1f} {:>5.2f} {:<10}", median(us[c]), median(ratios[c]), algorithms[c].substr(0, 10));
    fmt::print("\n");
    std::fflush(stdout);
  }

 private:
  static double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  }

  // Microseconds of one call, on the slowest rank.
  double timed(const Contender& c, int calls) {
    const Call call{.collective = Collective::all_reduce,
                    .input = input_.data(),
                    .output = output_.data(),
                    .count = input_.size(),
                    .type = DataType::f32,
                    .order = c.order,
                    .accumulate = c.accumulate};
    comm_.barrier().value_or_throw();
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) comm_.run(call).value_or_throw();
    algorithm_ = comm_.last_algorithm();
    double us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / calls;
    comm_.all_reduce(std::span(&us, 1), {.kind = ReduceKind::max}).value_or_throw();
    return us;
  }

  // The sums in f64 are as good as exact here. An exact sum is theirs, rounded.
  void check(const Contender& c) const {
    const double most = c.order == OrderClass::size_free || c.accumulate ? 0x1p-24 : 0x1p-24 * comm_.size();
    for (std::size_t i = 0; i < sums_.size(); ++i)
      if (std::abs(output_[i] - sums_[i]) > most * magnitudes_[i] + 0x1p-149) {
        fmt::print(stderr, "{}: element {} is {}, not {}\n", c.name, i, output_[i], sums_[i]);
        std::exit(1);
      }
  }

  Communicator& comm_;
  const Settings& options_;
  std::vector<float> input_, output_;
  std::vector<double> sums_, magnitudes_;
  std::string algorithm_;  // of the last calls that were timed
};

}  // namespace

int main(int argc, char** argv) {
  Settings options;
  CLI::App app("What order classes cost");
  app.add_option("--bytes", options.bytes, "Sizes of the vector")->capture_default_str();
  app.add_option("--rounds", options.rounds, "Turns of each")->capture_default_str();
  app.add_option("--milliseconds", options.milliseconds, "That a turn takes")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  auto comm = Communicator::from_environment();
  if (!comm) {
    fmt::print(stderr, "{}\n", comm.error().to_string());
    return 1;
  }
  if (comm->rank() == 0) {
    fmt::print("{:>6} {:>10}", "ranks", "bytes");
    for (const Contender& c : kContenders) fmt::print("  {:>15} {:<10}", c.name, "");
    fmt::print("\n{:>17}", "");
    for (std::size_t c = 0; c < kContenders.size(); ++c) fmt::print("  {:>9} {:>5} {:<10}", "us", "ratio", "algorithm");
    fmt::print("\n");
  }
  Bench bench(*comm, options);
  for (const std::uint64_t bytes : options.bytes) bench.size(bytes);
  return 0;
}
