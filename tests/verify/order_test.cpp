// In which order contributions meet, of schedules written out by hand.
#include <gtest/gtest.h>

#include <bit>

#include "catalog/catalog.h"
#include "samples.h"
#include "schedule/passes.h"
#include "verify/verify.h"

namespace tutti {
namespace {

using samples::all_ranks;

// All send to rank 0, which combines them in the given order, one after the other, or, where fused, in one step.
template <class Order>
ReductionOrder at_root(Rank ranks, bool fused, const Order& order) {
  auto schedules = all_ranks(
      [&](Rank me, const Shape& shape) {
        Builder b(Collective::reduce, "x", me, shape, 1);
        std::vector<Slice> parts(static_cast<std::size_t>(ranks), b.input(0));
        for (Rank r = 1; r < ranks && me == 0; ++r) b.recv(r, parts[static_cast<std::size_t>(r)] = b.scratch_like(b.input(0)));
        if (me == 0) b.copy(parts[static_cast<std::size_t>(order(0))], b.output(0));
        for (Rank i = 1; i < ranks && me == 0; ++i) b.reduce(parts[static_cast<std::size_t>(order(i))], b.output(0));
        if (me != 0) b.send(b.input(0), 0);
        return std::move(b).finish();
      },
      {.ranks = ranks});
  for (Schedule& s : schedules)
    if (fused) s = fuse(s);
  const auto proof = verify(schedules);
  EXPECT_TRUE(proof) << proof.error().to_string();
  return proof ? proof->order : ReductionOrder{};
}
Rank ascending(Rank i) { return i; }

TEST(Order, OneAfterTheOtherIsTheTreeOfThreeAtTheMost) {
  EXPECT_EQ(at_root(2, false, ascending), (ReductionOrder{.canonical = true, .at_once = true}));
  EXPECT_EQ(at_root(3, false, ascending), (ReductionOrder{.canonical = true, .at_once = false}));
  for (const Rank ranks : {4, 5, 8, 13})
    EXPECT_EQ(at_root(ranks, false, ascending), (ReductionOrder{.canonical = false, .at_once = false})) << ranks;
}

TEST(Order, OneStepCombinesInTheTree) {
  for (const Rank ranks : {2, 3, 4, 5, 8, 13, 64})
    EXPECT_EQ(at_root(ranks, true, ascending), (ReductionOrder{.canonical = true, .at_once = true})) << ranks;
}

TEST(Order, OtherPlacesInTheStepAreAnotherTree) {
  EXPECT_EQ(at_root(4, true, [](Rank i) { return i == 1   ? 2
                                                 : i == 2 ? 1
                                                          : i; }),
            (ReductionOrder{.canonical = false, .at_once = true}));
  EXPECT_TRUE(at_root(4, true, [](Rank i) { return i ^ 1; }).canonical) << "operands of a node on the other side";
  EXPECT_TRUE(at_root(4, true, [](Rank i) { return 3 - i; }).canonical) << "all of them";
  EXPECT_FALSE(at_root(3, true, [](Rank i) { return 2 - i; }).canonical) << "2 and 1 are no node of three";
}

// Towards rank 0, near ranks first or far ranks first.
ReductionOrder binomial(Rank ranks, bool near_first) {
  const auto proof = verify(all_ranks(
      [&](Rank me, const Shape& shape) {
        Builder b(Collective::reduce, "x", me, shape, 1);
        const Slice sum = me == 0 ? b.output(0) : b.scratch_like(b.input(0));
        b.copy(b.input(0), sum);
        const auto most = std::bit_ceil(static_cast<std::uint32_t>(ranks));
        for (std::uint32_t step = 1; step < most; step *= 2) {
          const auto distance = static_cast<Rank>(near_first ? step : most / 2 / step);
          const bool sends = near_first ? me % (2 * distance) == distance : me / distance == 1;
          if (sends) {
            b.send(sum, me - distance);
            break;
          }
          const bool receives = near_first ? me % (2 * distance) == 0 : me < distance;
          if (!receives || me + distance >= ranks) continue;
          const Slice arrival = b.scratch_like(b.input(0));
          b.recv(me + distance, arrival);
          b.reduce(arrival, sum);
        }
        return std::move(b).finish();
      },
      {.ranks = ranks}));
  EXPECT_TRUE(proof) << proof.error().to_string();
  return proof ? proof->order : ReductionOrder{};
}

TEST(Order, ABinomialTreeIsTheCanonicalOneWhereNearRanksMeetFirst) {
  for (const Rank ranks : {3, 4, 5, 6, 7, 8, 11, 16, 24}) {
    EXPECT_EQ(binomial(ranks, true), (ReductionOrder{.canonical = true, .at_once = false})) << ranks;
    EXPECT_FALSE(binomial(ranks, false).canonical) << ranks;
  }
}

TEST(Order, APrefixHasATreeOfItsOwn) {
  const auto proof = verify(all_ranks(samples::linear_scan, {.ranks = 3}));
  ASSERT_TRUE(proof);
  EXPECT_TRUE(proof->order.canonical);
  EXPECT_FALSE(verify(all_ranks(samples::linear_scan, {.ranks = 4}))->order.canonical) << "0 to 3, one after the other";
}

TEST(Order, WhatIsDeclaredWronglyIsRefused) {
  const auto refusal = [](const Algorithm& row, Rank ranks) {
    const auto summary = verify_algorithm(row, ranks);
    return summary ? "accepted" : summary.error().to_string();
  };
  Algorithm ring = *find_algorithm(Collective::all_reduce, "ring");
  ring.canonical = +[](const Shape&, const Chunking&) { return true; };
  EXPECT_NE(refusal(ring, 4).find("declared to meet in the canonical tree"), std::string::npos);
  Algorithm doubling = *find_algorithm(Collective::all_reduce, "recursive_doubling");
  EXPECT_EQ(refusal(doubling, 6), "accepted");
  doubling.meets_at_once = true;
  EXPECT_NE(refusal(doubling, 6).find("declared to meet in one step"), std::string::npos);
}

}  // namespace
}  // namespace tutti
