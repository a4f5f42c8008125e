#include "runtime/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "bootstrap/wire.h"
#include "core/config.h"
#include "core/log.h"
#include "kernels/kernels.h"
#include "runtime/failure.h"
#include "runtime/streams.h"
#include "schedule/passes.h"
#include "select/render.h"
#include "tutti/memory.h"

namespace tutti {
namespace {

constexpr std::uint64_t kCalibrationSalt = 1;
constexpr std::size_t kSmall = 8;  // bytes of the messages whose time gives the latency
// Short batches, and many: the fastest one is free of what else runs here.
constexpr int kSmallRounds = 6, kSmallBatches = 12, kLargeRounds = 4, kLargeBatches = 8;
// Sizes at which ways of moving bytes are compared, ascending.
constexpr std::array<std::size_t, 6> kSizes{2u << 10, 8u << 10, 32u << 10, 128u << 10, 512u << 10, 2u << 20};
// Below this neither the order of the cells matters nor can reading the other's memory pay.
constexpr std::size_t kSmallestLarge = 32u << 10;
constexpr std::size_t kBytesPerSize = 512u << 10;  // moved each way, twice, at the least
constexpr int kBatches = 3;                        // to compare the ways
constexpr std::size_t kReduceBytes = 256u << 10;   // fits a core's own cache, as a chunk does
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

// Both ways at once, as most steps of collectives are, and then what has arrived over another connection, as in an all_reduce.
Schedule exchange_twice(Rank me, Rank ranks, Rank peer) {
  Builder b(Collective::send_recv, "exchange_twice", me, Shape{.ranks = ranks}, 2);
  b.send(b.input(0), peer);
  b.recv(peer, b.output(0));
  b.send(b.output(0), peer, 1);
  b.recv(peer, b.output(1), 1);
  return std::move(b).finish();
}

// Each combines one half of what both give, and tells the other: an all_reduce, which reads what the program has written and what
// the other has just computed.
Schedule combine_halves(Rank me, Rank ranks, Rank peer) {
  Builder b(Collective::all_reduce, "combine_halves", me, Shape{.ranks = ranks}, 2);
  const std::uint32_t own = me < peer ? 0 : 1, other = 1 - own;
  b.copy(b.input(own), b.output(own));
  b.send(b.input(other), peer);
  const Slice arriving = b.scratch_like(b.output(own));
  b.recv(peer, arriving);
  b.reduce(arriving, b.output(own));
  b.send(b.output(own), peer, 1);
  b.recv(peer, b.output(other), 1);
  return std::move(b).finish();
}

// Both ways at once.
Schedule exchange(Rank me, Rank ranks, Rank peer) {
  Builder b(Collective::send_recv, "exchange", me, Shape{.ranks = ranks}, 1);
  b.send(b.input(0), peer);
  b.recv(peer, b.output(0));
  return std::move(b).finish();
}

class Pair {
 public:
  Pair(Job& job, Rank peer) : job_(job), peer_(peer), streams_(job, kCalibrationSalt), watch_(*job.session().overlay) {}

  Result<double> one_way_us(std::size_t bytes, const LinkTuning& tuning) {
    auto plan = make_plan(ping_pong(job_.rank(), job_.size(), peer_), bytes, tuning);
    if (!plan) return std::move(plan.error());
    Execution execution(*plan);
    auto there_and_back = best_us(kSmallBatches, kSmallRounds, [&]() -> Result<double> {
      const TimePoint start = Clock::now();
      for (int i = 0; i < kSmallRounds; ++i)
        if (auto s = run(execution); !s) return std::move(s.error());
      return seconds_since(start);
    });
    if (!there_and_back) return there_and_back;
    return *there_and_back / 2;
  }

  Result<double> exchange_us(std::size_t bytes, const LinkTuning& tuning) {
    return timed_rounds_us(exchange(job_.rank(), job_.size(), peer_), bytes, kLargeBatches, kLargeRounds, tuning, false);
  }
  // What moving bytes one way or another costs a program: two steps of a collective, and before them the writing of what is sent,
  // after them the reading of what has come. Who reads a sender's memory leaves its lines in a state in which they cost more to
  // write.
  using Steps = Schedule (*)(Rank me, Rank ranks, Rank peer);
  Result<double> round_us(Steps steps, std::size_t bytes, int rounds, const LinkTuning& tuning) {
    return timed_rounds_us(fuse(steps(job_.rank(), job_.size(), peer_)), bytes, kBatches, rounds, tuning, true);
  }
  // Whether the transport can move bytes in several ways; known when something was timed.
  [[nodiscard]] bool tunable() const noexcept { return tunable_; }

