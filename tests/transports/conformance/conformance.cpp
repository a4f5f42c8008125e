// Messages: what arrives, in which order, and what finished means. See failures_test.cpp and waiting_test.cpp for the rest.
#include "tests/transports/conformance/conformance.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/transports/conformance/world.h"

namespace tutti::conformance {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
const std::vector<std::size_t> kSizes = {0,     1,     8,        24,   31,   32,   33,        63,           64,
                                         65,    100,   1000,     4095, 4096, 4097, 8191,      16384,        16385,
                                         65536, 65537, kMiB - 1, kMiB, 0,    3,    kMiB + 64, 2 * kMiB + 7, 64};

std::uint64_t seed(Rank from, Rank to, std::uint64_t message) {
  return (static_cast<std::uint64_t>(from) * 1000 + static_cast<std::uint64_t>(to)) * 100000 + message;
}

void expect_equal(Member& me, const Buffer& got, const Buffer& wanted, const std::string& what) {
  if (got == wanted) return;
  const auto differ = std::ranges::mismatch(got, wanted);
  throw RankFailed(
      fmt::format("{}: byte {} of {} is wrong at rank {}", what, differ.in1 - got.begin(), wanted.size(), me.rank()));
}

// Exchanges message number `k` of `size` bytes with the peer and looks at it.
void exchange(Member& me, Link& link, std::uint32_t k, std::size_t size) {
  me.step(fmt::format("exchanging message {} of {} bytes with rank {}", k, size, link.peer()));
  const auto mine = pattern(size, seed(me.rank(), link.peer(), k));
  Buffer theirs(size);
  link.send(signature(k, size), mine);
  link.recv(signature(k, size), theirs);
  me.until_idle({&link});
  expect_equal(me, theirs, pattern(size, seed(link.peer(), me.rank(), k)), fmt::format("message {}", k));
}

TEST_P(TransportConformance, EverySizeArrives) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    for (std::uint32_t k = 0; k < kSizes.size(); ++k) exchange(me, link, k, kSizes[k]);
  });
}

TEST_P(TransportConformance, OneWayOfEverySize) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    for (std::uint32_t k = 0; k < kSizes.size(); ++k) {
      me.step(fmt::format("message {} of {} bytes", k, kSizes[k]));
      if (me.rank() == 0) {
        const auto bytes = pattern(kSizes[k], seed(0, 1, k));
        link.send(signature(k), bytes);
        me.until_idle({&link});
      } else {
        Buffer got(kSizes[k]);
        link.recv(signature(k), got);
        me.until_idle({&link});
        expect_equal(me, got, pattern(kSizes[k], seed(0, 1, k)), fmt::format("message {}", k));
      }
    }
  });
}

TEST_P(TransportConformance, ManyInFlightKeepTheirOrder) {
  run(GetParam(), 2, [](Member& me) {
    constexpr std::uint32_t kMessages = 600;
    const auto size_of_message = [](std::uint32_t k) { return k % 7 == 3 ? std::size_t{20000} + k : std::size_t{k} * k % 3000; };
    Link link = me.connect(1 - me.rank());
    std::vector<Buffer> sent, received;
    for (std::uint32_t k = 0; k < kMessages; ++k) {
      sent.push_back(pattern(size_of_message(k), seed(me.rank(), 1 - me.rank(), k)));
      received.emplace_back(size_of_message(k));
    }
    me.step("posting all sends and receives");
    for (std::uint32_t k = 0; k < kMessages; ++k) {
      link.send(signature(k), sent[k]);
      link.recv(signature(k), received[k]);
    }
    me.until_idle({&link});
    for (std::uint32_t k = 0; k < kMessages; ++k)
      expect_equal(me, received[k], pattern(size_of_message(k), seed(1 - me.rank(), me.rank(), k)), fmt::format("message {}", k));
  });
}

// More messages than fit on the way, to a receiver that starts late.
TEST_P(TransportConformance, SmallMessagesWaitForASlowReceiver) {
  run(GetParam(), 2, [](Member& me) {
    constexpr std::uint32_t kMessages = 10000;
    Link link = me.connect(1 - me.rank());
    std::vector<std::uint64_t> numbers(kMessages);
    if (me.rank() == 0) {
      me.step("sending 10000 numbers");
      for (std::uint32_t k = 0; k < kMessages; ++k) {
        numbers[k] = k * 3 + 1;
        link.send(signature(k), std::as_bytes(std::span(&numbers[k], 1)));
      }
      me.until_idle({&link});
      me.barrier();
      return;
    }
    me.step("receiving 10000 numbers");
    for (std::uint32_t k = 0; k < kMessages; ++k)
      link.recv(signature(k), {.data = reinterpret_cast<std::byte*>(&numbers[k]), .size = 8});
    me.until_idle({&link});
    for (std::uint32_t k = 0; k < kMessages; ++k) me.check(numbers[k] == k * 3 + 1, fmt::format("number {} is wrong", k));
    me.barrier();
  });
}

