// Messages that become exchanges: every row that says so publishes on every number of ranks, with what its cost says; and the
// result is right with boards so small that everything goes in pieces.
#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

#include "algorithms/registry.h"
#include "exec/cpu/plan.h"
#include "schedule/passes.h"
#include "tests/exec/fabric.h"
#include "transports/shm/shm_transport.h"

namespace tutti {
namespace {

using Numbers = std::vector<std::int32_t>;

// A board that nothing is ever published on.
class EmptyBoard final : public Board {
 public:
  [[nodiscard]] bool ready() const noexcept override { return false; }
  [[nodiscard]] std::size_t most_bytes() const noexcept override { return 0; }
  Result<bool> publish(const Signature&, std::span<const ConstBytes>) override { return false; }
  Result<const std::byte*> look(Rank, const Signature&, std::size_t) override { return nullptr; }
  void take(Rank) noexcept override {}
  [[nodiscard]] std::size_t memory_bytes() const override { return 0; }
};

class BoardEndpoint final : public Endpoint {
 public:
  Status register_memory(Bytes, MemoryKind) override { return {}; }
  Result<bool> post_send(const Signature&, const Source&) override { return false; }
  Result<bool> post_recv(const Signature&, const Sink&) override { return false; }
  Result<Progress> poll() override { return Progress{}; }
  void begin_wait(WaitSet&) override {}
  void end_wait() override {}
  [[nodiscard]] Board* board() noexcept override { return &board_; }
  void close() override {}
  [[nodiscard]] std::size_t memory_bytes() const override { return 0; }

 private:
  EmptyBoard board_;
};

class BoardStreams final : public StreamSource {
 public:
  Result<Stream*> stream(Rank peer, std::uint16_t) override {
    auto& slot = streams_[peer];
    if (!slot) slot = std::make_unique<Stream>(std::make_unique<BoardEndpoint>(), peer);
    return slot.get();
  }

