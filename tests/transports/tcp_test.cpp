// What is particular to TCP; what it shares with all transports is in the conformance suite.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "transports/tcp/stripes.h"
#include "transports/tcp/tcp_transport.h"
#include "transports/tcp/wire.h"

namespace tutti {
namespace {

using Blob = std::vector<std::byte>;

TransportOptions options(Rank rank, int sockets = 2, std::string interface = "127.0.0.1") {
  TransportOptions o;
  o.secret = secret_from_text("the tests' secret");
  o.rank = rank;
  o.interface = std::move(interface);
  o.tcp_sockets = sockets;
  return o;
}

Signature call(std::uint32_t sequence) { return {.count = 1, .sequence = sequence}; }

Blob random_blob(std::mt19937& random, std::size_t size) {
  Blob blob(size);
  for (std::byte& b : blob) b = static_cast<std::byte>(random());
  return blob;
}

TEST(Stripes, SharesCoverTheMessageOnceAndInOrder) {
  constexpr std::size_t kSegment = Stripes::kSegment;
  for (const std::size_t sockets : {1, 2, 3, 5, 64}) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, Stripes::kStripeAbove, Stripes::kStripeAbove + 1,
                                    3 * kSegment, 3 * kSegment + 1, 10 * kSegment - 1, 129 * kSegment + 77}) {
      const Stripes stripes(bytes, sockets);
      std::vector<int> covered(bytes / 7 + 1);  // a sample: every 7th byte
      std::size_t sum = 0;
      for (std::size_t socket = 0; socket < sockets; ++socket) {
        const std::size_t share = stripes.share(socket);
        sum += share;
        std::size_t done = 0, last = 0;
        while (done < share) {
          const auto piece = stripes.piece(socket, done);
          ASSERT_GT(piece.size, 0u);
          ASSERT_LE(piece.offset + piece.size, bytes);
          ASSERT_TRUE(done == 0 || piece.offset >= last);
          ASSERT_EQ(stripes.socket_of(piece.offset), socket);
          for (std::size_t i = (piece.offset + 6) / 7 * 7; i < piece.offset + piece.size; i += 7) ++covered[i / 7];
          last = piece.offset + piece.size;
          done += piece.size;
        }
        ASSERT_EQ(done, share);
      }
      EXPECT_EQ(sum, bytes) << bytes << " bytes on " << sockets << " sockets";
      for (std::size_t i = 0; i * 7 < bytes; ++i) ASSERT_EQ(covered[i], 1);
      if (bytes <= Stripes::kStripeAbove) {
        EXPECT_EQ(stripes.share(0), bytes) << "small messages stay on socket 0";
      }
    }
  }
}

TEST(Wire, AddressesRoundTrip) {
  for (const char* host : {"10.1.2.3", "fd00::17"}) {
    const TcpAddress address{*SocketAddress::parse(host, 4711), 0x1234567890abcdef};
    const auto decoded = decode_tcp_address(encode(address));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->address.to_string(), address.address.to_string());
    EXPECT_EQ(decoded->instance, address.instance);
  }
}

TEST(Wire, RandomBytesAreNoneOfItsStructs) {
  std::mt19937 random(11);
  for (int i = 0; i < 20000; ++i) {
    const Blob noise = random_blob(random, random() % 48);
    EXPECT_FALSE(decode_tcp_address(noise));
    EXPECT_FALSE(decode_connector_hello(noise));
    EXPECT_FALSE(decode_acceptor_hello(noise));
  }
}