 private:
  // Before each round both write what they send anew, as programs do: what nobody has written since, the reader may still have.
  Result<double> timed_rounds_us(const Schedule& schedule, std::size_t bytes, int batches, int rounds, const LinkTuning& tuning,
                                 bool with_program) {
    auto meeting = make_plan(exchange(job_.rank(), job_.size(), peer_), kSmall, tuning);
    if (!meeting) return std::move(meeting.error());
    auto moving = make_plan(schedule, bytes, tuning);
    if (!moving) return std::move(moving.error());
    Execution meet(*meeting), move(*moving);
    return best_us(batches, rounds, [&]() -> Result<double> {
      double seconds = 0;
      for (int i = 0; i < rounds; ++i) {
        const std::size_t used = bytes * schedule.chunks_per_block;
        const auto write = [&] { std::ranges::fill(in_.as<std::byte>().first(used), static_cast<std::byte>(i)); };
        if (!with_program) write();
        if (auto s = run(meet); !s) return std::move(s.error());
        const TimePoint start = Clock::now();
        if (with_program) write();
        if (auto s = run(move); !s) return std::move(s.error());
        if (with_program) read(out_.as<std::byte>().first(used));
        seconds += seconds_since(start);
      }
      return seconds;
    });
  }

  // `bytes` of each message
  Result<Plan> make_plan(const Schedule& schedule, std::size_t bytes, const LinkTuning& tuning) {
    const std::uint32_t chunks = schedule.chunks_per_block;
    const Blocks blocks{.uniform = bytes * chunks};
    const ChunkMap map(schedule.collective, schedule.rank, schedule.ranks, chunks, blocks, blocks, 1, {});
    auto plan = lower(schedule, map, {.count = bytes, .collective = static_cast<std::uint8_t>(Collective::send_recv)},
                      DataType::u8, {}, streams_);
    if (!plan) return plan;
    for (Stream* stream : plan->streams) tunable_ = stream->endpoint().tune(tuning);
    for (Memory* memory : {&in_, &out_}) {
      if (memory->size() >= bytes * chunks) continue;
      auto larger = allocate(bytes * chunks);
      if (!larger) return std::move(larger.error());
      *memory = std::move(*larger);
    }
    return plan;
  }
  void read(std::span<const std::byte> bytes) {
    read_ = std::accumulate(bytes.begin(), bytes.end(), read_, [](std::byte a, std::byte b) { return a ^ b; });
  }
  // Microseconds of a round, the best batch's mean. `batch` returns the seconds of all its rounds.
  template <class Batch>
  Result<double> best_us(int batches, int rounds, const Batch& batch) {
    double best = 1e9;
    for (int i = -1; i < batches; ++i) {  // batch -1 connects and warms up
      auto seconds = batch();
      if (!seconds) return seconds;
      if (i >= 0) best = std::min(best, *seconds);
    }
    return best * 1e6 / rounds;
  }
  Status run(Execution& execution) {
    if (auto s =
            execution.start({in_.as<std::byte>().data(), out_.as<std::byte>().data(), nullptr}, 0, policy_.first_looks(false));
        !s)
      return s;
    return execution.done() ? Status{} : drive(execution, policy_, watch_);
  }

