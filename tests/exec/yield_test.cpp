// How often a rank that shares its core looks for a message before it offers the core to the others.
#include "exec/cpu/wait.h"
#include "schedule/chunk_map.h"
#include "tests/exec/fabric.h"

namespace tutti {
namespace {

// Nothing ever arrives here.
class SilentEndpoint final : public Endpoint {
 public:
  explicit SilentEndpoint(int& looks_before) : looks_before_(looks_before) {}
  Status register_memory(Bytes, MemoryKind) override { return {}; }
  Result<bool> post_send(const Signature&, const Source&) override { return false; }
  Result<bool> post_recv(const Signature&, const Sink&) override { return false; }
  Result<Progress> poll() override {
    ++looks_;
    return Progress{};
  }
  void begin_wait(WaitSet&) override {
    if (looks_before_ == 0) looks_before_ = looks_;
  }
  void end_wait() override {}
  void close() override {}
  [[nodiscard]] std::size_t memory_bytes() const override { return 0; }

 private:
  int looks_ = 0;
  int& looks_before_;  // it is given away for the first time
};

class OneStream final : public StreamSource {
 public:
  explicit OneStream(std::unique_ptr<Endpoint> endpoint) : stream_(std::move(endpoint), 1) {}
  Result<Stream*> stream(Rank, std::uint16_t) override { return &stream_; }

 private:
  Stream stream_;
};

class EndsAtOnce final : public FailureWatch {
 public:
  Status check(const Waiting&) override { return Error(Code::aborted, "enough"); }
  void restart() override {}
  void add_fds(std::vector<pollfd>&) override {}
};

int looks_before_yielding(bool oversubscribed) {
  int looks = 0;
  OneStream streams(std::make_unique<SilentEndpoint>(looks));
  Builder b(Collective::send_recv, "recv", 0, {.ranks = 2}, 1);
  b.recv(1, b.output(0));
  const Schedule schedule = std::move(b).finish();
  const Blocks blocks{.uniform = 8};
  const ChunkMap map(schedule.collective, 0, 2, 1, blocks, blocks, 1, schedule.scratch);
  const Plan plan = lower(schedule, map, {.count = 8}, DataType::u8, {}, streams).value_or_throw();
  Execution execution(plan);
  std::array<std::byte, 8> out{};
  EXPECT_TRUE(execution.start({.output = out.data()}, 1));
  EndsAtOnce watch;
  EXPECT_FALSE(drive(execution, {.oversubscribed = oversubscribed, .spin = {}}, watch));  // it sleeps instead of yielding
  return looks;
}

TEST(SharedCores, AreHeldForAMomentWhereOneRankAloneIsWaitedFor) {
  const WaitPolicy alone, crowded{.oversubscribed = true}, shared{.oversubscribed = true, .few_share_a_core = true};
  EXPECT_EQ(alone.first_looks(false), alone.first_looks(true));
  EXPECT_EQ(crowded.first_looks(true), 0);
  EXPECT_EQ(shared.first_looks(false), 0);
  EXPECT_GT(shared.first_looks(true), 0);
  EXPECT_LT(shared.first_looks(true), alone.first_looks(true));
}

TEST(SharedCores, AreGivenAwayAfterOneLook) {
  EXPECT_EQ(looks_before_yielding(true), 1);
  EXPECT_GT(looks_before_yielding(false), 1);
}

}  // namespace
}  // namespace tutti
