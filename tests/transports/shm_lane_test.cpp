// Both ends of a connection over shared memory in one process, moved step by step in random order: whatever is sent, in whatever
// order the two sides are at work, arrives, and one of them can always go on.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <random>

#include "tests/mixed_memory.h"
#include "transports/shm/lane.h"

namespace tutti::shm {
namespace {

using Bytes = std::vector<std::byte, MixedAllocator<std::byte>>;

struct Side {
  std::unique_ptr<Arena> arena;
  std::shared_ptr<PeerArena> peer;
  CellMemory memory;
  Cells cells;
  Fd socket;
  Handover handover;
  Taken taken;
  Outbox outbox;
  Inbox inbox;
  // The message under way in each direction, and how many are done.
  Bytes out, in;
  Outgoing outgoing;
  Incoming incoming;
  bool sending = false, receiving = false;
  std::uint32_t sent = 0, received = 0;
};

class Connection {
 public:
  // size_of(side, n): of the n-th message that a side sends.
  using SizeOf = std::function<std::size_t(int side, std::uint32_t n)>;
  Connection(std::size_t cell_memory, std::array<std::uint32_t, 2> messages, SizeOf size_of)
      : messages_(messages), size_of_(std::move(size_of)) {
    for (Side& side : sides_) side.arena = Arena::create(std::size_t{1} << 20).value_or_throw();
    sides_[0].memory = CellMemory::create(cell_memory).value_or_throw();
    sides_[1].memory = CellMemory::map(sides_[0].memory.fd, 0).value_or_throw();
    std::array<Lane*, 2> lanes{};
    std::array<std::size_t, 2> offsets{};
    for (std::size_t i = 0; i < 2; ++i) {
      offsets[i] = sides_[i].arena->allocate_lane().value_or_throw().offset;
      lanes[i] = sides_[i].arena->lane(offsets[i]);
      const Arena& other = *sides_[1 - i].arena;
      sides_[i].peer = PeerArena::map(Fd(dup(other.memory_fd())), Fd(dup(other.bell_fd())), true, 0).value_or_throw();
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("no sockets");
    for (std::size_t i = 0; i < 2; ++i) {
      Side& side = sides_[i];
      side.socket = Fd(ends[i]);
      const auto* other = reinterpret_cast<const Lane*>(side.peer->data() + offsets[1 - i]);
      side.handover.open(side.socket, side.peer->segments(), lanes[i]->segments_taken, other->segments_taken,
                         static_cast<Rank>(1 - i));
      side.cells.open(side.memory.mapping.bytes(), i == 0);
      const Lanes view{.mine = lanes[i],
                       .theirs = reinterpret_cast<const Lane*>(side.peer->data() + offsets[1 - i]),
                       .taken = &side.taken,
                       .cells = &side.cells,
                       .handover = &side.handover,
                       .peer_arena = side.peer.get(),
                       .peer = static_cast<Rank>(1 - i)};
      side.outbox.open(view);
      side.inbox.open(view);
    }
  }

  // All messages lie in memory that the other side can map.
  void all_mapped() {
    for (Side& side : sides_)
      for (Bytes* bytes : {&side.out, &side.in}) {
        while (bytes->capacity() == 0 || !Segments::of_process().find({bytes->data(), 1})) {
          Bytes().swap(*bytes);
          bytes->reserve(kMapped);
        }
      }
  }

  // Side 0 takes nothing before it has sent all its messages.
  void send_first() { sends_first_ = true; }

  // `choose(n)`: a random number below n.
  template <class Choose>
  void run(Choose&& choose) {
    int idle = 0;
    while (!done()) {
      const int i = choose(2);
      if (choose(50) == 0) side(i).outbox.tune(tunings[static_cast<std::size_t>(choose(3))]);
      const bool moved = choose(2) == 0 ? send(i) : receive(i);
      idle = moved ? 0 : idle + 1;
      ASSERT_LT(idle, 1000) << "nobody goes on: " << side(0).sent << "/" << side(0).received << " and " << side(1).sent << "/"
                            << side(1).received << " messages sent and received";
      if (testing::Test::HasFailure()) return;
    }
  }

  // Messages that went this way, of both sides.
  [[nodiscard]] int sent_as(Kind kind) const { return sent_as_[static_cast<std::size_t>(kind)]; }

 private:
  static constexpr std::size_t kMapped = 200000;
  static constexpr std::array<LinkTuning, 3> tunings{LinkTuning{}, {.oldest_first_from = 0}, {.past_caches_from = 0}};
  Side& side(int i) { return sides_[static_cast<std::size_t>(i)]; }
  std::uint32_t messages(int i) { return messages_[static_cast<std::size_t>(i)]; }
  bool done() {
    return side(0).sent == messages(0) && side(0).received == messages(1) && side(1).sent == messages(1) &&
           side(1).received == messages(0);
  }
  static std::byte byte_at(int from, std::uint32_t n, std::size_t at) {
    return static_cast<std::byte>(at * 7 + n * 13 + static_cast<std::size_t>(from) * 101);
  }

  bool send(int i) {
    Side& me = side(i);
    if (!me.sending) {
      if (me.sent == messages(i)) return false;
      me.out.resize(size_of_(i, me.sent));
      for (std::size_t at = 0; at < me.out.size(); ++at) me.out[at] = byte_at(i, me.sent, at);
      me.outgoing = {.signature = {.sequence = me.sent}, .data = me.out, .just_written = me.sent % 2 == 0};
      me.sending = true;
    }
    bool moved = false;
    if (!me.outbox.advance(me.outgoing, moved).value_or_throw()) return moved;
    me.sending = false;
    ++me.sent;
    ++sent_as_[static_cast<std::size_t>(me.outgoing.kind)];
    return true;
  }

  bool receive(int i) {
    Side& me = side(i);
    if (!me.receiving) {
      if (me.received == messages(1 - i) || (sends_first_ && i == 0 && me.sent < messages(0))) return false;
      me.in.assign(size_of_(1 - i, me.received), std::byte{});
      me.incoming = {.expected = {.sequence = me.received}, .sink = {.data = me.in.data(), .size = me.in.size()}};
      me.receiving = true;
      if (!me.inbox.has_next()) me.inbox.offer(me.incoming, 0);
    }
    bool moved = false;
    if (me.incoming.stage == Incoming::Stage::awaited) {
      if (!me.inbox.has_next()) return false;
      if (!me.inbox.take_small(me.incoming) && !me.inbox.advance(me.incoming, moved).value_or_throw()) return moved;
    } else if (!me.inbox.advance(me.incoming, moved).value_or_throw()) {
      return moved;
    }
    for (std::size_t at = 0; at < me.in.size(); ++at)
      if (me.in[at] != byte_at(1 - i, me.received, at)) {
        ADD_FAILURE() << "message " << me.received << " of side " << 1 - i << ", byte " << at << " of " << me.in.size();
        break;
      }
    me.receiving = false;
    ++me.received;
    return true;
  }

  std::array<Side, 2> sides_;
  std::array<std::uint32_t, 2> messages_;
  SizeOf size_of_;
  std::array<int, 8> sent_as_{};
  bool sends_first_ = false;
};

class ShmLane : public testing::TestWithParam<std::size_t> {
 protected:
  std::mt19937 random_{11};
  int choose(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  void run(std::array<std::uint32_t, 2> messages, Connection::SizeOf size_of) {
    Connection(GetParam(), messages, std::move(size_of)).run([this](int n) { return choose(n); });
  }
};

std::size_t mixed(int side, std::uint32_t n) {
  constexpr std::size_t kSizes[] = {0, 8, 280, 281, 1000, 5000, 33000, 70000, 300000};
  return kSizes[(n * 7 + static_cast<std::uint32_t>(side) * 3) % std::size(kSizes)];
}

TEST_P(ShmLane, MessagesGoEveryWayThereIs) {
  Connection connection(GetParam(), {300, 300}, mixed);
  connection.run([this](int n) { return choose(n); });
  for (const Kind kind : {Kind::in_slot, Kind::in_cell, Kind::streamed, Kind::direct, Kind::placed})
    EXPECT_GT(connection.sent_as(kind), 10) << "kind " << static_cast<int>(kind);
}

// What this rank computed it puts where it belongs; the rest the receiver takes.
TEST_P(ShmLane, OnlyWhatWasJustWrittenIsPlacedWhereTheReceiverCanReadIt) {
  MixedMemory::allocated = 0;
  Connection connection(GetParam(), {100, 0}, [](int, std::uint32_t) { return std::size_t{100000}; });
  connection.all_mapped();
  connection.run([this](int n) { return choose(n); });
  EXPECT_EQ(connection.sent_as(Kind::direct) + connection.sent_as(Kind::placed), 100);
  EXPECT_GE(connection.sent_as(Kind::direct), 50);
  EXPECT_GT(connection.sent_as(Kind::placed), 10);
}

TEST_P(ShmLane, BothSidesSendAllSizes) { run({400, 400}, mixed); }
TEST_P(ShmLane, OneSideSendsAlone) { run({400, 0}, mixed); }
TEST_P(ShmLane, OneSideSendsLongStreamsAndTheOtherShortMessages) {
  run({40, 2000}, [](int side, std::uint32_t) { return side == 0 ? std::size_t{500000} : std::size_t{600}; });
}
TEST_P(ShmLane, TheSidesTakeTurnsInSendingAlone) {
  for (int turn = 0; turn < 4; ++turn) run({turn % 2 == 0 ? 100U : 3U, turn % 2 == 0 ? 3U : 100U}, mixed);
}

TEST_P(ShmLane, OneSideTakesNothingBeforeItHasSentAll) {
  for (int order = 0; order < 20; ++order) {  // of the steps, another one each time
    Connection connection(GetParam(), {50, 50}, [](int, std::uint32_t) { return std::size_t{150000}; });
    connection.send_first();
    connection.run([this](int n) { return choose(n); });
  }
}

INSTANTIATE_TEST_SUITE_P(memory, ShmLane, testing::Values(Cells::kLeastMemory, std::size_t{128} << 10, std::size_t{4} << 20),
                         [](const auto& memory) { return "of_" + std::to_string(memory.param >> 10) + "K"; });

}  // namespace
}  // namespace tutti::shm
