// What messages cost, as far as it can be counted: requests to the device, completions, bytes that are copied, and registered
// memory. Both ends are in this process.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "core/clock.h"
#include "tests/transports/counting_verbs.h"
#include "transports/verbs/verbs_transport.h"

namespace tutti::verbs {
namespace {

const Result<Library>& counting_library() {
  static const Result<Library> library = load_counting_library();
  return library;
}

constexpr const char* kDevice = "=rxe0";  // that of tests/verbs: with others, a message may be more requests

// Two ends of a connection.
using Ends = std::array<std::unique_ptr<Endpoint>, 2>;

class VerbsCosts : public testing::Test {
 protected:
  void SetUp() override {
    TransportOptions options;
    options.interface = "127.0.0.1";
    options.ib.devices = kDevice;
    const Status usable = VerbsTransport(options, {}, counting_library(), segment_lifetimes()).probe();
    if (!usable) GTEST_SKIP() << usable.error().to_string();
    use({});
  }

  void use(const Tuning& tuning, Rank ranks = 2) {
    for (std::size_t me : {0, 1}) {
      TransportOptions options;
      options.interface = "127.0.0.1";
      options.ib.devices = kDevice;
      options.ranks = ranks;
      transports_[me] = std::make_unique<VerbsTransport>(options, tuning, counting_library(), segment_lifetimes());
      addresses_[me] = transports_[me]->listen().value_or_throw();
    }
  }

  // Connections of rank 0 with ranks 1 to `peers`.
  std::vector<Ends> connect(Rank peers) {
    std::vector<Ends> connections;
    for (Rank peer = 1; peer <= peers; ++peer) {
      Ends& ends = connections.emplace_back();
      for (std::size_t me : {0, 1})
        ends[me] = transports_[me]
                       ->connect({.me = me == 0 ? 0 : peer,
                                  .peer = me == 0 ? peer : 0,
                                  .stream = static_cast<std::uint64_t>(peer),
                                  .peer_address = addresses_[1 - me]})
                       .value_or_throw();
    }
    for (Ends& ends : connections) {  // each has carried a message both ways
      send(ends, 0, 8);
      send(ends, 1, 8);
    }
    return connections;
  }

  // A message from the end `from` to the other one.
  void send(Ends& ends, std::size_t from, std::size_t bytes, Consumer* consumer = nullptr) {
    const Signature signature{.sequence = ++sequence_};
    std::uint32_t left = 2;
    const Sink sink{.data = consumer == nullptr ? in_.data() : nullptr, .size = bytes, .consumer = consumer};
    if (ends[1 - from]->post_recv(signature, sink).value_or_throw()) --left;
    if (ends[from]->post_send(signature, ConstBytes(out_).first(bytes)).value_or_throw()) --left;
    for (const TimePoint start = Clock::now(); left > 0 && seconds_since(start) < 60;)
      for (const auto& end : ends) {
        const auto progress = end->poll().value_or_throw();
        left -= progress.sends + progress.recvs;
      }
    ASSERT_EQ(left, 0U) << "a message of " << bytes << " bytes does not arrive";
  }

  template <class Work>
  VerbsCounts count(Work&& work) {
    const VerbsCounts before = verbs_counts();
    work();
    return verbs_counts() - before;
  }

