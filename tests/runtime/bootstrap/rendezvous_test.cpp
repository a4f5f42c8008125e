#include "bootstrap/rendezvous.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "bootstrap/member.h"
#include "core/handshake.h"
#include "ranks.h"

namespace tutti {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

Lookup nothing() {
  return [](const char*) { return std::nullopt; };
}

// A port that was free a moment ago.
std::uint16_t free_port() {
  Fd fd = listen_at(v4_loopback()).value_or_throw();
  return SocketAddress::of_socket(fd.get()).value_or_throw().port();
}

Config plain(Rank rank, Rank size, const std::string& rendezvous, const std::string& timeout_s = "30") {
  Config config = Config::from_environment().value_or_throw();
  config.set(Var::rank, std::to_string(rank)).value_or_throw();
  config.set(Var::size, std::to_string(size)).value_or_throw();
  config.set(Var::rendezvous, rendezvous).value_or_throw();
  config.set(Var::timeout, timeout_s).value_or_throw();
  return config;
}
std::string loopback_at(std::uint16_t port) { return "127.0.0.1:" + std::to_string(port); }

// Everything that can be said to a port by somebody who does not belong there.
void throw_garbage(const SocketAddress& at, std::mt19937& random) {
  Fd fd = start_connect(at).value_or_throw();
  pollfd writable{fd.get(), POLLOUT, 0};
  (void)::poll(&writable, 1, 1000);
  std::string bytes(random() % 2000, ' ');
  for (char& c : bytes) c = static_cast<char>(random());
  if (random() % 2 == 0) bytes = "tutti/1\n" + bytes;  // begins well
  (void)send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

TEST(Bootstrap, PlainVariables) {
  constexpr Rank kSize = 4;
  const std::string at = loopback_at(free_port());
  for (int again = 0; again < 3; ++again) {
    each_rank(kSize, [&](Rank rank) {
      auto session = bootstrap(plain(rank, kSize, at), nothing());
      ASSERT_TRUE(session) << session.error().to_string();
      EXPECT_EQ(session->rank, rank);
      EXPECT_EQ(session->overlay->all_gather({}).value_or_throw().size(), 4u);
      session->overlay->goodbye();
    });
  }
}

TEST(Bootstrap, TheRendezvousMayBeAName) {
  if (!resolves("localhost")) GTEST_SKIP() << "this system does not know localhost (/etc/hosts): names are NOT tested here";
  const std::string at = "localhost:" + std::to_string(free_port());
  each_rank(2, [&](Rank rank) {
    auto session = bootstrap(plain(rank, 2, at), nothing());
    ASSERT_TRUE(session) << session.error().to_string();
  });
}

TEST(Bootstrap, AFixedAddressServesAgainAndAgain) {
  const UniqueId id = unique_id_at(loopback_at(free_port()), test_config()).value_or_throw();
  for (Rank size = 2; size < 5; ++size)
    each_rank(size, [&](Rank rank) {
      auto session = bootstrap(id, rank, size, test_config());
      ASSERT_TRUE(session) << session.error().to_string();
      session->overlay->goodbye();
    });
  Fd taken = listen_at(v4_loopback()).value_or_throw();
  const auto at = SocketAddress::of_socket(taken.get()).value_or_throw().to_string();
  auto session = bootstrap(unique_id_at(at, test_config()).value_or_throw(), 0, 2, test_config());
  ASSERT_FALSE(session);
  EXPECT_THAT(session.error().to_string(), HasSubstr("EADDRINUSE"));
}

TEST(Bootstrap, OneRankAlone) {
  auto session = bootstrap(Config::from_environment().value_or_throw(), nothing());
  ASSERT_TRUE(session);
  EXPECT_EQ(session->size, 1);
  EXPECT_EQ(session->overlay->all_gather({}).value_or_throw().size(), 1u);
}

TEST(Bootstrap, UnreachableRendezvousSaysWhereAndWhy) {
  const std::string at = loopback_at(free_port());
  auto session = bootstrap(plain(1, 2, at, "0.3"), nothing());
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code(), Code::timeout);
  for (const std::string& part : {std::string("rank 1 could not reach the rendezvous at ") + at,
                                  std::string("Connection refused"), std::string("is rank 0 running?"), "TUTTI_RENDEZVOUS=" + at})
    EXPECT_THAT(session.error().to_string(), HasSubstr(part));
}

TEST(Bootstrap, UnknownHostSaysSo) {
  auto session = bootstrap(plain(1, 2, "no.such.host.invalid:5000", "0.2"), nothing());
  ASSERT_FALSE(session);
  EXPECT_THAT(session.error().to_string(), HasSubstr("no.such.host.invalid"));
}

TEST(Bootstrap, RankZeroMustBeAtHome) {
  auto session = bootstrap(plain(0, 2, "192.0.2.1:5000"), nothing());  // an address reserved for documentation
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code(), Code::environment);
  EXPECT_THAT(session.error().to_string(), HasSubstr("rank 0 cannot listen at the rendezvous 192.0.2.1:5000"));
  EXPECT_THAT(session.error().to_string(), HasSubstr("EADDRNOTAVAIL"));
}