  Job& job_;
  Rank peer_;
  Streams streams_;
  OverlayWatch watch_;
  WaitPolicy policy_ = job_.wait_policy();
  Memory in_, out_;  // that the peer could map
  volatile std::byte read_{};
  bool tunable_ = false;
};

constexpr LinkTuning kPlain{.mapped_from = LinkTuning::kNever, .placed_from = LinkTuning::kNever};

// What is known of one level after its pair has measured it, or has not (latency 0).
struct LevelTimes {
  double latency_us = 0, bandwidth_gbps = 0;
  LinkTuning tuning = kPlain;
};

using TimesBySize = std::array<double, kSizes.size()>;  // of what was not timed: as good as never

// The smallest size from which on `other` is clearly faster.
std::size_t faster_from(const TimesBySize& other, const TimesBySize& usual) {
  std::size_t from = LinkTuning::kNever;
  for (std::size_t i = kSizes.size(); i-- > 0 && other[i] < kClearly * usual[i];) from = kSizes[i];
  return from;
}

// From the largest size down: what a store costs depends on what the receiver's caches still hold of the transport's buffers, and
// that has settled when these have been filled some times.
Result<TimesBySize> time_sizes(Pair& pair, Pair::Steps steps, const LinkTuning& tuning, std::size_t smallest) {
  TimesBySize times;
  times.fill(1e9);
  for (std::size_t i = kSizes.size(); i-- > 0 && kSizes[i] >= smallest;) {
    auto t = pair.round_us(steps, kSizes[i], static_cast<int>(kBytesPerSize / kSizes[i] / kBatches) + 1, tuning);
    if (!t) return std::move(t.error());
    times[i] = *t;
  }
  return times;
}

// Where from on another way than the best one so far is faster; from then on that is the best.
std::size_t prefer(TimesBySize& best, const TimesBySize& times) {
  const std::size_t from = faster_from(times, best);
  for (std::size_t i = 0; i < best.size(); ++i)
    if (kSizes[i] >= from) best[i] = times[i];
  return from;
}

// The ways that any memory may take.
Status find_usual_ways(Pair& pair, LinkTuning& tuning) {
  auto best = time_sizes(pair, exchange_twice, tuning, 0);
  if (!best) return std::move(best.error());
  for (const auto& [from, smallest] :
       {std::pair(&LinkTuning::oldest_first_from, kSmallestLarge), std::pair(&LinkTuning::past_caches_from, std::size_t{0}),
        std::pair(&LinkTuning::direct_from, kSmallestLarge)}) {
    LinkTuning other = tuning;
    other.*from = 0;
    auto times = time_sizes(pair, exchange_twice, other, smallest);
    if (!times) return std::move(times.error());
    tuning.*from = prefer(*best, *times);
  }
  return {};
}

// Those of memory that can be mapped, and what they save.
Status find_mapped_ways(Pair& pair, LinkTuning& tuning) {
  LinkTuning read = tuning, handed_back = tuning;
  read.mapped_from = handed_back.mapped_from = 0;
  handed_back.handed_back_below = LinkTuning::kNever;
  auto best = time_sizes(pair, combine_halves, tuning, 0);
  if (!best) return std::move(best.error());
  auto mapped = time_sizes(pair, combine_halves, read, 0);
  if (!mapped) return std::move(mapped.error());
  auto returned = time_sizes(pair, combine_halves, handed_back, 0);
  if (!returned) return std::move(returned.error());

  const double without_us = best->back();
  std::size_t at = 0;
  for (; at < kSizes.size() && (*returned)[at] < kClearly * (*mapped)[at]; ++at) (*mapped)[at] = (*returned)[at];
  if (at > 0) tuning.handed_back_below = at < kSizes.size() ? kSizes[at] : LinkTuning::kNever;
  tuning.mapped_from = prefer(*best, *mapped);

  LinkTuning placed = tuning;
  placed.placed_from = 0;
  auto written = time_sizes(pair, combine_halves, placed, 0);
  if (!written) return std::move(written.error());
  tuning.placed_from = prefer(*best, *written);
  constexpr double kPages = 2 * 2 * kSizes.back() / 4096.0;  // of two buffers, each as large as two messages
  tuning.mapped_saves_us = (without_us - best->back()) / kPages;
  return {};
}

Result<LinkTuning> find_tuning(Pair& pair) {
  LinkTuning tuning = kPlain;
  if (Status s = find_usual_ways(pair, tuning); !s) return std::move(s.error());
  if (Status s = find_mapped_ways(pair, tuning); !s) return std::move(s.error());
  return tuning;
}

// On a machine that is busy with other work, small messages may have taken as long as large ones.
double bandwidth_gbps(double large_us, double small_us) {
  return static_cast<double>(kLargeBytes) / std::max({large_us - small_us, large_us / 8, 1e-3}) / 1e3;
}

// `choices`: whether to find out which way of moving bytes is the fastest, where there are several.
Result<LevelTimes> measure_pair(Job& job, Rank peer, bool choices) {
  Pair pair(job, peer);
  auto small = pair.one_way_us(kSmall, kPlain);
  if (!small) return std::move(small.error());
  LevelTimes level{.latency_us = *small};
  if (choices && pair.tunable()) {
    auto tuning = find_tuning(pair);
    if (!tuning) return std::move(tuning.error());
    level.tuning = *tuning;
  } else if (pair.tunable()) {
    level.tuning = {};
  }
  LinkTuning usual = level.tuning;  // most calls are of memory that nobody else can map
  usual.mapped_from = usual.placed_from = LinkTuning::kNever;
  auto large = pair.exchange_us(kLargeBytes, usual);
  if (!large) return std::move(large.error());
  level.bandwidth_gbps = bandwidth_gbps(*large, *small);
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

// Pairs of one host's ranks that share this level and no nearer one: the first such pair, or as many as there are.
Rank partner_on_host(Rank me, const Placement& placement, Level level, bool all) {
  const auto place = [&](Rank r) -> const RankLocation& { return placement.ranks[static_cast<std::size_t>(r)]; };
  std::vector<Rank> free;
  for (Rank r = 0; r < static_cast<Rank>(placement.ranks.size()); ++r)
    if (place(r).host == place(me).host) free.push_back(r);
  while (!free.empty()) {
    const Rank first = free.front();
    const auto second =
        std::ranges::find_if(free, [&](Rank r) { return r != first && nearest_level(place(first), place(r)) == level; });
    const Rank other = second == free.end() ? kNoRank : *second;
    if (me == first) return other;
    if (me == other) return first;
    if (other != kNoRank && !all) return kNoRank;
    std::erase_if(free, [&](Rank r) { return r == first || r == other; });
  }
  return kNoRank;
}

// The first rank of a host and that of its neighbour, and likewise the others, if they are asked for.
Rank partner_over_network(Rank me, const Placement& placement, bool all) {
  std::map<int, std::vector<Rank>> by_host;
  for (std::size_t r = 0; r < placement.ranks.size(); ++r) by_host[placement.ranks[r].host].push_back(static_cast<Rank>(r));
  std::vector<std::vector<Rank>> hosts;
  hosts.reserve(by_host.size());
  for (auto& [host, ranks] : by_host) hosts.push_back(std::move(ranks));
  for (std::size_t h = 0; h < hosts.size(); ++h) {
    const auto at = static_cast<std::size_t>(std::ranges::find(hosts[h], me) - hosts[h].begin());
    if (at == hosts[h].size()) continue;
    const std::size_t other = h ^ 1;
    return (at == 0 || all) && other < hosts.size() && at < hosts[other].size() ? hosts[other][at] : kNoRank;
  }
  return kNoRank;
}

// Whom this rank measures a level with.
Rank partner_of(Rank me, const Placement& placement, Level level, bool all) {
  return level == Level::network ? partner_over_network(me, placement, all) : partner_on_host(me, placement, level, all);
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
  const bool first = worst.latency_us <= 0;
  slower(worst.latency_us, seen.latency_us, true);
  slower(worst.bandwidth_gbps, seen.bandwidth_gbps, false);
  if (first) {
    worst.tuning = seen.tuning;
    return;
  }
  for (const auto from : {&LinkTuning::past_caches_from, &LinkTuning::direct_from, &LinkTuning::mapped_from,
                          &LinkTuning::placed_from, &LinkTuning::oldest_first_from})
    worst.tuning.*from = std::max(worst.tuning.*from, seen.tuning.*from);
  worst.tuning.handed_back_below = std::min(worst.tuning.handed_back_below, seen.tuning.handed_back_below);
  worst.tuning.mapped_saves_us = std::min(worst.tuning.mapped_saves_us, seen.tuning.mapped_saves_us);
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

}  // namespace

Result<Measured> measure(Job& job, const Placement& placement, const std::array<LinkParameters, kLevels>& expected) {
  const JobMachine& machine = job.machine();
  const bool crowded = machine.oversubscribed();
  const double crowd = static_cast<double>(machine.core_sharers) / machine.cores_per_host;
  Numbers mine;
  for (std::size_t l = 0; l < kLevels; ++l) {
    // Where ranks share cores, a pair alone measures how it waits for turns: while the others rest, a core that waits has nothing
    // to do. So all talk at once, as they do in a collective, and have their share of a core each.
    const bool all = crowded && (static_cast<Level>(l) != Level::network || machine.hosts_share_cores());
    const Rank partner = partner_of(job.rank(), placement, static_cast<Level>(l), all);
    if (partner == kNoRank) continue;
    // The turns they take hide how bytes are best moved.
    auto times = measure_pair(job, partner, !crowded);
    if (!times) return std::move(times.error());
    mine.levels[l] = *times;
    if (!all) continue;
    mine.levels[l].latency_us /= crowd;
    mine.levels[l].bandwidth_gbps *= crowd;
  }
  std::vector<float> a(kReduceBytes / sizeof(float)), b(a.size()), c(a.size());
  mine.reduce_gbps = gbps(kReduceBytes, [&] { kernels::reduce2({}, DataType::f32, a.data(), b.data(), c.data(), a.size()); });
  mine.copy_gbps = gbps(kReduceBytes, [&] { kernels::copy(c.data(), a.data(), kReduceBytes); });
  auto worst = slowest(job, mine);
  if (!worst) return std::move(worst.error());

  Measured m;
  for (std::size_t l = 0; l < kLevels; ++l) {
    const LevelTimes& times = worst->levels[l];
    m.links[l] = expected[l];
    if (times.latency_us <= 0) continue;
    m.links[l] = {times.latency_us, times.bandwidth_gbps, Origin::system};
    if (!crowded) m.tuning[l] = times.tuning;
    if (job.rank() == 0)
      log(LogLevel::info,
          fmt::format("measured between ranks that share a {}: {:.3f} us, {:.2f} GB/s; messages {}", name(static_cast<Level>(l)),
                      times.latency_us, times.bandwidth_gbps, ways_of(times.tuning)));
  }
  m.reduce_gbps = worst->reduce_gbps;
  m.copy_gbps = worst->copy_gbps;
  return m;
}

}  // namespace tutti
