#include "runtime/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "bootstrap/wire.h"
#include "core/config.h"
#include "core/log.h"
#include "kernels/kernels.h"
#include "runtime/failure.h"
#include "runtime/streams.h"

namespace tutti {
namespace {

constexpr std::uint64_t kCalibrationSalt = 1;
constexpr std::size_t kSmall = 8;
// Sizes at which ways of moving bytes are compared, ascending. The last one also gives the bandwidth.
constexpr std::array<std::size_t, 5> kSizes{2u << 10, 8u << 10, 32u << 10, 128u << 10, 512u << 10};
// Moved before anything is timed: what a store costs depends on what the receiver's caches still hold of the transport's buffers,
// and that has settled when these have been filled some times.
constexpr std::size_t kBytesBefore = 8u << 20;
constexpr std::size_t kBytesPerSize = 1u << 20;  // moved each way
constexpr int kBatches = 3, kSmallRounds = 20;
constexpr std::size_t kReduceBytes = 256u << 10;  // fits a core's own cache, as a chunk does
// Another way must be so much faster to be taken.
constexpr double kClearly = 0.95;

// One rank's half of a ping-pong of `bytes`.
Schedule ping_pong(Rank me, Rank ranks, Rank peer) {
  Builder b(Collective::send_recv, "ping_pong", me, Shape{.ranks = ranks}, 1);
  if (me < peer) {
    b.send(b.input(0), peer);
    b.recv(peer, b.output(0));
  } else {
    b.recv(peer, b.output(0));
    b.send(b.output(0), peer);
  }
  return std::move(b).finish();
}

// Both ways at once, as most steps of collectives are.
Schedule exchange(Rank me, Rank ranks, Rank peer) {
  Builder b(Collective::send_recv, "exchange", me, Shape{.ranks = ranks}, 1);
  b.send(b.input(0), peer);
  b.recv(peer, b.output(0));
  return std::move(b).finish();
}

class Pair {
 public:
  Pair(Job& job, Rank peer) : job_(job), peer_(peer), streams_(job, kCalibrationSalt), watch_(*job.session().overlay) {}

  Result<double> one_way_us(std::size_t bytes, int rounds, const LinkTuning& tuning) {
    auto there_and_back = best_us(ping_pong(job_.rank(), job_.size(), peer_), bytes, rounds, tuning);
    if (!there_and_back) return there_and_back;
    return *there_and_back / 2;
  }
  Result<double> exchange_us(std::size_t bytes, int rounds, const LinkTuning& tuning) {
    return best_us(exchange(job_.rank(), job_.size(), peer_), bytes, rounds, tuning);
  }
  // Whether the transport can move bytes in several ways; known when something was timed.
  [[nodiscard]] bool tunable() const noexcept { return tunable_; }

 private:
  // Microseconds of a round, the best batch's mean.
  Result<double> best_us(const Schedule& schedule, std::size_t bytes, int rounds, const LinkTuning& tuning) {
    const ChunkMap map(schedule.collective, schedule.rank, schedule.ranks, 1, {.uniform = bytes}, {.uniform = bytes}, 1, {});
    auto plan = lower(schedule, map, {.count = bytes, .collective = static_cast<std::uint8_t>(Collective::send_recv)},
                      DataType::u8, {}, streams_);
    if (!plan) return std::move(plan.error());
    for (Stream* stream : plan->streams) tunable_ = stream->endpoint().tune(tuning);
    Execution execution(*plan);
    in_.resize(std::max(in_.size(), bytes));
    out_.resize(in_.size());
    double best = 1e9;
    for (int batch = -1; batch < kBatches; ++batch) {  // batch -1 connects and warms up
      auto seconds = time(execution, rounds);
      if (!seconds) return std::move(seconds.error());
      if (batch >= 0) best = std::min(best, *seconds);
    }
    return best * 1e6 / rounds;
  }
  Result<double> time(Execution& execution, int rounds) {
    const TimePoint start = Clock::now();
    for (int i = 0; i < rounds; ++i) {
      if (auto s = execution.start({in_.data(), out_.data(), nullptr}, 0, policy_.first_looks()); !s) return std::move(s.error());
      if (execution.done()) continue;
      if (auto s = drive(execution, policy_, watch_); !s) return std::move(s.error());
    }
    return seconds_since(start);
  }

