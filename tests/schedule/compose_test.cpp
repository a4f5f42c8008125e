// Schedules put together from smaller ones are as right as if they had been written in one piece.
#include <gtest/gtest.h>

#include "../verify/samples.h"
#include "verify/verify.h"

namespace tutti {
namespace {

std::string refusal(const std::vector<Schedule>& ranks) {
  const auto proof = verify(ranks);
  return proof ? "" : proof.error().to_string();
}

// Two groups of three reduce on their own, then pairs across the groups, each chunk by itself.
Schedule two_levels(Rank me, const Shape& shape) {
  constexpr Rank kGroup = 3;
  Builder b(Collective::all_reduce, "two levels", me, shape, kGroup);
  const Rank first = me / kGroup * kGroup, index = me % kGroup;
  const std::vector<Rank> group{first, first + 1, first + 2}, pair{index, index + kGroup};
  embed(b, samples::ring_all_reduce(index, {.ranks = kGroup}), group, {b.input(0, kGroup)}, {b.output(0, kGroup)});
  for (std::uint32_t c = 0; c < kGroup; ++c)
    embed(b, samples::direct_all_reduce(me / kGroup, {.ranks = 2}), pair, {b.output(c)}, {b.output(c)},
          static_cast<std::uint16_t>(1 + c));
  return std::move(b).finish();
}

TEST(Compose, embeds_groups_and_pairs) {
  for (const bool in_place : {false, true}) {
    const auto ranks = samples::all_ranks(two_levels, {.ranks = 6, .in_place = in_place});
    EXPECT_EQ(refusal(ranks), "");
    std::uint16_t channel = 0;
    for (const Step& step : ranks[4].steps) {
      if (step.kind != StepKind::send) continue;
      EXPECT_EQ(step.peer, step.channel == 0 ? 5 : 1);
      channel = std::max(channel, step.channel);
    }
    EXPECT_EQ(channel, 3);
  }
}

// The same ring run through the ranks backwards: each inner block has a place of its own.
Schedule backwards(Rank me, const Shape& shape) {
  Builder b(Collective::all_gather, "backwards", me, shape, 2);
  std::vector<Rank> members;
  Place blocks;
  for (Rank r = shape.ranks - 1; r >= 0; --r) {
    members.push_back(r);
    blocks.push_back(b.output(static_cast<std::uint32_t>(r) * 2, 2));
  }
  embed(b, samples::ring_all_gather(shape.ranks - 1 - me, {.ranks = shape.ranks}), members, {b.input(0, 2)}, blocks);
  return std::move(b).finish();
}

TEST(Compose, puts_blocks_into_places_of_their_own) {
  for (const Rank p : {1, 2, 5})
    for (const bool in_place : {false, true}) {
      const auto ranks = samples::all_ranks(backwards, {.ranks = p, .in_place = in_place});
      EXPECT_EQ(refusal(ranks), "");
      // Messages are cut at chunks, so that blocks may lie anywhere.
      for (const Step& step : ranks[0].steps)
        EXPECT_EQ(step.kind == StepKind::send ? step.from.count : step.to.count, p > 1 ? 1U : 2U);
    }
}

TEST(Compose, carries_the_size_of_scratch_over) {
  Builder b(Collective::all_reduce, "x", 0, {.ranks = 4}, 8);
  embed(b, samples::ring_all_reduce(0, {.ranks = 2}), std::vector<Rank>{0, 3}, {b.input(4, 2)}, {b.output(4, 2)});
  EXPECT_EQ(std::move(b).finish().scratch, ChunkList{5});
}

}  // namespace
}  // namespace tutti