 private:
  std::map<Rank, std::unique_ptr<Stream>> streams_;
};

Schedule built(const Algorithm& a, Rank me, const Shape& shape) { return fuse(a.build(me, shape, {}), {.arrivals = false}); }

Result<Plan> publishing(const Schedule& s, std::uint64_t count, StreamSource& streams) {
  const Blocks blocks{.uniform = count};
  const ChunkMap map(s.collective, s.rank, s.ranks, s.chunks_per_block, blocks, blocks, 4, s.scratch);
  return lower(s, map, {.count = count}, DataType::i32, {}, streams, {.publishes = true});
}

std::vector<Rank> taken_from(const ExchangePlan& plan, const Exchange& x) {
  std::vector<Rank> from;
  for (auto t = x.takes_begin; t < x.takes_end; ++t)
    for (auto o = plan.takes[t].operands_begin; o < plan.takes[t].operands_end; ++o)
      if (plan.operands[o].member != kNoRank) from.push_back(plan.operands[o].member);
  std::ranges::sort(from);
  return from;
}

// Where it takes in an exchange: from all, where all send to all; else the root alone, or all but the root.
std::vector<Rank> expected_from(const Algorithm& a, std::size_t exchange, Rank me, const Shape& shape) {
  const bool from_root = a.collective == Collective::broadcast || a.collective == Collective::scatter;
  const bool to_root =
      a.collective == Collective::gather || (a.collective == Collective::reduce && (a.name == "direct" || exchange == 1));
  std::vector<Rank> from;
  for (Rank r = 0; r < shape.ranks; ++r)
    if (r != me && (!from_root || r == shape.root) && (!to_root || me == shape.root)) from.push_back(r);
  return from;
}

void check_exchanges(const Algorithm& a, Rank me, const Shape& shape) {
  const testing::ScopedTrace trace(__FILE__, __LINE__,
                                   testing::PrintToString(name(a.collective)) + " " + std::string(a.name) + " rank " +
                                       std::to_string(me) + " of " + std::to_string(shape.ranks));
  BoardStreams streams;
  const auto plan = publishing(built(a, me, shape), 1000, streams);
  ASSERT_TRUE(plan) << plan.error().to_string();
  const ExchangePlan& x = plan->exchanges;
  const std::uint32_t rounds = a.cost(shape, {}).levels[0].rounds;
  EXPECT_EQ(x.exchanges.size(), rounds);
  EXPECT_EQ(plan->streams.size(), static_cast<std::size_t>(shape.ranks) - 1);
  for (std::size_t i = 0; i < x.exchanges.size(); ++i) EXPECT_EQ(taken_from(x, x.exchanges[i]), expected_from(a, i, me, shape));
  const bool from_root = a.collective == Collective::broadcast || a.collective == Collective::scatter;
  EXPECT_EQ(x.from_one, from_root && me != shape.root);
  const bool saves_input = a.collective == Collective::all_to_all && shape.in_place;
  const bool combines_for_another = a.collective == Collective::reduce && a.name == "two_shot" && me != shape.root;
  EXPECT_EQ(plan->scratch_bytes > 0, saves_input || combines_for_another);
}

TEST(Exchanges, ServeEveryRowThatPublishesOnEveryRank) {
  for (const Algorithm& a : algorithms())
    for (const Rank p : {3, 4, 5, 7, 8, 16, 33, 64})
      for (Rank me = 0; a.publishes && me<p; me += p> 8 ? 5 : 1)
        for (const bool in_place : {false, true}) check_exchanges(a, me, {.ranks = p, .root = p / 2, .in_place = in_place});
}

// Where chunks are not all of one size, whoever has the larger one.
TEST(Exchanges, AreCutAlikeByAllRanks) {
  for (const Algorithm& a : algorithms())
    for (const Rank p : {3, 4, 7})
      for (Rank root = 0; a.publishes && root < p; ++root)
        for (const std::uint64_t count : {1, 2, 1000, 49153, 49168}) {
          std::set<std::vector<std::pair<std::uint64_t, std::uint32_t>>> ways;
          for (Rank me = 0; me < p; ++me) {
            BoardStreams streams;
            const Plan plan = publishing(built(a, me, {.ranks = p, .root = root}), count, streams).value_or_throw();
            std::vector<std::pair<std::uint64_t, std::uint32_t>> way;
            for (const Exchange& x : plan.exchanges.exchanges) way.emplace_back(x.largest, x.parts_at_once);
            ways.insert(std::move(way));
          }
          EXPECT_EQ(ways.size(), 1U) << name(a.collective) << " " << a.name << " of " << count << " on " << p << ", root "
                                     << root;
        }
}

TEST(Exchanges, PublishWhatTheirCostSays) {
  const std::vector<Grouping> levels{Grouping({0, 0, 1, 1})};
  for (const Algorithm& a : algorithms()) {
    EXPECT_EQ(a.cost({.ranks = 4, .levels = &levels}, {}).published > 0, a.publishes) << a.name;
    if (a.needs.levels || (!a.publishes && a.collective != Collective::gather)) continue;
    for (const Rank p : {1, 2, 3, 7, 16}) {
      if (p < a.needs.min_ranks) continue;
      std::size_t published = 0, taken = 0;
      for (Rank me = 0; me < p; ++me) {
        std::set<std::pair<Buffer, std::uint32_t>> sent;
        std::size_t received = 0;
        for (const Step& step : built(a, me, {.ranks = p}).steps) {
          for (std::uint32_t c = 0; step.kind == StepKind::send && c < step.from.count; ++c)
            sent.insert({step.from.buffer, step.from.chunk + c});
          if (step.kind == StepKind::recv) received += step.to.count;
        }
        published = std::max(published, sent.size());
        taken = std::max(taken, received);
      }
      const Cost cost = a.cost({.ranks = p}, {});
      EXPECT_EQ(cost.published, a.publishes ? published : 0) << name(a.collective) << " " << a.name << " on " << p;
      EXPECT_EQ(cost.taken, taken) << name(a.collective) << " " << a.name << " on " << p;
    }
  }
}

TEST(Exchanges, AScheduleThatSendsToSomeRanksOnlyIsRefused) {
  BoardStreams streams;
  const auto plan = publishing(built(*find_algorithm(Collective::all_gather, "ring"), 0, {.ranks = 4}), 100, streams);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code(), Code::internal);
  EXPECT_THAT(plan.error().message(), testing::HasSubstr("all_gather ring cannot be published: rank 0 sends to 1 other ranks"));
}

TEST(Exchanges, NeedBoards) {
  Fabric fabric(3);
  const auto plan = publishing(built(*find_algorithm(Collective::all_gather, "direct"), 0, {.ranks = 3}), 100, fabric.of(0));
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message(), testing::HasSubstr("no board between ranks 0 and 1"));
}

