#include "runtime/tuner.h"

#include <algorithm>
#include <cmath>

#include "core/clock.h"
#include "runtime/communicator_impl.h"

namespace tutti {
namespace {

constexpr double kFarOff = 10;                           // times the best prediction: not tried
constexpr std::size_t kMostRows = 8, kMostVariants = 4;  // tried: rows, and variants of the best of them
constexpr int kFirstRounds = 3, kMostRounds = 60;
constexpr double kClose = 1.25;   // times the best time: measured further
constexpr double kRoundUs = 500;  // of one variant in one round, at the least
constexpr int kMostIterations = 200;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// The variants of one size, in measurement. All decisions rest on times that the ranks have agreed on.
class Trial {
 public:
  Trial(Communicator& communicator, Call call, const JobMachine& machine, const SelectRequest& request)
      : communicator_(communicator), call_(call), machine_(machine), all_(all_variants(request, machine)) {}

  struct Entry {
    explicit Entry(const Candidate& c) : candidate(c), name(forced_name(c)) {}
    Candidate candidate;
    std::string name;
    std::vector<double> us = {};  // of each round
    int iterations = 0;           // of a round; 0: not run yet
    bool going_on = true;
    [[nodiscard]] double time_us() const { return us.empty() ? candidate.total_us : median(us); }
  };

  void take_good_ones(bool every_variant, const Candidate& chosen) {
    std::vector<std::pair<const Algorithm*, std::size_t>> rows;
    for (const Candidate& c : all_) {
      auto row = std::ranges::find(rows, c.algorithm, &std::pair<const Algorithm*, std::size_t>::first);
      if (row == rows.end()) row = rows.insert(rows.end(), {c.algorithm, 0});
      const std::size_t place = static_cast<std::size_t>(row - rows.begin());
      const std::size_t most = place < 2 ? kMostVariants : 1;
      const bool good = c.total_us <= kFarOff * all_.front().total_us && place < kMostRows && row->second < most;
      if (every_variant || good) entries_.emplace_back(c);
      ++row->second;
    }
    if (!known(chosen)) entries_.emplace_back(chosen);
  }

  // Those next to the best one in pieces and radix.
  void take_neighbours_of_best() {
    const Candidate best = best_entry().candidate;
    for (const Candidate& c : all_) {
      if (c.algorithm != best.algorithm || known(c)) continue;
      if (next_to(c.chunking, best.chunking)) entries_.emplace_back(c);
    }
  }

  // One round over all that go on. Returns how long the slowest rank has taken in all.
  Result<double> round() {
    std::vector<double> took;
    std::vector<Entry*> ran;
    const TimePoint start = Clock::now();
    for (Entry& e : entries_) {
      if (!e.going_on) continue;
      auto us = measure(e);
      if (!us) return std::move(us.error());
      took.push_back(*us);
      ran.push_back(&e);
    }
    took.push_back(seconds_since(start));
    if (auto s = communicator_.all_reduce(std::span(took), {.kind = ReduceKind::max, .user = {}}); !s)
      return std::move(s.error());
    for (std::size_t i = 0; i < ran.size(); ++i) add(*ran[i], took[i]);
    return took.back();
  }

  void drop_slow_ones() {
    const double best_us = best_entry().time_us();
    for (Entry& e : entries_) e.going_on = e.time_us() <= kClose * best_us;
  }
  [[nodiscard]] bool only_one_goes_on() const { return std::ranges::count_if(entries_, &Entry::going_on) == 1; }

  [[nodiscard]] std::vector<TunedVariant> result() const {
    std::vector<TunedVariant> variants;
    for (const Entry& e : entries_)
      if (!e.us.empty()) variants.push_back({e.candidate, e.time_us(), static_cast<int>(e.us.size())});
    std::ranges::stable_sort(variants, {}, &TunedVariant::us);
    return variants;
  }

 private:
  [[nodiscard]] const Entry& best_entry() const { return *std::ranges::min_element(entries_, {}, &Entry::time_us); }
  [[nodiscard]] bool known(const Candidate& c) const {
    return std::ranges::any_of(entries_, [&](const Entry& e) { return e.candidate.same_way(c); });
  }
  static bool next_to(const Chunking& a, const Chunking& b) {
    const auto at = [](std::uint32_t radix) { return std::ranges::find(kRadices, radix) - std::begin(kRadices); };
    if (a.radix != b.radix) return a.pieces == b.pieces && std::abs(at(a.radix) - at(b.radix)) == 1;
    return a.pieces == 2 * b.pieces || b.pieces == 2 * a.pieces;
  }

  // The mean of some calls, in microseconds; the first call of all makes the plan and connects.
  Result<double> measure(Entry& e) {
    call_.algorithm = e.name;
    if (auto s = communicator_.run(call_); !s) return std::move(s.error());
    if (auto s = communicator_.barrier(); !s) return std::move(s.error());
    const int iterations = std::max(1, e.iterations);
    // Calls with a root do not wait for each other: without a barrier it is the busiest rank's throughput that is measured.
    const bool meet = has_root(call_.collective);
    double seconds = 0;
    for (int i = 0; i < iterations; ++i) {
      if (auto s = meet ? communicator_.barrier() : Status{}; !s) return std::move(s.error());
      const TimePoint start = Clock::now();
      if (auto s = communicator_.run(call_); !s) return std::move(s.error());
      seconds += seconds_since(start);
    }
    return seconds * 1e6 / iterations;
  }