TEST(Wire, DamagedStructsAreRefusedOrHarmless) {
  std::mt19937 random(12);
  const Blob good_hello = encode(ConnectorHello{.socket = 1, .sockets = 2});
  const Blob good_address = encode(TcpAddress{*SocketAddress::parse("10.1.2.3", 1), 1});
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    Blob hello = good_hello, address = good_address;
    hello[random() % hello.size()] ^= static_cast<std::byte>(1 + random() % 255);
    address[random() % address.size()] ^= static_cast<std::byte>(1 + random() % 255);
    if (auto h = decode_connector_hello(hello)) {
      EXPECT_LT(h->socket, h->sockets);
      EXPECT_LE(h->sockets, kMaxTcpSockets);
    } else {
      ++refused;
    }
    if (auto a = decode_tcp_address(address)) {
      EXPECT_NE(a->address.port(), 0);
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(Wire, HeadersThatCannotBeAreProtocolErrors) {
  MessageHeader header;
  EXPECT_TRUE(check(header, 3));
  header.bytes = MessageHeader::kMaxBytes + 1;
  EXPECT_EQ(check(header, 3).error().code(), Code::protocol);
  EXPECT_EQ(check(header, 3).error().peer(), 3);
  header.bytes = 0;
  header.magic ^= 1;
  EXPECT_EQ(check(header, 3).error().code(), Code::protocol);
}

// The sending side of a connection to rank 0, written by hand: authenticated, but free to send anything.
class RawPeer {
 public:
  RawPeer(TcpTransport& transport, Endpoint& endpoint, const TransportOptions& mine, std::uint64_t stream = 0) {
    const auto address = decode_tcp_address(*transport.listen());
    EXPECT_TRUE(address);
    auto fd = start_connect(*SocketAddress::parse("127.0.0.1"), address->address, {});
    EXPECT_TRUE(fd);
    fd_ = *std::move(fd);
    const ConnectorHello hello{.instance = address->instance, .stream = stream, .connector = 1, .acceptor = 0};
    Handshake handshake(fd_.get(), Handshake::Role::connects, mine.secret, encode(hello));
    for (bool done = false; !done;) {
      auto advanced = handshake.advance();
      EXPECT_TRUE(advanced) << advanced.error().to_string();
      if (!advanced) return;
      done = *advanced;
      EXPECT_TRUE(endpoint.poll());
    }
  }
  void send(ConstBytes bytes) { (void)!::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void hang_up() { fd_.reset(); }

 private:
  Fd fd_;
};

// Rank 0, waiting for rank 1.
struct Waiting {
  TcpTransport transport{options(0)};
  std::unique_ptr<Endpoint> endpoint;
  Waiting() { endpoint = std::move(*transport.connect({.me = 0, .peer = 1, .stream = 0, .peer_address = *transport.listen()})); }
};

std::optional<Error> error_of(Endpoint& endpoint) {
  for (const TimePoint start = Clock::now(); seconds_since(start) < 10;)
    if (auto polled = endpoint.poll(); !polled) return std::move(polled.error());
  return std::nullopt;
}

TEST(TcpEndpoint, GarbageFromAnAuthenticatedPeerIsAProtocolError) {
  std::mt19937 random(13);
  for (int round = 0; round < 200; ++round) {
    Waiting here;
    RawPeer peer(here.transport, *here.endpoint, options(1));
    std::array<std::byte, 100> memory{};
    peer.send(random_blob(random, 40 + random() % 200));
    auto received = here.endpoint->post_recv(call(0), {.data = memory.data(), .size = memory.size()});
    auto error = received ? error_of(*here.endpoint) : std::optional(std::move(received.error()));
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::protocol) << error->to_string();
    EXPECT_EQ(error->peer(), 1);
  }
}

TEST(TcpEndpoint, DamagedHeadersNeverPassForTheExpectedMessage) {
  std::mt19937 random(14);
  for (std::size_t place = 0; place < sizeof(MessageHeader); ++place) {
    Waiting here;
    RawPeer peer(here.transport, *here.endpoint, options(1));
    MessageHeader header;
    header.bytes = 8;
    header.signature = call(0);
    Blob bytes(sizeof header + 8);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes[place] ^= static_cast<std::byte>(1 + random() % 255);
    peer.send(bytes);
    std::array<std::byte, 8> memory{};
    auto received = here.endpoint->post_recv(call(0), {.data = memory.data(), .size = memory.size()});
    const bool is_reserved = place >= 4 && place < 8;
    if (is_reserved) continue;  // room for later, not looked at
    auto error = received ? error_of(*here.endpoint) : std::optional(std::move(received.error()));
    ASSERT_TRUE(error) << "byte " << place;
    EXPECT_TRUE(error->code() == Code::protocol || error->code() == Code::mismatch) << error->to_string();
  }
}

TEST(TcpEndpoint, PeerThatStopsInsideAMessageIsLost) {
  for (const std::size_t stop : {std::size_t{0}, std::size_t{1}, sizeof(MessageHeader), sizeof(MessageHeader) + 50}) {
    Waiting here;
    RawPeer peer(here.transport, *here.endpoint, options(1));
    MessageHeader header;
    header.bytes = 100;
    header.signature = call(0);
    Blob bytes(sizeof header + 100);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::array<std::byte, 100> memory{};
    ASSERT_TRUE(here.endpoint->post_recv(call(0), {.data = memory.data(), .size = memory.size()}));
    peer.send(ConstBytes(bytes).first(stop));
    peer.hang_up();
    const auto error = error_of(*here.endpoint);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Code::peer_lost) << error->to_string();
    EXPECT_EQ(error->peer(), 1);
  }
}

TEST(TcpEndpoint, UnpostedBytesStayInTheKernel) {
  Waiting here;
  RawPeer peer(here.transport, *here.endpoint, options(1));
  std::mt19937 random(15);
  peer.send(random_blob(random, 100));  // would be a protocol error if it were looked at
  for (int i = 0; i < 100; ++i) {
    auto polled = here.endpoint->poll();
    ASSERT_TRUE(polled);
    EXPECT_EQ(polled->recvs, 0u);
  }
}

TEST(TcpEndpoint, ClosedEndpointsRefuseAndHoldNothing) {
  Waiting here;
  here.endpoint->close();
  EXPECT_EQ(here.endpoint->memory_bytes(), 0u);
  EXPECT_EQ(here.endpoint->poll().error().code(), Code::aborted);
  EXPECT_EQ(here.endpoint->post_send(call(0), {}).error().code(), Code::aborted);
  EXPECT_EQ(here.endpoint->post_recv(call(0), {}).error().code(), Code::aborted);
}

TEST(TcpTransport, RefusedConnectionNamesAddressAndReason) {
  TcpTransport here(options(1));
  auto closed = std::make_unique<TcpTransport>(options(0));
  const Blob address = *closed->listen();
  const std::string closed_at = decode_tcp_address(address)->address.to_string();
  closed.reset();
  auto endpoint = here.connect({.me = 1, .peer = 0, .stream = 0, .peer_address = address});
  ASSERT_TRUE(endpoint);
  const auto error = error_of(**endpoint);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::peer_lost);
  EXPECT_EQ(error->peer(), 0);
  for (const std::string& part : {closed_at, std::string("ECONNREFUSED"), std::string("lo 127.0.0.1")})
    EXPECT_NE(error->to_string().find(part), std::string::npos) << error->to_string();
  const Status reached = here.reaches(0, address);
  ASSERT_FALSE(reached);
  for (const std::string& part : {closed_at, std::string("ECONNREFUSED"), std::string("lo 127.0.0.1"), std::string("rank 0")})
    EXPECT_NE(reached.error().to_string().find(part), std::string::npos) << reached.error().to_string();
}