TEST(Bootstrap, PortInUse) {
  Fd taken = listen_at(v4_loopback()).value_or_throw();
  const auto port = SocketAddress::of_socket(taken.get()).value_or_throw().port();
  auto session = bootstrap(plain(0, 2, loopback_at(port)), nothing());
  ASSERT_FALSE(session);
  EXPECT_THAT(session.error().to_string(), HasSubstr("EADDRINUSE"));
}

TEST(Bootstrap, WrongSecretIsToldToBothSides) {
  // The rendezvous waits half a second after its first guest; the ranks would wait longer.
  const UniqueId id = create_unique_id(test_config("0.5"), 60).value_or_throw();
  const MeetingPlace place = MeetingPlace::from_id(id).value_or_throw();
  auto stranger = bootstrap(MeetingPlace{place.address, random_secret()}.to_id(), 1, 2, test_config());
  ASSERT_FALSE(stranger);
  EXPECT_EQ(stranger.error().code(), Code::unauthenticated) << stranger.error().to_string();
  auto waiting = bootstrap(id, 0, 2, test_config());
  ASSERT_FALSE(waiting);
  EXPECT_EQ(waiting.error().code(), Code::timeout);
  EXPECT_EQ(waiting.error().peer(), 1);
  EXPECT_THAT(waiting.error().to_string(), HasSubstr("1 connection(s) were dropped because they did not know the secret"));
}

TEST(Bootstrap, WrongSecretByVariable) {
  const std::string at = loopback_at(free_port());
  Config config = plain(0, 2, at);
  config.set(Var::secret, "sesame").value_or_throw();
  std::thread zero([&] { EXPECT_FALSE(bootstrap(config, nothing())); });
  Config other = plain(1, 2, at);
  other.set(Var::secret, "tahini").value_or_throw();
  EXPECT_EQ(bootstrap(other, nothing()).error().code(), Code::unauthenticated);
  // Lets rank 0 go: with the right secret, but another size.
  Config third = plain(2, 3, at);
  third.set(Var::secret, "sesame").value_or_throw();
  EXPECT_EQ(bootstrap(third, nothing()).error().code(), Code::mismatch);
  zero.join();
}

TEST(Bootstrap, MissingRanksAreNamed) {
  const UniqueId id = create_unique_id(test_config("0.2"), 60).value_or_throw();
  auto session = bootstrap(id, 2, 5, test_config());
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code(), Code::timeout);
  EXPECT_THAT(session.error().to_string(), HasSubstr("4 of 5 ranks did not register"));
  EXPECT_THAT(session.error().to_string(), HasSubstr("(rank 0, 1, 3, 4)"));
}

// The id's maker would wait longer than the ranks do.
TEST(Bootstrap, MissingRanksAreNamedWhenTheTimeOfTheRanksIsOver) {
  const UniqueId id = create_unique_id(test_config("300"), 60).value_or_throw();
  auto session = bootstrap(id, 1, 3, test_config("0.2"));
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code(), Code::timeout);
  EXPECT_EQ(session.error().peer(), 0);
  EXPECT_THAT(session.error().to_string(), HasSubstr("2 of 3 ranks did not register within 0.2 s (rank 0, 2)"));
}

TEST(Bootstrap, DifferentSizesAreShown) {
  const UniqueId id = create_unique_id(test_config(), 60).value_or_throw();
  each_rank(2, [&](Rank rank) {
    auto session = bootstrap(id, rank, rank == 0 ? 2 : 3, test_config());
    ASSERT_FALSE(session);
    EXPECT_EQ(session.error().code(), Code::mismatch);
    EXPECT_THAT(session.error().to_string(), AnyOf(HasSubstr("there are 3 ranks, the first to register said 2"),
                                                   HasSubstr("there are 2 ranks, the first to register said 3")));
  });
}