// What rank r puts into block b, and what the collective makes of it in block b of rank `me`.
std::int32_t given(Rank r, std::size_t b, std::size_t i) {
  return static_cast<std::int32_t>(i) * 7 + r * 1000003 + static_cast<std::int32_t>(b) * 31;
}
std::int32_t wanted(const Algorithm& a, Rank me, const Shape& shape, std::size_t b, std::size_t i) {
  const auto sum = [&](std::size_t block) {
    std::int32_t total = 0;
    for (Rank r = 0; r < shape.ranks; ++r) total += given(r, block, i);
    return total;
  };
  switch (a.collective) {
    case Collective::all_reduce:
    case Collective::reduce:
      return sum(0);
    case Collective::reduce_scatter:
      return sum(static_cast<std::size_t>(me));
    case Collective::all_gather:
    case Collective::gather:
      return given(static_cast<Rank>(b), 0, i);
    case Collective::all_to_all:
      return given(static_cast<Rank>(b), static_cast<std::size_t>(me), i);
    case Collective::scatter:
      return given(shape.root, static_cast<std::size_t>(me), i);
    default:
      return given(shape.root, 0, i);
  }
}

// One rank's part in a call, out of place.
struct Part {
  Plan plan;
  Numbers in, out;
  std::vector<std::byte> scratch;
  std::unique_ptr<Execution> execution;
};

void check_result(const Algorithm& a, Rank me, const Shape& shape, std::size_t count, const Numbers& out) {
  const bool has_output = me == shape.root || (a.collective != Collective::reduce && a.collective != Collective::gather);
  if (count == 0 || !has_output) return;
  for (std::size_t b = 0; b * count < out.size(); ++b)
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_EQ(out[b * count + i], wanted(a, me, shape, b, i)) << "rank " << me << ", block " << b << ", element " << i;
}

// All ranks in one thread, each some calls ahead of the others as far as the boards let it.
void run_on_small_boards(const Algorithm& a, const Shape& shape, std::size_t count) {
  const auto p = static_cast<std::size_t>(shape.ranks);
  const testing::ScopedTrace trace(
      __FILE__, __LINE__,
      std::string(name(a.collective)) + " " + std::string(a.name) + " of " + std::to_string(count) + " on " + std::to_string(p));
  constexpr std::size_t kMemory = 96 << 10;
  Fabric fabric(
      shape.ranks,
      [](Rank r) { return make_shm({.secret = {}, .rank = r, .local_ranks = 8, .interface = {}, .shm_bytes = kMemory}); },
      shape.ranks);
  std::vector<Part> parts(p);
  std::vector<Lane> lanes;
  for (std::size_t r = 0; r < p; ++r) {
    Part& part = parts[r];
    const Schedule s = built(a, static_cast<Rank>(r), shape);
    part.plan = publishing(s, count, fabric.of(static_cast<Rank>(r))).value_or_throw();
    const bool from_root = a.collective == Collective::broadcast || a.collective == Collective::scatter;
    const bool has_input = !from_root || static_cast<Rank>(r) == shape.root;
    part.in.resize(has_input ? input_chunks(a.collective, shape.ranks, 1) * count : 0);
    for (std::size_t i = 0; i < part.in.size(); ++i) part.in[i] = given(static_cast<Rank>(r), i / count, i % count);
    part.out.assign(output_chunks(a.collective, shape.ranks, 1) * count, -1);
    part.scratch.resize(part.plan.scratch_needed());
    part.execution = std::make_unique<Execution>(part.plan);
    const CallBuffers buffers{reinterpret_cast<const std::byte*>(part.in.data()), reinterpret_cast<std::byte*>(part.out.data()),
                              part.scratch.data()};
    constexpr std::size_t kCalls = 3;
    lanes.push_back({.queue = {kCalls, part.execution.get()}, .buffers = {kCalls, buffers}, .sequences = {1, 2, 3}});
  }
  NobodyFails watch;
  const Status done = drive(lanes, {}, watch);
  ASSERT_TRUE(done) << done.error().to_string();
  for (std::size_t r = 0; r < p; ++r) check_result(a, static_cast<Rank>(r), shape, count, parts[r].out);
}

// Among the counts are those where the last rank's chunk alone is larger than so many whole pieces.
TEST(Exchanges, GoInPiecesWhereABoardIsSmall) {
  for (const Algorithm& a : algorithms())
    for (const Rank p : {3, 5})
      for (const std::size_t count : {0, 1, 2, 100, 5000, 6144, 6145, 20481, 24577, 40001})
        if (a.publishes && (count == 0 || a.collective != Collective::barrier))
          run_on_small_boards(a, {.ranks = p, .root = p - 1}, count);
}

}  // namespace
}  // namespace tutti