  std::array<std::unique_ptr<VerbsTransport>, 2> transports_;
  std::array<std::vector<std::byte>, 2> addresses_;
  std::uint32_t sequence_ = 0;
  std::vector<std::byte> out_ = std::vector<std::byte>(1 << 20, std::byte{1}), in_ = std::vector<std::byte>(1 << 20);
};

TEST_F(VerbsCosts, ASmallMessageIsOneRequestAndOneCompletion) {
  Ends ends = std::move(connect(1).front());
  constexpr std::uint64_t kMessages = 2000, kQueue = 128;
  const VerbsCounts of = count([&] {
    for (std::uint64_t k = 0; k < kMessages; ++k) send(ends, k % 2, 8);
  });
  EXPECT_EQ(of.requests, kMessages);
  EXPECT_EQ(of.doorbells, kMessages);
  EXPECT_EQ(of.bytes, kMessages * (sizeof(Record) + 8));
  EXPECT_EQ(of.inline_bytes, of.bytes) << "the device reads nothing from memory";
  // The sender asks for a few completions, that the queue has room again.
  EXPECT_LE(of.reported, kMessages / (kQueue / 4) + 16);
  EXPECT_LE(of.completions, kMessages + of.reported + 2);
  EXPECT_EQ(of.registrations, 0U);
}

// Nobody answers, who could give credits with an answer.
TEST_F(VerbsCosts, SmallMessagesOneWayCostFewCredits) {
  Ends ends = std::move(connect(1).front());
  constexpr std::uint64_t kMessages = 2000, kQueue = 128;
  const VerbsCounts of = count([&] {
    for (std::uint64_t k = 0; k < kMessages; ++k) send(ends, 0, 8);
  });
  EXPECT_GE(of.requests, kMessages);
  EXPECT_LE(of.requests, kMessages + kMessages / (kQueue / 4) + 1);
}

TEST_F(VerbsCosts, ALargeMessageOfRegisteredMemoryIsNotCopied) {
  Ends ends = std::move(connect(1).front());
  ASSERT_TRUE(ends[0]->register_memory(out_, MemoryKind::host));
  ASSERT_TRUE(ends[1]->register_memory(in_, MemoryKind::host));
  constexpr std::uint64_t kMessages = 10;
  const std::uint64_t writes = (std::uint64_t{1} << 20) / Tuning{}.write_bytes;
  const VerbsCounts of = count([&] {
    for (std::uint64_t k = 0; k < kMessages; ++k) send(ends, 0, 1 << 20);
  });
  EXPECT_EQ(in_, out_);
  EXPECT_EQ(of.requests, kMessages * (1 + writes + 1)) << "an answer, the writes, and a record that says so";
  EXPECT_EQ(of.bytes, kMessages * (sizeof(Answer) + (1 << 20) + sizeof(Record)));
  EXPECT_EQ(of.copied, kMessages * (sizeof(Answer) + sizeof(Record)));
  EXPECT_EQ(of.registrations, 0U);
}

// It goes through the receiver's ring, but not through the sender's.
TEST_F(VerbsCosts, ALargeMessageThatIsReducedIsNotCopied) {
  struct Keep final : Consumer {
    void consume(std::size_t offset, ConstBytes piece) override {
      std::ranges::copy(piece, to.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    std::vector<std::byte> to = std::vector<std::byte>(1 << 20);
  } keep;
  Ends ends = std::move(connect(1).front());
  ASSERT_TRUE(ends[0]->register_memory(out_, MemoryKind::host));
  for (std::size_t k = 0; k < out_.size(); ++k) out_[k] = static_cast<std::byte>(k % 251);
  const std::size_t most = Tuning{}.ring_bytes / 8 - sizeof(Record), records = ((1 << 20) + most - 1) / most;
  const VerbsCounts of = count([&] { send(ends, 0, 1 << 20, &keep); });
  EXPECT_EQ(keep.to, out_);
  EXPECT_GE(of.requests, 1 + records) << "an answer, and the records";
  EXPECT_LE(of.requests, 1 + records + records / 2) << "with credits in between";
  EXPECT_EQ(of.bytes - of.copied, std::uint64_t{1} << 20);
  EXPECT_EQ(of.registrations, 0U);
}

TEST_F(VerbsCosts, WhatFitsIntoTheRingIsCopiedOnceAtEachEnd) {
  Ends ends = std::move(connect(1).front());
  const std::size_t bytes = Tuning{}.ask_from;
  const std::size_t most = Tuning{}.ring_bytes / 8 - sizeof(Record), records = (bytes + most - 1) / most;
  const VerbsCounts of = count([&] { send(ends, 0, bytes); });
  EXPECT_GE(of.requests, records);
  EXPECT_LE(of.requests, records + 1) << "credits may be due";
  EXPECT_EQ(of.bytes - (of.requests - records) * sizeof(Credits), bytes + records * sizeof(Record));
  EXPECT_EQ(of.copied, of.bytes);
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, resident = 0;
  statm >> all >> resident;
  return resident * 4096;
}

constexpr Rank kPeers = 128;

TEST_F(VerbsCosts, A128PeersTakeLessThanAMegabyteEach) {
  use({}, kPeers + 1);
  const std::size_t resident = resident_bytes();
  std::vector<Ends> connections;
  const VerbsCounts of = count([&] { connections = connect(kPeers); });
  // Both ends are here.
  const auto registered = static_cast<std::size_t>(of.registered) / kPeers / 2;
  const std::size_t grown = (std::max(resident_bytes(), resident) - resident) / kPeers / 2;
  const std::size_t told = connections.back()[0]->memory_bytes();
  EXPECT_LT(registered, std::size_t{1} << 20);
  EXPECT_LT(grown, std::size_t{1} << 20);
  EXPECT_LT(told, std::size_t{1} << 20);
  EXPECT_GE(told, registered);
  std::printf("with %d peers, each: %zu bytes registered, %zu bytes that it says, %zu bytes by which the process grew\n", kPeers,
              registered, told, grown);
  connections.clear();
  EXPECT_EQ(verbs_counts().registered, 0);
}

TEST_F(VerbsCosts, TheRingSaysHowMuchAConnectionHolds) {
  for (const std::size_t ring : {4 << 10, 32 << 10, 256 << 10}) {
    SCOPED_TRACE(ring);
    Tuning tuning;
    tuning.ring_bytes = ring;
    tuning.ask_from = static_cast<std::uint32_t>(ring / 4);
    use(tuning);
    std::vector<Ends> connections;
    const VerbsCounts of = count([&] { connections = connect(1); });
    EXPECT_EQ(of.registered, static_cast<std::int64_t>(2 * 2 * (kRingOffset + ring)));
    EXPECT_LT(connections[0][0]->memory_bytes(), 2 * ring + (128 << 10));
  }
}

}  // namespace
}  // namespace tutti::verbs
