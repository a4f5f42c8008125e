#include "tutti/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace tutti {
namespace {

Result<int> inner() { return system_error(EMFILE, "socket()", 3); }
Result<int> outer() {
  auto r = inner();
  if (!r) return r.because("connecting to rank 3");
  return *r + 1;
}

TEST(ErrorTest, ChainIsPrintedOutermostFirstAndKeepsCodeAndPeer) {
  auto r = outer();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().to_string(), "connecting to rank 3 <- socket(): Too many open files (EMFILE)");
  EXPECT_EQ(r.error().message(), "connecting to rank 3");
  EXPECT_EQ(r.error().code(), Code::resource);
  EXPECT_EQ(r.error().peer(), 3);
  const Error further = r.because("rank 0 in all_reduce");
  EXPECT_EQ(further.to_string(), "rank 0 in all_reduce <- connecting to rank 3 <- socket(): Too many open files (EMFILE)");
  EXPECT_EQ(further.peer(), 3);
}

TEST(ErrorTest, CloneIsTheWholeChainAndIndependent) {
  Error copy(Code::internal, "");
  {
    auto r = outer();
    copy = r.error().clone();
    EXPECT_EQ(copy.to_string(), r.error().to_string());
    EXPECT_EQ(copy.where().line(), r.error().where().line());
  }
  EXPECT_EQ(copy.to_string(), "connecting to rank 3 <- socket(): Too many open files (EMFILE)");
  EXPECT_EQ(copy.code(), Code::resource);
  EXPECT_EQ(copy.peer(), 3);
}

TEST(ErrorTest, RemembersWhereItWasMade) {
  const Error error(Code::internal, "here");
  EXPECT_NE(std::string(error.where().file_name()).find("result_test.cpp"), std::string::npos);
  EXPECT_EQ(error.peer(), kNoRank);
}

TEST(ErrorTest, UnknownErrnoIsNoCrash) { EXPECT_NE(system_error(99999, "read").to_string().find("read: "), std::string::npos); }

TEST(CodeTest, EveryCodeHasItsOwnName) {
  std::set<std::string_view> names;
  for (int c = 0; c <= static_cast<int>(Code::internal); ++c) names.insert(name(static_cast<Code>(c)));
  EXPECT_EQ(names.size(), static_cast<std::size_t>(Code::internal) + 1);
  EXPECT_EQ(name(Code::internal), "internal");
  EXPECT_EQ(name(Code::peer_lost), "peer_lost");
}

TEST(ResultTest, ValuesMoveOutAndStatusIsTrueWithoutError) {
  Result<std::unique_ptr<int>> r = std::make_unique<int>(5);
  ASSERT_TRUE(r);
  EXPECT_EQ(**r, 5);
  const std::unique_ptr<int> taken = std::move(r).value_or_throw();
  EXPECT_EQ(*taken, 5);
  EXPECT_TRUE(Status());
  const Status copy_of_good;
  EXPECT_TRUE(copy_of_good);
}

TEST(ResultTest, ValueOrThrowThrowsTheChain) {
  try {
    outer().value_or_throw();
    FAIL() << "nothing was thrown";
  } catch (const Failure& f) {
    EXPECT_STREQ(f.what(), "connecting to rank 3 <- socket(): Too many open files (EMFILE)");
    EXPECT_EQ(f.code(), Code::resource);
    EXPECT_EQ(f.peer(), 3);
  }
  EXPECT_THROW(Status(Error(Code::timeout, "late")).value_or_throw(), Failure);
  EXPECT_NO_THROW(Status().value_or_throw());
}

}  // namespace
}  // namespace tutti
