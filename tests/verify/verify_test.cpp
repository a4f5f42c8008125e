#include "verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "samples.h"
#include "schedule/passes.h"

namespace tutti {
namespace {

using samples::all_ranks;
using samples::from_text;
using testing::HasSubstr;

std::string refusal(const std::vector<Schedule>& ranks, const VerifyOptions& options = {}) {
  const auto proof = verify(ranks, options);
  return proof ? "accepted" : proof.error().to_string();
}

class Samples : public testing::TestWithParam<std::tuple<Rank, bool>> {
 protected:
  [[nodiscard]] Shape shape(Rank root = 0) const {
    return {.ranks = std::get<0>(GetParam()), .root = root, .in_place = std::get<1>(GetParam())};
  }
};
INSTANTIATE_TEST_SUITE_P(RanksAndPlaces, Samples, testing::Combine(testing::Values(1, 2, 3, 5, 8), testing::Bool()));

TEST_P(Samples, are_accepted) {
  EXPECT_EQ(refusal(all_ranks(samples::ring_all_reduce, shape())), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::direct_all_reduce, shape()), {.ordered = true}), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::ring_all_gather, shape())), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::linear_scan, shape()), {.ordered = true}), "accepted");
  EXPECT_EQ(refusal(all_ranks(samples::pairwise_all_to_all, shape())), "accepted");
  for (Rank root = 0; root < shape().ranks; ++root)
    EXPECT_EQ(refusal(all_ranks(samples::chain_broadcast, shape(root))), "accepted");
}

TEST_P(Samples, are_accepted_after_fusing) {
  const auto fused = [&](auto build) {
    auto ranks = all_ranks(build, shape());
    for (auto& s : ranks) s = fuse(s);
    return ranks;
  };
  EXPECT_EQ(refusal(fused(samples::ring_all_reduce)), "accepted");
  EXPECT_EQ(refusal(fused(samples::direct_all_reduce), {.ordered = true}), "accepted");
  EXPECT_EQ(refusal(fused(samples::linear_scan), {.ordered = true}), "accepted");
}

}  // namespace
}  // namespace tutti