TEST(Bootstrap, TheSameRankTwiceIsRefused) {
  const UniqueId id = create_unique_id(test_config(), 60).value_or_throw();
  each_rank(2, [&](Rank) {
    auto session = bootstrap(id, 1, 3, test_config());
    ASSERT_FALSE(session);
    EXPECT_THAT(session.error().to_string(), HasSubstr("two processes say that they are rank 1"));
  });
}

TEST(Bootstrap, ImpossibleRankOfAnId) {
  const UniqueId id = create_unique_id(test_config(), 60).value_or_throw();
  for (const auto& [rank, size] : {std::pair{2, 2}, {-1, 2}, {0, 0}, {0, -3}, {0, kMaxRanks + 1}})
    EXPECT_EQ(bootstrap(id, rank, size, test_config()).error().code(), Code::invalid_argument);
}

TEST(Bootstrap, GarbageOnTheRendezvousDoesNotDisturb) {
  const UniqueId id = create_unique_id(test_config(), 60).value_or_throw();
  const SocketAddress at = MeetingPlace::from_id(id).value_or_throw().address;
  std::mt19937 random(1);
  Fd silent = start_connect(at).value_or_throw();
  for (int i = 0; i < 50; ++i) throw_garbage(at, random);
  each_rank(3, [&](Rank rank) {
    auto session = bootstrap(id, rank, 3, test_config());
    ASSERT_TRUE(session) << session.error().to_string();
    EXPECT_TRUE(session->overlay->poll_failures());
    session->overlay->goodbye();
  });
}

TEST(Bootstrap, GarbageOnTheControlPortDoesNotDisturb) {
  std::mt19937 random(2);
  std::vector<Fd> listeners;
  std::vector<SocketAddress> addresses;
  for (int i = 0; i < 2; ++i) {
    listeners.push_back(listen_at(v4_loopback()).value_or_throw());
    addresses.push_back(SocketAddress::of_socket(listeners.back().get()).value_or_throw());
  }
  Fd silent = start_connect(addresses[0]).value_or_throw();
  for (int i = 0; i < 50; ++i) throw_garbage(addresses[static_cast<std::size_t>(i % 2)], random);
  const Secret secret = random_secret();
  each_rank(2, [&](Rank rank) {
    auto overlay = Overlay::connect({rank,
                                     2,
                                     secret,
                                     1,
                                     std::move(listeners[static_cast<std::size_t>(rank)]),
                                     {addresses[static_cast<std::size_t>(1 - rank)]},
                                     std::chrono::seconds(30)});
    ASSERT_TRUE(overlay) << overlay.error().to_string();
    (*overlay)->goodbye();
  });
}

// Whoever waits would do so for longer than any test may take.
class Stopped : public testing::Test {
 protected:
  ~Stopped() override {
    if (asks_.joinable()) asks_.join();
  }
  std::stop_token soon() {
    asks_ = std::thread([this] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      source_.request_stop();
    });
    return source_.get_token();
  }
  static void expect_stopped(const Error& error) {
    EXPECT_EQ(error.code(), Code::aborted) << error.to_string();
    EXPECT_THAT(error.to_string(), HasSubstr("given up"));
  }
  static constexpr auto kForever = "100000";

 private:
  std::stop_source source_;
  std::thread asks_;
};

TEST_F(Stopped, WhileTheOthersDoNotCome) {
  const UniqueId id = create_unique_id(test_config(kForever), 60).value_or_throw();
  expect_stopped(bootstrap(id, 1, 3, test_config(kForever), soon()).error());
}

TEST_F(Stopped, BeforeItBegan) {
  const UniqueId id = create_unique_id(test_config(kForever), 60).value_or_throw();
  std::stop_source source;
  source.request_stop();
  expect_stopped(bootstrap(id, 1, 3, test_config(kForever), source.get_token()).error());
}

TEST_F(Stopped, WhileNobodyServesTheRendezvous) {
  expect_stopped(bootstrap(plain(1, 2, loopback_at(free_port()), kForever), nothing(), soon()).error());
}

TEST_F(Stopped, WhileWhoServesTheRendezvousSaysNothing) {
  Fd listener = listen_at(v4_loopback()).value_or_throw();
  const auto address = SocketAddress::of_socket(listener.get()).value_or_throw();
  expect_stopped(bootstrap(plain(1, 2, address.to_string(), kForever), nothing(), soon()).error());
}