TEST_P(TransportConformance, LargeMessagesPassEachOther) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    for (std::uint32_t k = 0; k < 2; ++k) exchange(me, link, k, 6 * kMiB + 5);
  });
}

TEST_P(TransportConformance, ABlockedStreamBlocksNoOther) {
  run(GetParam(), 2, [](Member& me) {
    Link blocked = me.connect(1 - me.rank(), 1), free = me.connect(1 - me.rank(), 2);
    const auto large = pattern(16 * kMiB, seed(0, 1, 0));
    Buffer got(me.rank() == 1 ? large.size() : 0);
    if (me.rank() == 0) blocked.send(signature(0), large);
    for (std::uint32_t k = 0; k < 100; ++k) {
      const auto mine = pattern(k * 100, seed(me.rank(), 1 - me.rank(), k));
      Buffer theirs(k * 100);
      free.send(signature(k), mine);
      free.recv(signature(k), theirs);
      me.step(fmt::format("exchanging message {} beside a blocked stream", k));
      Link* both[] = {&blocked, &free};
      me.until(both, [&] { return free.idle(); });
      expect_equal(me, theirs, pattern(k * 100, seed(1 - me.rank(), me.rank(), k)), fmt::format("message {}", k));
    }
    me.step("taking the blocked message");
    if (me.rank() == 1) blocked.recv(signature(0), got);
    me.until_idle({&blocked, &free});
    if (me.rank() == 1) expect_equal(me, got, large, "the blocked message");
  });
}

TEST_P(TransportConformance, FourRanksAllToAll) {
  run(GetParam(), 4, [](Member& me) {
    std::deque<Link> links;
    std::vector<Link*> all;
    for (Rank peer = 0; peer < me.size(); ++peer)
      if (peer != me.rank()) all.push_back(&links.emplace_back(me.connect(peer)));
    std::uint32_t k = 0;
    for (const std::size_t size : {8, 0, 5000, 300000, 40}) {
      me.step(fmt::format("all to all of {} bytes", size));
      std::deque<Buffer> sent, received;
      for (Link* link : all) {
        link->send(signature(k), sent.emplace_back(pattern(size, seed(me.rank(), link->peer(), k))));
        link->recv(signature(k), received.emplace_back(size));
      }
      me.until(all, [&] { return std::ranges::all_of(all, &Link::idle); });
      for (std::size_t i = 0; i < all.size(); ++i)
        expect_equal(me, received[i], pattern(size, seed(all[i]->peer(), me.rank(), k)), "what came from another rank");
      ++k;
    }
  });
}

TEST_P(TransportConformance, AFinishedSendGivesItsMemoryBack) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    constexpr std::size_t kBytes[] = {8, 100, 5000, 100000, 3 * kMiB};
    constexpr std::uint32_t kRounds = 20;
    Buffer memory(3 * kMiB);
    for (std::uint32_t k = 0; k < kRounds * 5; ++k) {
      const std::size_t size = kBytes[k % 5];
      me.step(fmt::format("message {} of {} bytes", k, size));
      if (me.rank() == 0) {
        std::ranges::copy(pattern(size, k), memory.begin());
        link.send(signature(k), ConstBytes(memory).first(size));
        me.until_idle({&link});
        std::fill_n(memory.begin(), size, std::byte{0xee});
      } else {
        Buffer got(size);
        link.recv(signature(k), got);
        me.until_idle({&link});
        expect_equal(me, got, pattern(size, k), "a message whose memory was reused");
      }
    }
  });
}

// Writes down what it is shown, and complains about pieces that break the contract.
struct Recorder final : Consumer {
  Buffer bytes;
  std::size_t expected = 0;
  std::string complaint;

  void consume(std::size_t offset, ConstBytes piece) override {
    if (offset != bytes.size()) complaint = fmt::format("a piece at {} where {} comes next", offset, bytes.size());
    if (piece.empty()) complaint = "an empty piece";
    if (offset + piece.size() != expected && piece.size() % 64 != 0)
      complaint = fmt::format("a piece of {} bytes that is not the last", piece.size());
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  }
};