  Job& job_;
  Rank peer_;
  Streams streams_;
  OverlayWatch watch_;
  WaitPolicy policy_ = job_.wait_policy();
  std::vector<std::byte> in_, out_;
  bool tunable_ = false;
};

// What is known of one level after its pair has measured it, or has not (latency 0).
struct LevelTimes {
  double latency_us = 0, bandwidth_gbps = 0;
  std::uint64_t past_caches_from = LinkTuning::kNever, direct_from = LinkTuning::kNever;
};

using TimesBySize = std::array<double, kSizes.size()>;

// The smallest size from which on `other` is clearly faster.
std::uint64_t faster_from(const TimesBySize& other, const TimesBySize& usual) {
  std::uint64_t from = LinkTuning::kNever;
  for (std::size_t i = kSizes.size(); i-- > 0 && other[i] < kClearly * usual[i];) from = kSizes[i];
  return from;
}

Result<TimesBySize> time_sizes(Pair& pair, const LinkTuning& tuning) {
  TimesBySize times{};
  if (pair.tunable()) {
    auto settled = pair.exchange_us(kSizes.back(), static_cast<int>(kBytesBefore / kSizes.back() / (kBatches + 1)), tuning);
    if (!settled) return std::move(settled.error());
  }
  for (std::size_t i = 0; i < kSizes.size(); ++i) {
    auto t = pair.exchange_us(kSizes[i], static_cast<int>(kBytesPerSize / kSizes[i] / kBatches) + 1, tuning);
    if (!t) return std::move(t.error());
    times[i] = *t;
  }
  return times;
}

// `choices`: whether to find out which way of moving bytes is the fastest, where there are several.
Result<LevelTimes> measure_pair(Job& job, Rank peer, bool choices) {
  constexpr LinkTuning kPlain{.past_caches_from = LinkTuning::kNever, .direct_from = LinkTuning::kNever};
  Pair pair(job, peer);
  auto small = pair.one_way_us(kSmall, kSmallRounds, kPlain);
  if (!small) return std::move(small.error());
  auto plain = time_sizes(pair, kPlain);
  if (!plain) return std::move(plain.error());
  TimesBySize best = *plain;
  LevelTimes level{.latency_us = *small};
  if (choices && pair.tunable()) {
    auto past = time_sizes(pair, {.past_caches_from = 0, .direct_from = LinkTuning::kNever});
    if (!past) return std::move(past.error());
    auto direct = time_sizes(pair, {.past_caches_from = LinkTuning::kNever, .direct_from = 0});
    if (!direct) return std::move(direct.error());
    level.past_caches_from = faster_from(*past, *plain);
    for (std::size_t i = 0; i < best.size(); ++i)
      if (kSizes[i] >= level.past_caches_from) best[i] = (*past)[i];
    level.direct_from = faster_from(*direct, best);
    if (level.direct_from <= kSizes.back()) best.back() = direct->back();
  }
  level.bandwidth_gbps = static_cast<double>(kSizes.back()) / std::max(best.back() - *small, 1e-3) / 1e3;
  return level;
}

template <class Run>
double gbps(std::size_t bytes, Run&& run) {
  double best = 1e9;
  for (int i = 0; i < 4; ++i) {
    const TimePoint start = Clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  return static_cast<double>(bytes) / std::max(best, 1e-9) / 1e9;
}

// Whom this rank measures each level with: the first pair of its host that shares that level and no nearer one; of the first
// ranks of each two neighbouring hosts, the other.
std::array<Rank, kLevels> partners_of(Rank me, const Placement& placement) {
  std::array<Rank, kLevels> partners;
  partners.fill(kNoRank);
  std::map<int, std::vector<Rank>> hosts;
  for (std::size_t r = 0; r < placement.ranks.size(); ++r) hosts[placement.ranks[r].host].push_back(static_cast<Rank>(r));
  const auto place = [&](Rank r) -> const RankLocation& { return placement.ranks[static_cast<std::size_t>(r)]; };
  std::array<bool, kLevels> found{};
  const std::vector<Rank>& mates = hosts[place(me).host];
  for (std::size_t i = 0; i < mates.size(); ++i)
    for (std::size_t j = i + 1; j < mates.size(); ++j) {
      const auto level = static_cast<std::size_t>(nearest_level(place(mates[i]), place(mates[j])));
      if (std::exchange(found[level], true)) continue;
      if (me == mates[i]) partners[level] = mates[j];
      if (me == mates[j]) partners[level] = mates[i];
    }
  std::vector<Rank> leaders;
  leaders.reserve(hosts.size());
  for (const auto& [host, ranks] : hosts) leaders.push_back(ranks.front());
  const auto at = std::ranges::find(leaders, me) - leaders.begin();
  const auto other = at % 2 == 0 ? at + 1 : at - 1;
  const auto n = static_cast<std::ptrdiff_t>(leaders.size());
  if (at < n && other < n) partners[static_cast<std::size_t>(Level::network)] = leaders[static_cast<std::size_t>(other)];
  return partners;
}

struct Numbers {
  std::array<LevelTimes, kLevels> levels{};
  double reduce_gbps = 0, copy_gbps = 0;
};

void slower(double& worst, double seen, bool larger_is_worse) {
  if (seen <= 0) return;
  worst = worst <= 0 ? seen : larger_is_worse ? std::max(worst, seen) : std::min(worst, seen);
}

void slower(LevelTimes& worst, const LevelTimes& seen) {
  if (seen.latency_us <= 0) return;
  if (worst.latency_us <= 0) worst.past_caches_from = worst.direct_from = 0;
  slower(worst.latency_us, seen.latency_us, true);
  slower(worst.bandwidth_gbps, seen.bandwidth_gbps, false);
  worst.past_caches_from = std::max(worst.past_caches_from, seen.past_caches_from);
  worst.direct_from = std::max(worst.direct_from, seen.direct_from);
}

Result<Numbers> slowest(Job& job, const Numbers& mine) {
  auto blobs = job.session().overlay->all_gather(std::as_bytes(std::span(&mine, 1)));
  if (!blobs) return std::move(blobs.error());
  Numbers worst;
  for (const auto& blob : *blobs) {
    Numbers n;
    if (blob.size() != sizeof n) return Error(Code::protocol, "a rank sent measurements of another version of tutti");
    std::memcpy(&n, blob.data(), sizeof n);
    for (std::size_t l = 0; l < kLevels; ++l) slower(worst.levels[l], n.levels[l]);
    slower(worst.reduce_gbps, n.reduce_gbps, false);
    slower(worst.copy_gbps, n.copy_gbps, false);
  }
  return worst;
}

std::string size_text(std::uint64_t bytes) { return bytes == LinkTuning::kNever ? "no size" : format_bytes(bytes); }

}  // namespace

Result<Measured> measure(Job& job, const Placement& placement) {
  const std::array<Rank, kLevels> partners = partners_of(job.rank(), placement);
  // Where ranks share cores, the turns they take hide how bytes are best moved.
  const bool crowded = job.machine().oversubscribed();
  Numbers mine;
  for (std::size_t l = 0; l < kLevels; ++l) {
    if (partners[l] == kNoRank) continue;
    auto times = measure_pair(job, partners[l], !crowded);
    if (!times) return std::move(times.error());
    mine.levels[l] = *times;
  }
  std::vector<float> a(kReduceBytes / sizeof(float)), b(a.size()), c(a.size());
  mine.reduce_gbps = gbps(kReduceBytes, [&] { kernels::reduce2({}, DataType::f32, a.data(), b.data(), c.data(), a.size()); });
  mine.copy_gbps = gbps(kReduceBytes, [&] { kernels::copy(c.data(), a.data(), kReduceBytes); });
  auto worst = slowest(job, mine);
  if (!worst) return std::move(worst.error());

  Measured m;
  for (std::size_t l = 0; l < kLevels; ++l) {
    const LevelTimes& times = worst->levels[l];
    m.links[l] = between(placement, static_cast<Level>(l));
    if (times.latency_us <= 0) continue;
    m.links[l] = {times.latency_us, times.bandwidth_gbps, Origin::system};
    if (!crowded) m.tuning[l] = {times.past_caches_from, times.direct_from};
    if (job.rank() == 0)
      log(LogLevel::info,
          fmt::format("measured between ranks that share a {}: {:.3f} us, {:.2f} GB/s; stores past the caches from "
                      "{}, memory of the other read from {} bytes",
                      name(static_cast<Level>(l)), times.latency_us, times.bandwidth_gbps, size_text(times.past_caches_from),
                      size_text(times.direct_from)));
  }
  m.reduce_gbps = worst->reduce_gbps;
  m.copy_gbps = worst->copy_gbps;
  return m;
}

}  // namespace tutti