TEST(TcpTransport, AnotherProcessOnTheSamePortIsNotTaken) {
  TcpTransport there(options(0)), here(options(1));
  TcpAddress address = *decode_tcp_address(*there.listen());
  address.instance ^= 1;
  auto serving = there.connect({.me = 0, .peer = 1, .stream = 0, .peer_address = *there.listen()});
  auto endpoint = here.connect({.me = 1, .peer = 0, .stream = 0, .peer_address = encode(address)});
  ASSERT_TRUE(serving && endpoint);
  std::optional<Error> error;
  for (int i = 0; i < 1000000 && !error; ++i) {
    ASSERT_TRUE((*serving)->poll());
    if (auto polled = (*endpoint)->poll(); !polled) error = std::move(polled.error());
  }
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), Code::peer_lost) << error->to_string();
}

TEST(TcpTransport, FamiliesAndInterfacesMustFit) {
  TcpTransport six(options(0, 2, "::1")), four(options(1)), none(options(1, 2, "nosuch0"));
  EXPECT_EQ(six.domain(), "tcp6");
  EXPECT_EQ(four.domain(), "tcp4");
  EXPECT_EQ(none.probe().error().code(), Code::environment);
  EXPECT_EQ(none.listen().error().code(), Code::environment);
  EXPECT_EQ(four.reaches(0, *six.listen()).error().code(), Code::unsupported);
  EXPECT_TRUE(six.reaches(0, *six.listen()));
  EXPECT_EQ(four.connect({.me = 1, .peer = 1, .stream = 0, .peer_address = *four.listen()}).error().code(),
            Code::invalid_argument);
}

// Brings up a connection with both sides polled by this thread.
void bring_up_and_talk(TcpTransport& low, TcpTransport& high, std::uint64_t stream) {
  auto a = low.connect({.me = 0, .peer = 1, .stream = stream, .peer_address = *high.listen()});
  auto b = high.connect({.me = 1, .peer = 0, .stream = stream, .peer_address = *low.listen()});
  ASSERT_TRUE(a && b);
  std::uint64_t sent = 42, received = 0;
  auto done = (*a)->post_recv(call(0), {.data = reinterpret_cast<std::byte*>(&received), .size = 8});
  ASSERT_TRUE(done);
  ASSERT_TRUE((*b)->post_send(call(0), std::as_bytes(std::span(&sent, 1))));
  bool arrived = *done;
  for (const TimePoint start = Clock::now(); !arrived && seconds_since(start) < 20;) {
    auto here = (*a)->poll(), there = (*b)->poll();
    ASSERT_TRUE(here) << here.error().to_string();
    ASSERT_TRUE(there) << there.error().to_string();
    arrived = here->recvs == 1;
  }
  EXPECT_TRUE(arrived);
  EXPECT_EQ(received, sent);
}

