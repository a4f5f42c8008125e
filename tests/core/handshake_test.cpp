#include "core/handshake.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>

namespace tutti {
namespace {

using Blob = std::vector<std::byte>;
constexpr std::size_t kChallengeSize = 40, kProofSize = 64;

Blob blob(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

std::string text(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// A connected pair of non-blocking sockets.
struct Pair {
  int a = -1, b = -1;
  Pair() {
    int fds[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    a = fds[0];
    b = fds[1];
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    hang_up(a);
    hang_up(b);
  }
  static void hang_up(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
};

Blob drain(int fd) {
  Blob all(65536);
  const ssize_t n = recv(fd, all.data(), all.size(), MSG_DONTWAIT);
  all.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return all;
}

void put(int fd, ConstBytes bytes) { ASSERT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), std::ssize(bytes)); }

// Where a side ended: 1 done, 0 waits for more, or its error.
struct Outcome {
  bool done = false;
  std::optional<Code> code;
};

Outcome advance(Handshake& side) {
  auto result = side.advance();
  if (!result) return {false, result.error().code()};
  return {*result, std::nullopt};
}

std::pair<Outcome, Outcome> run(Handshake& connector, Handshake& acceptor) {
  Outcome c, a;
  for (int i = 0; i < 10; ++i) {
    if (!c.done && !c.code) c = advance(connector);
    if (!a.done && !a.code) a = advance(acceptor);
  }
  return {c, a};
}

TEST(Handshake, BothEndsLearnTheOthersHello) {
  Pair pair;
  const Secret secret = random_secret();
  Handshake connector(pair.a, Handshake::Role::connects, secret, blob("I am rank 3"));
  Handshake acceptor(pair.b, Handshake::Role::accepts, secret, blob(""));
  const auto [c, a] = run(connector, acceptor);
  EXPECT_TRUE(c.done);
  EXPECT_TRUE(a.done);
  EXPECT_EQ(text(acceptor.peer_hello()), "I am rank 3");
  EXPECT_EQ(text(connector.peer_hello()), "");
}

TEST(Handshake, ReadsNothingBeyondItself) {
  Pair pair;
  const Secret secret = random_secret();
  Handshake connector(pair.a, Handshake::Role::connects, secret, blob("c"));
  Handshake acceptor(pair.b, Handshake::Role::accepts, secret, blob("a"));
  while (!*acceptor.advance()) (void)connector.advance();
  put(pair.b, blob("first bytes of the stream"));
  EXPECT_TRUE(advance(connector).done);
  EXPECT_EQ(text(drain(pair.a)), "first bytes of the stream");
  EXPECT_TRUE(drain(pair.b).empty());
}

TEST(Handshake, LongestHelloPassesAndALongerOneIsRefusedLocally) {
  Pair pair;
  const Secret secret = random_secret();
  Handshake connector(pair.a, Handshake::Role::connects, secret, Blob(Handshake::kMaxHello, std::byte{7}));
  Handshake acceptor(pair.b, Handshake::Role::accepts, secret, Blob(Handshake::kMaxHello, std::byte{9}));
  const auto [c, a] = run(connector, acceptor);
  EXPECT_TRUE(c.done && a.done);
  EXPECT_EQ(acceptor.peer_hello().size(), Handshake::kMaxHello);
  Handshake too_long(pair.a, Handshake::Role::connects, secret, Blob(Handshake::kMaxHello + 1));
  EXPECT_EQ(advance(too_long).code, Code::invalid_argument);
}

TEST(Handshake, OversizedHelloOfAPeerIsAProtocolError) {
  Pair pair;
  Handshake acceptor(pair.b, Handshake::Role::accepts, random_secret(), {});
  Blob challenge = blob("tutti/1\n");
  challenge.resize(kChallengeSize);
  put(pair.a, challenge);
  EXPECT_FALSE(advance(acceptor).done);
  put(pair.a, blob(std::string_view("\x00\x00\x10\x01", 4)));  // 4097
  EXPECT_EQ(advance(acceptor).code, Code::protocol);
}

TEST(Handshake, WrongSecretIsReportedByBothRoles) {
  Pair pair;
  Handshake connector(pair.a, Handshake::Role::connects, random_secret(), blob("c"));
  Handshake acceptor(pair.b, Handshake::Role::accepts, random_secret(), blob("a"));
  const auto [c, a] = run(connector, acceptor);
  EXPECT_EQ(c.code, Code::unauthenticated);
  EXPECT_EQ(a.code, Code::unauthenticated);
  EXPECT_TRUE(acceptor.peer_hello().empty());
}

// A connector that skips the check of the acceptor's proof must fail at its own.
TEST(Handshake, ForgedHelloIsRefusedByTheAcceptor) {
  Pair pair;
  Handshake acceptor(pair.b, Handshake::Role::accepts, random_secret(), blob("a"));
  Blob forged = blob("tutti/1\n");
  forged.resize(kChallengeSize + 4 + 32);  // an empty hello and 32 zeros as its proof
  put(pair.a, forged);
  EXPECT_EQ(advance(acceptor).code, Code::unauthenticated);
}

// Sending a side's own proof back to it must not convince it.
TEST(Handshake, ReflectedProofIsRefused) {
  Pair pair;
  const Secret secret = random_secret();
  Handshake connector(pair.a, Handshake::Role::connects, secret, blob("c"));
  EXPECT_FALSE(advance(connector).done);
  Blob challenge = drain(pair.b);
  challenge.resize(kProofSize);
  put(pair.b, challenge);
  EXPECT_EQ(advance(connector).code, Code::unauthenticated);
}

TEST(Handshake, GarbageIsDroppedAtItsFirstByte) {
  Pair pair;
  Handshake acceptor(pair.b, Handshake::Role::accepts, random_secret(), {});
  put(pair.a, blob("G"));
  EXPECT_EQ(advance(acceptor).code, Code::protocol);
}

TEST(Handshake, PeerThatHangsUpIsLostWhereverItStops) {
  const Secret secret = random_secret();
  for (const std::size_t stop : {0, 1, 8, 39, 40}) {
    Pair pair;
    Handshake acceptor(pair.b, Handshake::Role::accepts, secret, {});
    Blob challenge = blob("tutti/1\n");
    challenge.resize(kChallengeSize);
    put(pair.a, ConstBytes(challenge).first(stop));
    EXPECT_FALSE(advance(acceptor).code);
    Pair::hang_up(pair.a);
    EXPECT_EQ(advance(acceptor).code, Code::peer_lost) << "after " << stop << " bytes";
  }
  Pair pair;
  Handshake connector(pair.a, Handshake::Role::connects, secret, {});
  Pair::hang_up(pair.b);
  EXPECT_EQ(advance(connector).code, Code::peer_lost);
}

// Bytes of both directions pass through two pairs, one at a time.
TEST(Handshake, SurvivesDeliveryByteByByte) {
  Pair left, right;
  const Secret secret = random_secret();
  Handshake connector(left.a, Handshake::Role::connects, secret, blob("slow connector"));
  Handshake acceptor(right.a, Handshake::Role::accepts, secret, blob("slow acceptor"));
  Outcome c, a;
  for (int i = 0; i < 2000 && !(c.done && a.done); ++i) {
    if (!c.done) c = advance(connector);
    if (!a.done) a = advance(acceptor);
    ASSERT_FALSE(c.code || a.code);
    std::byte byte;
    if (recv(left.b, &byte, 1, MSG_DONTWAIT) == 1) put(right.b, {&byte, 1});
    if (recv(right.b, &byte, 1, MSG_DONTWAIT) == 1) put(left.b, {&byte, 1});
  }
  EXPECT_TRUE(c.done && a.done);
  EXPECT_EQ(text(acceptor.peer_hello()), "slow connector");
  EXPECT_EQ(text(connector.peer_hello()), "slow acceptor");
}

TEST(Handshake, SaysWhichEventsItWaitsFor) {
  Pair pair;
  const Secret secret = random_secret();
  Handshake connector(pair.a, Handshake::Role::connects, secret, {});
  Handshake acceptor(pair.b, Handshake::Role::accepts, secret, {});
  EXPECT_EQ(connector.wanted_events(), POLLOUT);
  EXPECT_EQ(acceptor.wanted_events(), POLLIN);
  EXPECT_FALSE(advance(connector).done);
  EXPECT_EQ(connector.wanted_events(), POLLIN);
}

struct Recording {
  Blob from_connector, from_acceptor;
};

Recording record(const Secret& secret) {
  Pair left, right;
  Recording tape;
  Handshake connector(left.a, Handshake::Role::connects, secret, blob("c"));
  Handshake acceptor(right.a, Handshake::Role::accepts, secret, blob("a"));
  bool c = false, a = false;
  while (!c || !a) {
    c = c || advance(connector).done;
    a = a || advance(acceptor).done;
    const Blob out = drain(left.b), back = drain(right.b);
    put(right.b, out);
    put(left.b, back);
    tape.from_connector.insert(tape.from_connector.end(), out.begin(), out.end());
    tape.from_acceptor.insert(tape.from_acceptor.end(), back.begin(), back.end());
  }
  return tape;
}

TEST(Handshake, ReplayOfARecordedSessionFails) {
  const Secret secret = random_secret();
  const Recording tape = record(secret);
  Pair to_acceptor, to_connector;
  Handshake acceptor(to_acceptor.b, Handshake::Role::accepts, secret, blob("a"));
  put(to_acceptor.a, tape.from_connector);
  EXPECT_EQ(advance(acceptor).code, Code::unauthenticated);
  Handshake connector(to_connector.b, Handshake::Role::connects, secret, blob("c"));
  put(to_connector.a, tape.from_acceptor);
  EXPECT_EQ(advance(connector).code, Code::unauthenticated);
}

TEST(Handshake, AnyFlippedByteOnTheWayIsNoticed) {
  const Secret secret = random_secret();
  // Offsets within what the connector sends: challenge 40, length 4, hello 1, proof 32.
  for (std::size_t flip = 0; flip < kChallengeSize + 4 + 1 + 32; ++flip) {
    Pair left, right;
    Handshake connector(left.a, Handshake::Role::connects, secret, blob("c"));
    Handshake acceptor(right.a, Handshake::Role::accepts, secret, blob("a"));
    std::size_t passed = 0;
    Outcome c, a;
    for (int i = 0; i < 10; ++i) {
      if (!c.code && !c.done) c = advance(connector);
      if (!a.code && !a.done) a = advance(acceptor);
      Blob out = drain(left.b);
      if (flip >= passed && flip < passed + out.size()) out[flip - passed] ^= std::byte{0x40};
      passed += out.size();
      put(right.b, out);
      put(left.b, drain(right.b));
    }
    EXPECT_FALSE(a.done) << "byte " << flip << " was changed and the acceptor took it";
    EXPECT_FALSE(c.done) << "byte " << flip << " was changed and the connector took it";
  }
}

TEST(Handshake, RandomBytesNeverAuthenticate) {
  std::mt19937 random(20240917);
  const Secret secret = random_secret();
  for (int round = 0; round < 3000; ++round) {
    Pair pair;
    const bool accepts = random() % 2 == 0;
    Handshake side(pair.b, accepts ? Handshake::Role::accepts : Handshake::Role::connects, secret, blob("me"));
    // Half of the acceptor's visitors know the first bytes, so that the later stages are reached.
    Blob noise = accepts && random() % 2 == 0 ? blob("tutti/1\n") : Blob{};
    const std::size_t size = random() % 6000;
    while (noise.size() < size) noise.push_back(static_cast<std::byte>(random() % 4 == 0 ? 0 : random()));
    std::size_t sent = 0;
    std::optional<Code> end;
    while (sent < noise.size() && !end) {
      const std::size_t piece = std::min<std::size_t>(1 + random() % 4000, noise.size() - sent);
      put(pair.a, ConstBytes(noise).subspan(sent, piece));
      sent += piece;
      const Outcome outcome = advance(side);
      ASSERT_FALSE(outcome.done);
      end = outcome.code;
    }
    if (end) {
      EXPECT_TRUE(*end == Code::protocol || *end == Code::unauthenticated) << name(*end);
    }
    EXPECT_TRUE(side.peer_hello().empty());
  }
}

TEST(Secret, FromTextIsSha256AndRandomOnesDiffer) {
  // SHA-256 of "abc", FIPS 180-2 appendix B.1.
  const Secret abc = secret_from_text("abc");
  EXPECT_EQ(abc.bytes[0], std::byte{0xba});
  EXPECT_EQ(abc.bytes[1], std::byte{0x78});
  EXPECT_EQ(abc.bytes[31], std::byte{0xad});
  EXPECT_NE(secret_from_text("abc"), secret_from_text("abd"));
  EXPECT_NE(random_secret(), random_secret());
}

}  // namespace
}  // namespace tutti
