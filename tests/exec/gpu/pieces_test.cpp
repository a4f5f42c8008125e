// How calls are cut.
#include "gpu/pieces.h"

#include <gtest/gtest.h>

#include "tests/exec/gpu/cases.h"

namespace tutti::gpu {
namespace {

TEST(Pieces, CoverTheCallInPartsOfAtMostSoManyBytes) {
  for (const Collective collective : {Collective::all_reduce, Collective::all_gather, Collective::all_to_all})
    for (const Rank ranks : {1, 3, 8})
      for (const std::size_t size : {1, 2, 4, 8, 16})
        for (const std::uint64_t count : {1, 15, 64, 1000, 4096, 100'003}) {
          const Cut c = cut(collective, count, ranks, size, 4096);
          const std::uint64_t blocks = collective == Collective::all_reduce ? 1 : static_cast<std::uint64_t>(ranks);
          EXPECT_EQ((c.pieces - 1) * c.per_piece + c.rest(), count);
          EXPECT_GT(c.rest(), 0U);
          EXPECT_LE(c.rest(), c.per_piece);
          EXPECT_LE(c.per_piece * size * blocks, 4096U);
          EXPECT_TRUE(c.pieces == 1 || c.per_piece * size % 64 == 0);
        }
}

TEST(Pieces, OfBlocksHaveAtLeast64Bytes) {
  const Cut c = cut(Collective::all_gather, 100, 1000, 4, 4096);
  EXPECT_EQ(c.per_piece, 16U);
  EXPECT_EQ(c.pieces, 7U);
  EXPECT_EQ(c.rest(), 4U);
}

TEST(Pieces, OfNothingAreNoneButForABarrier) {
  EXPECT_EQ(cut(Collective::all_reduce, 0, 4, 4, kPieceBytes).pieces, 0U);
  EXPECT_EQ(cut(Collective::barrier, 0, 4, 1, kPieceBytes).pieces, 1U);
}

TEST(Pieces, AreSmallerWhereManySendToOne) {
  Case c;
  c.row = find_algorithm(Collective::all_reduce, "direct");
  c.ranks = 8;
  auto direct = cut(c.call(50'000'000));
  ASSERT_TRUE(direct);
  EXPECT_EQ(direct->per_piece * 4, std::uint64_t{1} << 20);
  c.row = find_algorithm(Collective::all_reduce, "two_shot");
  auto two_shot = cut(c.call(50'000'000));
  ASSERT_TRUE(two_shot);
  EXPECT_EQ(two_shot->per_piece * 4, kPieceBytes);
}

TEST(Pieces, InboxesHaveFewSizes) {
  EXPECT_EQ(inbox_bytes(0), kSmallestInbox);
  EXPECT_EQ(inbox_bytes(kSmallestInbox), kSmallestInbox);
  EXPECT_EQ(inbox_bytes(kSmallestInbox + 1), 4 * kSmallestInbox);
  EXPECT_EQ(inbox_bytes(std::uint64_t{3} << 20), std::uint64_t{4} << 20);
}

}  // namespace
}  // namespace tutti::gpu
