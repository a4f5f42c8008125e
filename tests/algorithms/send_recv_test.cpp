#include "algorithms/send_recv/send_recv.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "verify/verify.h"

namespace tutti {
namespace {

std::vector<Schedule> all_ranks(Rank p, const std::function<Rank(Rank)>& destination, const std::function<Rank(Rank)>& source) {
  std::vector<Schedule> ranks;
  for (Rank r = 0; r < p; ++r) ranks.push_back(send_recv_schedule(r, p, destination(r), source(r)));
  return ranks;
}

TEST(SendRecv, AShiftOfAnyDistanceIsOneRound) {
  for (Rank p = 1; p <= 16; ++p)
    for (Rank distance = 0; distance < p; ++distance) {
      const auto proof = verify(all_ranks(
          p, [&](Rank r) { return (r + distance) % p; }, [&](Rank r) { return (r + p - distance) % p; }));
      ASSERT_TRUE(proof) << proof.error().to_string();
      EXPECT_EQ(proof->rounds, distance == 0 ? 0U : 1U);  // to oneself it is a copy
      EXPECT_EQ(proof->messages, distance == 0 ? 0U : static_cast<std::size_t>(p));
    }
}

TEST(SendRecv, ALoneSendMeetsALoneReceive) {
  const auto proof = verify(all_ranks(
      4, [](Rank r) { return r == 1 ? 2 : kNoRank; }, [](Rank r) { return r == 2 ? 1 : kNoRank; }));
  ASSERT_TRUE(proof) << proof.error().to_string();
  EXPECT_EQ(proof->messages, 1U);
  EXPECT_EQ(proof->steps, 2U);
}

TEST(SendRecv, ASendNobodyReceivesIsRefused) {
  const auto proof = verify(all_ranks(
      3, [](Rank r) { return r == 0 ? 2 : kNoRank; }, [](Rank) { return kNoRank; }));
  ASSERT_FALSE(proof);
  EXPECT_EQ(proof.error().code(), Code::invalid_argument);
}

}  // namespace
}  // namespace tutti