  // The first round only shows how many iterations the next ones need.
  static void add(Entry& e, double us) {
    if (e.iterations > 0) e.us.push_back(us);
    e.iterations = std::clamp(static_cast<int>(kRoundUs / std::max(us, 1e-3)), 1, kMostIterations);
  }

  Communicator& communicator_;
  Call call_;
  const JobMachine& machine_;
  std::vector<Candidate> all_;
  std::vector<Entry> entries_;
};

SelectRequest request_of(Collective collective, std::uint64_t block_bytes) {
  return {.collective = collective, .block_bytes = block_bytes, .element_bytes = sizeof(float)};
}

}  // namespace

// Which of the variants is chosen on this machine; the fastest one, where it was not measured.
std::size_t Tuner::chosen(const TunedSize& size, const JobMachine& machine) const {
  auto selection = select(request_of(size.collective, size.block_bytes), machine);
  if (!selection) return 0;
  const Candidate& winner = selection->winner();
  const auto found = std::ranges::find_if(size.variants, [&](const TunedVariant& v) { return v.candidate.same_way(winner); });
  return found == size.variants.end() ? 0 : static_cast<std::size_t>(found - size.variants.begin());
}

Tuner::Tuner(Communicator& communicator)
    : communicator_(communicator), job_(communicator.impl_->runner->job()), machine_(communicator.impl_->runner->machine()) {
  machine_.measured = {};
}

std::vector<Tuner::Task> Tuner::tasks(const TuneOptions& options) const {
  const Rank ranks = communicator_.size();
  std::vector<Task> tasks;
  for (const Collective collective : options.collectives)
    for (const std::uint64_t size : options.sizes) {
      const std::uint64_t blocks = std::max(input_chunks(collective, ranks, 1), output_chunks(collective, ranks, 1));
      const bool empty = size == 0 || collective == Collective::barrier;
      const Task task{collective, blocks, empty ? 0 : std::max<std::uint64_t>(1, size / blocks / sizeof(float))};
      if (std::ranges::find(tasks, task) == tasks.end()) tasks.push_back(task);
    }
  return tasks;
}

Result<TunedSize> Tuner::tune(const Task& task, double seconds, bool every_variant) {
  const auto [collective, blocks, count] = task;
  std::vector<float> input(count * blocks), output(count * blocks);
  Call call{.collective = collective, .input = input.data(), .output = output.data(), .count = count};
  if (collective == Collective::broadcast && communicator_.rank() != call.root) call.input = nullptr;
  const SelectRequest request{.collective = collective, .block_bytes = count * sizeof(float), .element_bytes = sizeof(float)};
  auto by_model = select(request, machine_);
  if (!by_model) return std::move(by_model.error());

  Trial trial(communicator_, call, machine_, request);
  trial.take_good_ones(every_variant, by_model->winner());
  double took = 0;
  for (int round = 0; round <= kMostRounds && (took < seconds || round <= kFirstRounds); ++round) {
    if (round == kFirstRounds + 1 && !every_variant) {
      trial.take_neighbours_of_best();
    } else if (round == 2 * kFirstRounds + 2 && !every_variant) {
      trial.drop_slow_ones();
      if (trial.only_one_goes_on()) break;
    }
    auto seconds_of_round = trial.round();
    if (!seconds_of_round) return std::move(seconds_of_round.error());
    took += *seconds_of_round;
  }
  TunedSize size{collective, task.bytes(), request.block_bytes, trial.result()};
  size.by_model = chosen(size, machine_);
  return size;
}

Result<std::vector<TunedSize>> Tuner::run(const TuneOptions& options) {
  const std::vector<Task> todo = tasks(options);
  std::vector<TunedSize> results;
  double left = options.seconds;
  for (std::size_t i = 0; i < todo.size(); ++i) {
    if (options.progress) options.progress(i, todo.size(), todo[i].collective, todo[i].bytes());
    const TimePoint start = Clock::now();
    auto size = tune(todo[i], left / static_cast<double>(todo.size() - i), options.every_variant);
    if (!size) return std::move(size.error());
    results.push_back(std::move(*size));
    if (options.measured) options.measured(results);
    double took = seconds_since(start);
    if (auto s = communicator_.all_reduce(std::span(&took, 1), {.kind = ReduceKind::max, .user = {}}); !s)
      return std::move(s.error());
    left = std::max(0.0, left - took);
  }
  JobMachine tuned = machine_;
  tuned.measured = Measurements(layout(results).measured);
  for (TunedSize& size : results) size.by_measurement = chosen(size, tuned);
  return results;
}

TunedLayout Tuner::layout(const std::vector<TunedSize>& sizes) const {
  TunedLayout layout = job_.layout();
  for (const TunedSize& size : sizes)
    for (const TunedVariant& v : size.variants)
      layout.measured.push_back(
          {{size.collective, std::string(v.candidate.algorithm->name), v.candidate.chunking, v.candidate.published},
           size.block_bytes,
           v.us});
  return layout;
}

}  // namespace tutti