TEST_F(Stopped, WhileANeighbourDoesNotConnect) {
  Fd silent = listen_at(v4_loopback()).value_or_throw();
  const auto address = SocketAddress::of_socket(silent.get()).value_or_throw();
  auto overlay = Overlay::connect(
      {0, 2, random_secret(), 1, listen_at(v4_loopback()).value_or_throw(), {address}, std::chrono::hours(24), soon()});
  ASSERT_FALSE(overlay);
  expect_stopped(overlay.error());
}

TEST(Bootstrap, AStrangersServiceAtTheRendezvousIsRecognized) {
  Fd listener = listen_at(v4_loopback()).value_or_throw();
  const auto address = SocketAddress::of_socket(listener.get()).value_or_throw();
  std::thread stranger([&] {
    pollfd waiting{listener.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 30000), 1);
    auto guest = accept_next(listener.get()).value_or_throw();
    const std::string page(200, 'H');
    ASSERT_GT(send(guest.fd.get(), page.data(), page.size(), MSG_NOSIGNAL), 0);
    waiting = {guest.fd.get(), POLLIN, 0};
    std::array<char, 256> rest{};
    do {
      ASSERT_EQ(::poll(&waiting, 1, 30000), 1);
    } while (recv(guest.fd.get(), rest.data(), rest.size(), 0) > 0);
  });
  auto session = bootstrap(plain(1, 2, address.to_string()), nothing());
  stranger.join();
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code(), Code::unauthenticated);
}

TEST(Bootstrap, AStrangersServiceThatSaysNothingIsRecognized) {
  Fd listener = listen_at(v4_loopback()).value_or_throw();  // the system accepts what connects
  const std::string at = SocketAddress::of_socket(listener.get()).value_or_throw().to_string();
  auto session = bootstrap(plain(1, 2, at, "0.2"), nothing());
  ASSERT_FALSE(session);
  EXPECT_EQ(session.error().code(), Code::timeout);
  EXPECT_THAT(session.error().to_string(), HasSubstr("is the port used by another program?"));
  EXPECT_THAT(session.error().to_string(), Not(HasSubstr("registered")));
}

TEST(Bootstrap, RandomGreetingsNeverPass) {
  std::mt19937 random(4);
  const std::vector<std::byte> good = [] {
    Hello hello;
    hello.purpose = Purpose::registration;
    hello.rank = 1;
    hello.size = 3;
    hello.member = {"h", 5};
    hello.address.resize(kEncodedAddressSize);
    return hello.encode();
  }();
  ASSERT_TRUE(Hello::decode(good, Purpose::registration));
  for (std::size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(Hello::decode(ConstBytes(good).first(cut), Purpose::registration)) << cut;
  for (int round = 0; round < 5000; ++round) {
    auto bytes = good;
    bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    const auto hello = Hello::decode(bytes, Purpose::registration);
    if (!hello) continue;
    EXPECT_GE(hello->rank, 0);
    EXPECT_LT(hello->rank, hello->size);
    EXPECT_LE(hello->size, kMaxRanks);
  }
}

TEST(Split, PartsByColorOrderedByKey) {
  constexpr Rank kSize = 7;
  auto sessions = make_sessions(kSize);
  each_rank(kSize, [&](Rank rank) {
    Session& parent = sessions[static_cast<std::size_t>(rank)];
    const int color = rank == 6 ? -1 : rank % 3;
    auto part = split(parent, color, -rank, test_config());
    ASSERT_TRUE(part) << part.error().to_string();
    ASSERT_EQ(part->has_value(), color >= 0);
    if (color < 0) return;
    EXPECT_EQ((*part)->size, 2);
    EXPECT_EQ((*part)->rank, rank < 3 ? 1 : 0);
    const std::vector<std::byte> mine{static_cast<std::byte>(rank)};
    const auto all = (*part)->overlay->all_gather(mine).value_or_throw();
    EXPECT_EQ(all[1][0], static_cast<std::byte>(color));
    EXPECT_EQ(all[0][0], static_cast<std::byte>(color + 3));
    EXPECT_NE((*part)->secret, parent.secret);
    (*part)->overlay->goodbye();
  });
}

TEST(Split, OfOneRank) {
  auto session = bootstrap(Config::from_environment().value_or_throw(), nothing()).value_or_throw();
  auto part = split(session, 0, 0, test_config()).value_or_throw();
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(part->size, 1);
}

}  // namespace
}  // namespace tutti
