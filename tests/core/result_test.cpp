#include "tutti/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <string>

namespace tutti {
namespace {

Result<int> inner() { return system_error(EADDRINUSE, "socket()", 3); }
Result<int> outer() {
  auto r = inner();
  if (!r) return r.because("connecting to rank 3");
  return *r + 1;
}

TEST(ErrorTest, ChainIsPrintedOutermostFirstAndKeepsCodeAndPeer) {
  auto r = outer();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().to_string(), "connecting to rank 3 <- socket(): Address already in use (EADDRINUSE)");
  EXPECT_EQ(r.error().message(), "connecting to rank 3");
  EXPECT_EQ(r.error().code(), Code::resource);
  EXPECT_EQ(r.error().peer(), 3);
  const Error further = r.because("rank 0 in all_reduce");
  EXPECT_EQ(further.to_string(), "rank 0 in all_reduce <- connecting to rank 3 <- socket(): Address already in use (EADDRINUSE)");
  EXPECT_EQ(further.peer(), 3);
}

TEST(ErrorTest, CloneIsTheWholeChainAndIndependent) {
  Error copy(Code::internal, "");
  {
    auto r = outer();
    copy = r.error().clone();
    EXPECT_EQ(copy.to_string(), r.error().to_string());
  }
  EXPECT_EQ(copy.to_string(), "connecting to rank 3 <- socket(): Address already in use (EADDRINUSE)");
  EXPECT_EQ(copy.code(), Code::resource);
  EXPECT_EQ(copy.peer(), 3);
}

TEST(ErrorTest, UnknownErrnoIsNoCrash) { EXPECT_NE(system_error(99999, "read").to_string().find("read: "), std::string::npos); }

// Sets a soft limit as long as it lives.
class SoftLimit {
 public:
  SoftLimit(__rlimit_resource which, rlim_t value) : which_(which) {
    getrlimit(which_, &before_);
    rlimit now = before_;
    now.rlim_cur = value;
    EXPECT_EQ(setrlimit(which_, &now), 0);
  }
  ~SoftLimit() { setrlimit(which_, &before_); }
  SoftLimit(const SoftLimit&) = delete;
  SoftLimit& operator=(const SoftLimit&) = delete;
  [[nodiscard]] rlim_t hard() const { return before_.rlim_max; }

 private:
  __rlimit_resource which_;
  rlimit before_{};
};

TEST(ErrorTest, TooManyFilesNamesTheLimitAndHowToRaiseIt) {
  using testing::HasSubstr;
  const SoftLimit files(RLIMIT_NOFILE, 100);
  const std::string text = system_error(EMFILE, "socket()").to_string();
  EXPECT_THAT(text, HasSubstr("socket(): Too many open files (EMFILE); the limit of this process is 100 open files (ulimit -n)"));
  EXPECT_THAT(text, HasSubstr("`ulimit -n " + std::to_string(files.hard()) + "`"));
}

TEST(ErrorTest, NoMemoryNamesTheLimitWhereThereIsOne) {
  rlimit space{};
  getrlimit(RLIMIT_AS, &space);
  if (space.rlim_cur == RLIM_INFINITY) {
    EXPECT_EQ(system_error(ENOMEM, "mmap").to_string(), "mmap: Cannot allocate memory (ENOMEM)");
  }
  const SoftLimit limited(RLIMIT_AS, std::min<rlim_t>(space.rlim_max, rlim_t{1} << 47));
  EXPECT_THAT(system_error(ENOMEM, "mmap").to_string(), testing::HasSubstr("KiB of address space (ulimit -v)"));
}

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
    EXPECT_STREQ(f.what(), "connecting to rank 3 <- socket(): Address already in use (EADDRINUSE)");
    EXPECT_EQ(f.code(), Code::resource);
    EXPECT_EQ(f.peer(), 3);
  }
  EXPECT_THROW(Status(Error(Code::timeout, "late")).value_or_throw(), Failure);
  EXPECT_NO_THROW(Status().value_or_throw());
}

}  // namespace
}  // namespace tutti
