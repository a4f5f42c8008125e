// One rail by itself, both ends in this process: a send queue that is full, and what is said when a write fails.
#include <gmock/gmock.h>

#include "core/clock.h"
#include "transports/verbs/queue_pair.h"

namespace tutti::verbs {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr Rank kPeer = 5;
constexpr int kSends = 8;

// The first active port of this machine.
struct Found {
  std::shared_ptr<Device> device;
  Port port;
};

Result<Found> find_port() {
  const Result<Library>& loaded = library();
  if (!loaded) return loaded.error().clone();
  int count = 0;
  ibv_device** list = loaded->device_list(&count);
  Result<Found> found = Error(Code::environment, "there is no RDMA device with a port that is up");
  for (int i = 0; i < count && !found; ++i) {
    auto device = Device::open(*loaded, list[i]);
    auto ports = device ? (*device)->ports() : Result<std::vector<Port>>(std::move(device.error()));
    if (!ports) continue;
    for (Port& port : *ports)
      if (!found && port.state == IBV_PORT_ACTIVE && choose_gid(port, -1) && (*device)->prepare(true))
        found = Found{*device, port};
  }
  if (list != nullptr) loaded->free_device_list(list);
  return found;
}

class VerbsDevice : public testing::Test {
 protected:
  void SetUp() override {
    auto found = find_port();
    if (!found) GTEST_SKIP() << found.error().to_string();
    device_ = found->device;
    port_ = found->port;
    ASSERT_NO_FATAL_FAILURE(connect());
    from_ = add(0, IBV_ACCESS_LOCAL_WRITE);
    to_ = add(kBytes, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
  }
  void TearDown() override {
    here_.reset();
    there_.reset();
    for (ibv_mr* key : {from_, to_})
      if (key != nullptr) device_->library().deregister_memory(key);
  }

  void connect() {
    here_ = make();
    there_ = make();
    const PathOptions path{.timeout = 10, .retries = 2};
    ASSERT_TRUE(here_->connect(there_->end(), path));
    ASSERT_TRUE(there_->connect(here_->end(), path));
  }
  std::unique_ptr<QueuePair> make() {
    auto made = QueuePair::create(device_, port_, {.sends = kSends, .receives = 64, .inline_bytes = 64}, kPeer);
    EXPECT_TRUE(made) << made.error().to_string();
    return made ? *std::move(made) : nullptr;
  }
  ibv_mr* add(std::size_t offset, int access) {
    return device_->library().register_memory(device_->domain(), memory_.data() + offset, kBytes, access);
  }
  Write write(std::size_t bytes) {
    return {.from = memory_.data(),
            .bytes = bytes,
            .local_key = from_->lkey,
            .to = reinterpret_cast<std::uint64_t>(memory_.data() + kBytes),
            .remote_key = to_->rkey,
            .what = "of a test"};
  }
  // Polls until `done`, or an error, which it returns.
  template <class Done>
  Result<bool> poll_until(Done&& done) {
    const TimePoint start = Clock::now();
    while (!done() && seconds_since(start) < 30) {
      for (QueuePair* pair : {here_.get(), there_.get()}) {
        if (pair == nullptr || !pair->poll()) continue;
        if (Status taken = pair->take(arrived_); !taken) return std::move(taken.error());
      }
    }
    return done();
  }

  static constexpr std::size_t kBytes = 100000;
  std::shared_ptr<Device> device_;
  Port port_;
  std::unique_ptr<QueuePair> here_, there_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(2 * kBytes);
  ibv_mr *from_ = nullptr, *to_ = nullptr;
  std::vector<Signal> arrived_;
};

// Many times as many writes as the queue holds, none of which asks for its completion.
TEST_F(VerbsDevice, AFullSendQueueHasRoomAgain) {
  std::uint32_t full = 0;
  for (std::uint32_t k = 0; k < 20 * kSends; ++k) {
    memory_[0] = static_cast<std::byte>(k);
    if (!here_->room()) ++full;
    auto room = poll_until([&] { return here_->room(); });
    ASSERT_TRUE(room && *room);
    Write next = write(k % 3 == 0 ? 0 : 1000);
    next.signal = Signal{SignalKind::record, k};
    auto posted = here_->post(next);
    ASSERT_TRUE(posted) << posted.error().to_string();
    EXPECT_EQ(*posted, k + 1);
  }
  EXPECT_GT(full, 0U);
  ASSERT_TRUE(here_->flush());
  auto all = poll_until([&] { return here_->completed() == here_->posted() && arrived_.size() == 20 * kSends; });
  ASSERT_TRUE(all) << all.error().to_string();
  EXPECT_TRUE(*all);
  for (std::uint32_t k = 0; k < arrived_.size(); ++k) EXPECT_EQ(arrived_[k].place, k);
}

TEST_F(VerbsDevice, APeerWhoseQueuePairIsGoneIsNamed) {
  there_.reset();
  ASSERT_TRUE(here_->post(write(77777)));
  ASSERT_TRUE(here_->flush());
  auto failed = poll_until([] { return false; });
  ASSERT_FALSE(failed) << "nothing has failed";
  EXPECT_EQ(failed.error().code(), Code::peer_lost);
  EXPECT_EQ(failed.error().peer(), kPeer);
  EXPECT_THAT(failed.error().to_string(),
              AllOf(HasSubstr("a write of 77777 bytes (of a test) to rank 5 on port 1 of " + device_->name()),
                    HasSubstr("transport retry counter exceeded")));
}

TEST_F(VerbsDevice, AWriteThatIsNotPermittedIsNamed) {
  Write wrong = write(100);
  wrong.to += kBytes;  // behind what is registered
  ASSERT_TRUE(here_->post(wrong));
  ASSERT_TRUE(here_->flush());
  auto failed = poll_until([] { return false; });
  ASSERT_FALSE(failed) << "nothing has failed";
  EXPECT_EQ(failed.error().peer(), kPeer);
  EXPECT_THAT(failed.error().to_string(), HasSubstr("rank 5"));
}

// More often than there are shared receive requests, connections fail on which something has arrived that nobody has polled for
// yet.
TEST_F(VerbsDevice, AFailureCostsOthersNoReceiveRequests) {
  constexpr int kRounds = 100, kSignals = 3;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    arrived_.clear();
    std::unique_ptr<QueuePair> receiver = std::move(there_);  // poll_until() leaves it alone
    for (int k = 0; k < kSignals; ++k) {
      Write next = write(10);
      next.signal = Signal{SignalKind::answer, 3};
      ASSERT_TRUE(here_->post(next));
    }
    ASSERT_TRUE(here_->flush());
    auto sent = poll_until([&] { return here_->completed() == here_->posted(); });
    ASSERT_TRUE(sent && *sent) << "there is no receive request left";
    Write wrong = write(100);
    wrong.to += kBytes;
    wrong.report = true;
    WaitSet set;
    receiver->begin_wait(set);
    ASSERT_TRUE(receiver->post(wrong));
    ASSERT_EQ(::poll(set.fds.data(), set.fds.size(), 30000), 1) << "nothing has failed";
    receiver->end_wait();
    there_ = std::move(receiver);
    auto failed = poll_until([] { return false; });
    EXPECT_FALSE(failed) << "nothing has failed";
    EXPECT_EQ(arrived_.size(), kSignals);
    ASSERT_NO_FATAL_FAILURE(connect());
  }
}

// As where a message is sent from its memory, behind what says which it is.
TEST_F(VerbsDevice, AWriteGathersFromTwoPlaces) {
  constexpr std::size_t kFirst = 64, kSecond = 40000;
  for (std::size_t k = 0; k < kBytes; ++k) memory_[k] = static_cast<std::byte>(k % 251);
  Write both = write(kFirst);
  both.behind = ConstBytes(memory_).subspan(50000, kSecond);
  both.behind_key = both.local_key;
  both.report = true;
  auto number = here_->post(both);
  ASSERT_TRUE(number) << number.error().to_string();
  auto done = poll_until([&] { return here_->completed() == *number; });
  ASSERT_TRUE(done && *done);
  const std::byte* arrived = memory_.data() + kBytes;
  EXPECT_TRUE(std::equal(arrived, arrived + kFirst, memory_.data()));
  EXPECT_TRUE(std::equal(arrived + kFirst, arrived + kFirst + kSecond, memory_.data() + 50000));
}

TEST_F(VerbsDevice, WaitersAreWokenByWhatArrives) {
  WaitSet set;
  there_->begin_wait(set);
  ASSERT_FALSE(there_->poll());
  Write next = write(10);
  next.signal = Signal{SignalKind::answer, 3};
  ASSERT_TRUE(here_->post(next));
  EXPECT_EQ(::poll(set.fds.data(), set.fds.size(), 30000), 1);
  there_->end_wait();
  EXPECT_EQ(::poll(set.fds.data(), set.fds.size(), 0), 0) << "the event has been taken";
  auto arrived = poll_until([&] { return !arrived_.empty(); });
  ASSERT_TRUE(arrived && *arrived);
  EXPECT_EQ(arrived_[0].kind, SignalKind::answer);
}

}  // namespace
}  // namespace tutti::verbs
