#include "runtime/calibrate.h"

#include <algorithm>
#include <map>

#include "bootstrap/wire.h"
#include "kernels/kernels.h"
#include "runtime/failure.h"
#include "runtime/streams.h"

namespace tutti {
namespace {

constexpr std::uint64_t kCalibrationSalt = 1;
constexpr std::size_t kSmall = 8, kLarge = 1u << 20;
constexpr int kBatches = 3, kSmallRounds = 20, kLargeRounds = 2;
constexpr std::size_t kReduceBytes = 256u << 10;  // fits a core's own cache, as a chunk does

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

// Seconds for one way, the best batch's mean.
Result<double> time_one_way(Job& job, Rank peer, Streams& streams, std::size_t bytes, int rounds) {
  const Schedule schedule = ping_pong(job.rank(), job.size(), peer);
  const ChunkMap map(schedule.collective, schedule.rank, schedule.ranks, 1, {.uniform = bytes}, {.uniform = bytes}, 1, {});
  auto plan = lower(schedule, map, {.count = bytes, .collective = static_cast<std::uint8_t>(Collective::send_recv)}, DataType::u8,
                    {}, streams);
  if (!plan) return std::move(plan.error());
  Execution execution(*plan);
  std::vector<std::byte> in(bytes), out(bytes);
  const CallBuffers buffers{in.data(), out.data(), nullptr};
  const WaitPolicy policy = job.wait_policy();
  OverlayWatch watch(*job.session().overlay);
  double best = 1e9;
  for (int batch = -1; batch < kBatches; ++batch) {  // batch -1 connects and warms up
    const TimePoint start = Clock::now();
    for (int i = 0; i < rounds; ++i) {
      if (auto s = execution.start(buffers, 0); !s) return std::move(s.error());
      if (auto s = drive(execution, policy, watch); !s) return std::move(s.error());
    }
    if (batch >= 0) best = std::min(best, seconds_since(start) / rounds / 2);
  }
  return best;
}

struct PairTimes {
  double latency_us = 0, bandwidth_gbps = 0;  // 0: not measured here
};

Result<PairTimes> measure_pair(Job& job, Rank peer) {
  if (peer == kNoRank) return PairTimes{};
  Streams streams(job, kCalibrationSalt);
  auto small = time_one_way(job, peer, streams, kSmall, kSmallRounds);
  if (!small) return std::move(small.error());
  auto large = time_one_way(job, peer, streams, kLarge, kLargeRounds);
  if (!large) return std::move(large.error());
  return PairTimes{*small * 1e6, static_cast<double>(kLarge) / std::max(*large - *small, 1e-9) / 1e9};
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

// First two ranks of each host; first ranks of each two neighbouring hosts.
struct Partners {
  Rank local = kNoRank, remote = kNoRank;
  Level local_level = Level::host;
};

Partners partners_of(Rank me, const Placement& placement) {
  std::map<int, std::vector<Rank>> hosts;
  for (std::size_t r = 0; r < placement.ranks.size(); ++r) hosts[placement.ranks[r].host].push_back(static_cast<Rank>(r));
  Partners p;
  std::vector<Rank> leaders;
  for (const auto& [host, ranks] : hosts) {
    leaders.push_back(ranks[0]);
    if (ranks.size() < 2) continue;
    if (me == ranks[0]) p.local = ranks[1];
    if (me == ranks[1]) p.local = ranks[0];
  }
  const auto at = std::ranges::find(leaders, me) - leaders.begin();
  const auto other = at % 2 == 0 ? at + 1 : at - 1;
  const auto n = static_cast<std::ptrdiff_t>(leaders.size());
  if (at < n && other < n) p.remote = leaders[static_cast<std::size_t>(other)];
  if (p.local != kNoRank)
    p.local_level =
        nearest_level(placement.ranks[static_cast<std::size_t>(me)], placement.ranks[static_cast<std::size_t>(p.local)]);
  return p;
}

struct Numbers {
  PairTimes local, remote;
  double local_scale = 0;  // measured latency over the estimate for the level of the pair
  double local_bandwidth_scale = 0;
  double reduce_gbps = 0, copy_gbps = 0;
};

void slower(double& worst, double seen, bool larger_is_worse) {
  if (seen <= 0) return;
  worst = worst <= 0 ? seen : larger_is_worse ? std::max(worst, seen) : std::min(worst, seen);
}

Result<Numbers> slowest(Job& job, const Numbers& mine) {
  auto blobs = job.session().overlay->all_gather(std::as_bytes(std::span(&mine, 1)));
  if (!blobs) return std::move(blobs.error());
  Numbers worst;
  for (const auto& blob : *blobs) {
    Numbers n;
    if (blob.size() != sizeof n) return Error(Code::protocol, "a rank sent measurements of another version of tutti");
    std::memcpy(&n, blob.data(), sizeof n);
    slower(worst.local_scale, n.local_scale, true);
    slower(worst.local_bandwidth_scale, n.local_bandwidth_scale, false);
    slower(worst.remote.latency_us, n.remote.latency_us, true);
    slower(worst.remote.bandwidth_gbps, n.remote.bandwidth_gbps, false);
    slower(worst.reduce_gbps, n.reduce_gbps, false);
    slower(worst.copy_gbps, n.copy_gbps, false);
  }
  return worst;
}

}  // namespace

Result<Measured> measure(Job& job, const Placement& placement) {
  Measured m;
  for (int l = 0; l < kLevels; ++l) m.links[static_cast<std::size_t>(l)] = between(placement, static_cast<Level>(l));
  const Partners partners = partners_of(job.rank(), placement);

  Numbers mine;
  auto local = measure_pair(job, partners.local);
  if (!local) return std::move(local.error());
  if (local->latency_us > 0) {
    const LinkParameters& estimate = m.links[static_cast<std::size_t>(partners.local_level)];
    mine.local_scale = local->latency_us / std::max(estimate.latency_us, 1e-6);
    mine.local_bandwidth_scale = local->bandwidth_gbps / std::max(estimate.bandwidth_gbps, 1e-6);
  }
  auto remote = measure_pair(job, partners.remote);
  if (!remote) return std::move(remote.error());
  mine.remote = *remote;
  std::vector<float> a(kReduceBytes / sizeof(float)), b(a.size()), c(a.size());
  mine.reduce_gbps = gbps(kReduceBytes, [&] { kernels::reduce2({}, DataType::f32, a.data(), b.data(), c.data(), a.size()); });
  mine.copy_gbps = gbps(kReduceBytes, [&] { kernels::copy(c.data(), a.data(), kReduceBytes); });

  auto worst = slowest(job, mine);
  if (!worst) return std::move(worst.error());
  for (int l = 0; l < static_cast<int>(Level::network); ++l) {
    LinkParameters& link = m.links[static_cast<std::size_t>(l)];
    if (worst->local_scale <= 0) continue;
    link.latency_us *= worst->local_scale;
    link.bandwidth_gbps *= worst->local_bandwidth_scale;
    link.origin = Origin::system;
  }
  if (worst->remote.latency_us > 0)
    m.links[static_cast<std::size_t>(Level::network)] = {worst->remote.latency_us, worst->remote.bandwidth_gbps, Origin::system};
  m.reduce_gbps = worst->reduce_gbps;
  m.copy_gbps = worst->copy_gbps;
  return m;
}

}  // namespace tutti