// Peers do not send the scope of a link-local address along: each host has its own.
TEST(TcpTransport, LinkLocalAddressesWork) {
  const auto local = choose_interface("fe80::/10");
  if (!local) GTEST_SKIP() << "this host has no link-local IPv6 address";
  TcpTransport low(options(0, 2, "fe80::/10")), high(options(1, 2, "fe80::/10"));
  EXPECT_EQ(decode_tcp_address(*low.listen())->address.scope(), 0u);
  const Status reached = high.reaches(0, *low.listen());
  EXPECT_TRUE(reached) << reached.error().to_string();
  bring_up_and_talk(low, high, 1);
}

// Thousands of ranks probe while nobody polls an endpoint.
TEST(TcpTransport, ProbesDoNotExhaustTheListener) {
  TcpTransport low(options(0)), high(options(1));
  const Blob low_address = *low.listen(), high_address = *high.listen();
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(high.reaches(0, low_address)) << i;
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(low.reaches(1, high_address)) << i;
  bring_up_and_talk(low, high, 1);
}

Fd stranger(TcpTransport& transport) {
  auto fd = start_connect(*SocketAddress::parse("127.0.0.1"), decode_tcp_address(*transport.listen())->address, {});
  EXPECT_TRUE(fd);
  return *std::move(fd);
}

TEST(TcpTransport, SilentStrangersAreBoundedAndDropped) {
  TcpTransport low(options(0), {.half_open = 4, .half_open_time = std::chrono::milliseconds(50)}), high(options(1));
  std::vector<Fd> strangers;
  for (int i = 0; i < 20; ++i) strangers.push_back(stranger(low));
  bring_up_and_talk(low, high, 1);
}

TEST(TcpTransport, UnequalNumbersOfSocketsAgreeOnTheConnectorsOne) {
  TcpTransport low(options(0, 7)), high(options(1, 3));
  bring_up_and_talk(low, high, 1);
  TcpTransport few(options(0, 1)), many(options(1, 64));
  bring_up_and_talk(few, many, 1);
}

// A connector that was away for longer than the acceptor's patience tries again.
TEST(TcpTransport, LateConnectorsTryAgain) {
  TcpTransport low(options(0), {.half_open_time = std::chrono::milliseconds(1)}), high(options(1));
  auto a = low.connect({.me = 0, .peer = 1, .stream = 3, .peer_address = *high.listen()});
  auto b = high.connect({.me = 1, .peer = 0, .stream = 3, .peer_address = *low.listen()});
  ASSERT_TRUE(a && b);
  ASSERT_TRUE((*b)->poll());  // connects and sends the challenge
  WaitSet set;
  (*a)->begin_wait(set);
  for (int i = 0; i < 10; ++i) {
    ::poll(set.fds.data(), set.fds.size(), 10);  // lets the acceptor's timer run out
    ASSERT_TRUE((*a)->poll());
  }
  (*a)->end_wait();
  bring_up_and_talk(low, high, 4);
  ASSERT_TRUE((*b)->poll());  // finds the connection dropped and opens another
}

// Whichever thread takes a connection in, the one that sleeps for it wakes.
TEST(TcpTransport, SleepersWakeWhenAnotherThreadTakesTheirConnectionIn) {
  TcpTransport low(options(0)), high(options(1));
  constexpr std::uint64_t kStreams = 8;
  std::atomic<int> lost = 0, failed = 0;
  std::vector<std::thread> threads;
  const auto sleep_until_up = [&](TcpTransport& transport, Rank me, const Blob& peer_address, std::uint64_t stream) {
    auto endpoint = transport.connect({.me = me, .peer = 1 - me, .stream = stream, .peer_address = peer_address});
    std::uint64_t out = stream, in = 0;
    auto sent = (*endpoint)->post_send(call(0), std::as_bytes(std::span(&out, 1)));
    auto received = (*endpoint)->post_recv(call(0), {.data = reinterpret_cast<std::byte*>(&in), .size = 8});
    std::uint32_t left = 2;
    while (left > 0) {
      WaitSet set;
      (*endpoint)->begin_wait(set);
      auto polled = (*endpoint)->poll();
      if (!polled) {
        ++failed;
        return;
      }
      left -= polled->sends + polled->recvs;
      if (left > 0 && !polled->moved && ::poll(set.fds.data(), set.fds.size(), 20000) == 0) {
        ++lost;
        return;
      }
      (*endpoint)->end_wait();
    }
    if (in != stream) ++failed;
  };
  const Blob low_address = *low.listen(), high_address = *high.listen();
  for (std::uint64_t stream = 0; stream < kStreams; ++stream) {
    threads.emplace_back(sleep_until_up, std::ref(low), 0, std::cref(high_address), stream);
    threads.emplace_back(sleep_until_up, std::ref(high), 1, std::cref(low_address), stream);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(lost, 0);
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace tutti
