#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tutti/transport.h"

namespace tutti {
namespace {

using testing::HasSubstr;
using testing::Not;

Signature sum_of(std::uint64_t count) {
  return {.count = count,
          .sequence = 5,
          .collective = static_cast<std::uint8_t>(Collective::all_reduce),
          .type = static_cast<std::uint8_t>(DataType::f32),
          .op = static_cast<std::uint8_t>(ReduceKind::sum)};
}

TEST(SignatureTest, TextShowsWhatTheCollectiveHas) {
  EXPECT_EQ(sum_of(1024).to_string(), "all_reduce #5 (count 1024, f32, sum)");
  Signature s = sum_of(7);
  s.collective = static_cast<std::uint8_t>(Collective::broadcast);
  s.root = 3;
  EXPECT_EQ(s.to_string(), "broadcast #5 (count 7, f32, root 3)");
  s.collective = static_cast<std::uint8_t>(Collective::reduce);
  EXPECT_EQ(s.to_string(), "reduce #5 (count 7, f32, sum, root 3)");
  s.collective = static_cast<std::uint8_t>(Collective::all_gather);
  EXPECT_EQ(s.to_string(), "all_gather #5 (count 7, f32)");
  s = sum_of(7);
  s.op = static_cast<std::uint8_t>(ReduceKind::user);
  s.element_bytes = 24;
  EXPECT_EQ(s.to_string(), "all_reduce #5 (count 7, elements of 24 bytes, user)");
}

// A signature comes from a peer: its numbers may be anything.
TEST(SignatureTest, NumbersOutOfRangeAreNoCrash) {
  for (const auto field : {&Signature::collective, &Signature::type, &Signature::op}) {
    Signature s = sum_of(1);
    s.*field = 255;
    EXPECT_EQ(s.to_string(), "an unknown call");
  }
}

TEST(MismatchTest, ShowsBothSidesAndWhatToDo) {
  const Error error = mismatch(sum_of(2), 8, sum_of(4), 16, 1);
  EXPECT_EQ(error.code(), Code::mismatch);
  EXPECT_EQ(error.peer(), 1);
  EXPECT_THAT(error.message(), HasSubstr("this rank is in all_reduce #5 (count 2, f32, sum) (message of 8 bytes)"));
  EXPECT_THAT(error.message(), HasSubstr("rank 1 is in all_reduce #5 (count 4, f32, sum) (message of 16 bytes)"));
  EXPECT_THAT(error.message(), HasSubstr("same calls in the same order"));
}

// What a small message has left behind is found by the next call.
TEST(MismatchTest, BlamesTheEarlierCallOfTwo) {
  Signature next = sum_of(2);
  ++next.sequence;
  EXPECT_THAT(mismatch(next, 8, sum_of(2), 8, 1).message(),
              HasSubstr("rank 1's call #5 has sent something that this rank's call #5"));
  EXPECT_THAT(mismatch(sum_of(2), 8, next, 8, 1).message(),
              HasSubstr("this rank's call #5 waits for something that rank 1's call #5"));
  EXPECT_THAT(mismatch(sum_of(2), 8, sum_of(4), 16, 1).message(), Not(HasSubstr("call #5")));
  next.collective = static_cast<std::uint8_t>(Collective::send_recv);
  EXPECT_THAT(mismatch(next, 8, sum_of(2), 8, 1).message(), Not(HasSubstr("call #5")));
}

TEST(MismatchTest, CallsThatLookAlikeDifferInTheirPlan) {
  Signature other = sum_of(2);
  other.plan = 9;
  EXPECT_THAT(mismatch(sum_of(2), 8, other, 8, 1).message(), HasSubstr("another algorithm"));
  EXPECT_THAT(mismatch(sum_of(2), 8, sum_of(2), 4, 1).message(), Not(HasSubstr("another algorithm")));
}

}  // namespace
}  // namespace tutti
