#include "bootstrap/unique_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/handshake.h"

namespace tutti {
namespace {

using testing::HasSubstr;

MeetingPlace some_place(std::string_view host = "10.1.2.3") {
  return {SocketAddress::parse(host, 4321).value_or_throw(), random_secret()};
}

TEST(UniqueId, TextRoundTrip) {
  for (const char* host : {"10.1.2.3", "fd00::7"}) {
    const MeetingPlace place = some_place(host);
    const UniqueId id = place.to_id();
    EXPECT_EQ(id.to_text().size(), 256u);
    const UniqueId again = UniqueId::from_text(" \n" + id.to_text() + "\r\n").value_or_throw();
    EXPECT_EQ(again, id);
    const MeetingPlace read = MeetingPlace::from_id(again).value_or_throw();
    EXPECT_EQ(read.address.to_string(), place.address.to_string());
    EXPECT_EQ(read.secret, place.secret);
  }
}

TEST(UniqueId, EveryFlippedBitIsNoticed) {
  const UniqueId id = some_place().to_id();
  for (std::size_t bit = 0; bit < 8 * UniqueId::kSize; ++bit) {
    UniqueId damaged = id;
    damaged.bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    EXPECT_FALSE(MeetingPlace::from_id(damaged)) << "bit " << bit;
  }
}

TEST(UniqueId, WrongTextsAreRefused) {
  const std::string good = some_place().to_id().to_text();
  EXPECT_THAT(UniqueId::from_text("").error().message(), HasSubstr("256"));
  EXPECT_THAT(UniqueId::from_text(good.substr(1)).error().message(), HasSubstr("255"));
  std::string bad = good;
  bad[100] = 'g';
  EXPECT_THAT(UniqueId::from_text(bad).error().message(), HasSubstr("unique id"));
  EXPECT_THAT(UniqueId::from_text(std::string(256, '0')).error().message(), HasSubstr("no unique id"));
}

TEST(UniqueId, RandomTextsNeverPass) {
  std::mt19937 random(11);
  constexpr std::string_view kDigits = "0123456789abcdefXYZ -";
  const std::string good = some_place().to_id().to_text();
  for (int round = 0; round < 2000; ++round) {
    std::string text = good;
    for (int edits = 1 + static_cast<int>(random() % 4); edits > 0; --edits) {
      const std::size_t at = random() % text.size();
      if (random() % 3 == 0)
        text.erase(at, 1);
      else
        text[at] = kDigits[random() % kDigits.size()];
    }
    auto id = UniqueId::from_text(text);
    EXPECT_EQ(static_cast<bool>(id), text == good || (id && id->to_text() == good)) << text;
  }
}

TEST(UniqueId, TwoAreNeverTheSame) {
  Config config = Config::from_environment().value_or_throw();
  config.set(Var::interface, "127.0.0.1").value_or_throw();
  const UniqueId a = create_unique_id(config, 60).value_or_throw();
  const UniqueId b = create_unique_id(config, 60).value_or_throw();
  EXPECT_NE(MeetingPlace::from_id(a).value_or_throw().secret, MeetingPlace::from_id(b).value_or_throw().secret);
  EXPECT_NE(job_of(a), job_of(b));
}

TEST(UniqueId, DiscardedOnesAreServedNoMore) {
  Config config = Config::from_environment().value_or_throw();
  config.set(Var::interface, "127.0.0.1").value_or_throw();
  const UniqueId id = create_unique_id(config, 60).value_or_throw();
  EXPECT_TRUE(discard(id));
  EXPECT_THAT(discard(id).error().message(), HasSubstr("meeting place"));
  EXPECT_EQ(discard({}).error().code(), Code::invalid_argument);
  EXPECT_TRUE(discard(unique_id_at("10.1.2.3:4321", config).value_or_throw()));
}

TEST(UniqueId, OfAFixedAddressIsTheSameEverywhere) {
  Config config = Config::from_environment().value_or_throw();
  for (const char* at : {"10.1.2.3:4321", "[fd00::7]:1", "a-node.cluster.example.org:65535"}) {
    const UniqueId id = unique_id_at(at, config).value_or_throw();
    EXPECT_EQ(unique_id_at(at, config).value_or_throw(), id);
    EXPECT_EQ(UniqueId::from_text(id.to_text()).value_or_throw(), id);
    const MeetingPlace place = MeetingPlace::from_id(id).value_or_throw();
    ASSERT_TRUE(place.home);
    EXPECT_EQ(to_string(*place.home), at);
    EXPECT_EQ(place.to_id(), id);
  }
  const UniqueId open = unique_id_at("10.1.2.3:4321", config).value_or_throw();
  config.set(Var::secret, "sesame").value_or_throw();
  EXPECT_NE(unique_id_at("10.1.2.3:4321", config).value_or_throw(), open);
}

TEST(UniqueId, OfNoAddressIsExplained) {
  const Config config = Config::from_environment().value_or_throw();
  EXPECT_THAT(unique_id_at("10.1.2.3", config).error().message(), HasSubstr("no colon"));
  EXPECT_THAT(unique_id_at("host:0", config).error().message(), HasSubstr("1 to 65535"));
  EXPECT_THAT(unique_id_at(std::string(100, 'h') + ":1", config).error().message(), HasSubstr("the host's address"));
}

TEST(UniqueId, AnImpossibleInterfaceIsExplained) {
  Config config = Config::from_environment().value_or_throw();
  config.set(Var::interface, "=nosuch0").value_or_throw();
  auto id = create_unique_id(config, 60);
  ASSERT_FALSE(id);
  EXPECT_THAT(id.error().to_string(), HasSubstr("nosuch0"));
}

}  // namespace
}  // namespace tutti