TEST_P(TransportConformance, ConsumersSeePiecesInOrder) {
  run(GetParam(), 2, [](Member& me) {
    Link link = me.connect(1 - me.rank());
    for (std::uint32_t k = 0; k < kSizes.size(); ++k) {
      const std::size_t size = kSizes[k] == kMiB ? 9 * kMiB : kSizes[k];
      me.step(fmt::format("consuming message {} of {} bytes", k, size));
      const auto mine = pattern(size, seed(me.rank(), link.peer(), k));
      Recorder recorder;
      recorder.expected = size;
      link.send(signature(k), mine);
      link.recv(signature(k), {.size = size, .consumer = &recorder});
      me.until_idle({&link});
      me.check(recorder.complaint.empty(), recorder.complaint);
      expect_equal(me, recorder.bytes, pattern(size, seed(link.peer(), me.rank(), k)), "a consumed message");
    }
  });
}

TEST_P(TransportConformance, PostingBeforeThePeerIsThere) {
  run(GetParam(), 2, [](Member& me) {
    for (const Rank early : {0, 1}) {
      me.step(fmt::format("rank {} connects first", early));
      if (me.rank() != early) me.barrier();
      Link link = me.connect(1 - me.rank(), static_cast<std::uint64_t>(early));
      const std::size_t sizes[] = {8, 70000, 0, 3 * kMiB};
      std::deque<Buffer> sent, received;
      for (std::uint32_t k = 0; k < 4; ++k) {
        link.send(signature(k), sent.emplace_back(pattern(sizes[k], seed(me.rank(), link.peer(), k))));
        link.recv(signature(k), received.emplace_back(sizes[k]));
      }
      for (int i = 0; i < 100; ++i) me.check(static_cast<bool>(link.poll()), "poll failed before the peer was there");
      if (me.rank() == early) me.barrier();
      me.until_idle({&link});
      for (std::uint32_t k = 0; k < 4; ++k)
        expect_equal(me, received[k], pattern(sizes[k], seed(link.peer(), me.rank(), k)), "an early message");
      me.barrier();
    }
  });
}

// Many communicators with a few channels each, between the same two ranks.
TEST_P(TransportConformance, ManyStreamsComeAndGo) {
  run(GetParam(), 2, [](Member& me) {
    for (std::uint64_t round = 0; round < 3; ++round) {
      me.step(fmt::format("opening 40 streams, round {}", round));
      std::deque<Link> links;
      std::vector<Link*> all;
      // Each side in another order.
      for (std::uint64_t s = 0; s < 40; ++s)
        all.push_back(&links.emplace_back(me.connect(1 - me.rank(), round * 1000 + (me.rank() == 0 ? s : 39 - s))));
      if (me.rank() == 1) std::ranges::reverse(all);
      std::deque<Buffer> sent, received;
      for (std::size_t s = 0; s < all.size(); ++s) {
        for (std::uint32_t k = 0; k < 3; ++k) {
          all[s]->send(signature(k), sent.emplace_back(pattern(30000 * k + s, seed(me.rank(), 1 - me.rank(), s * 10 + k))));
          all[s]->recv(signature(k), received.emplace_back(30000 * k + s));
        }
      }
      me.until(all, [&] { return std::ranges::all_of(all, &Link::idle); });
      std::size_t i = 0;
      for (std::size_t s = 0; s < all.size(); ++s)
        for (std::uint32_t k = 0; k < 3; ++k)
          expect_equal(me, received[i++], pattern(30000 * k + s, seed(1 - me.rank(), me.rank(), s * 10 + k)),
                       "a stream's message");
    }
  });
}

TEST_P(TransportConformance, DescribesItself) {
  run(GetParam(), 2, [](Member& me) {
    me.check(!me.transport().name().empty(), "no name");
    me.check(!me.transport().domain().empty(), "no domain");
    const Status works = me.transport().probe();
    me.check(static_cast<bool>(works), works ? "" : "probe: " + works.error().to_string());
    const Status reached = me.transport().reaches(1 - me.rank(), me.address_of(1 - me.rank()));
    me.check(static_cast<bool>(reached), reached ? "" : "reaches: " + reached.error().to_string());
    Link link = me.connect(1 - me.rank());
    exchange(me, link, 0, 1000);
    exchange(me, link, 1, kMiB);
    const std::size_t bytes = link.endpoint().memory_bytes();
    me.check(bytes > 0 && bytes < 64 * kMiB, fmt::format("{} bytes of memory for one link", bytes));
    me.barrier();
    link.endpoint().close();
    me.check(link.endpoint().memory_bytes() == 0, "a closed link holds memory");
  });
}

}  // namespace
}  // namespace tutti::conformance
