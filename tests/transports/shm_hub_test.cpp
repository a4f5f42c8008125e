// What the listening side of shared memory makes of those who knock.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "transports/shm/hub.h"

namespace tutti::shm {
namespace {

// While it lives, this process can open no file.
class NoDescriptorLeft {
 public:
  NoDescriptorLeft() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit none{.rlim_cur = static_cast<rlim_t>(Fd(dup(0)).get()), .rlim_max = before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptorLeft() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }
  NoDescriptorLeft(const NoDescriptorLeft&) = delete;
  NoDescriptorLeft& operator=(const NoDescriptorLeft&) = delete;

 private:
  rlimit before_{};
};

TEST(ShmHub, AFullTableOfDescriptorsIsSaidAndPasses) {
  Hub hub({.secret = random_secret(), .interface = "", .shm_bytes = std::size_t{1} << 20});
  hub.open().value_or_throw();
  const Fd visitor = connect_to(hub.socket_name(), kNoRank).value_or_throw();
  const Key key{.me = 0, .peer = 1};
  // Looks at what came of it only afterwards: sanitizers need descriptors for their own checks.
  const auto accept_with_none_left = [&] {
    const NoDescriptorLeft full;
    return hub.accept(key);
  };
  const auto nobody = accept_with_none_left();
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code(), Code::resource);
  EXPECT_THAT(nobody.error().message(), testing::AllOf(testing::HasSubstr("EMFILE"), testing::HasSubstr("ulimit -n")));
  for (int look = 0; look < 2; ++look) {
    const auto not_yet = hub.accept(key);
    ASSERT_TRUE(not_yet) << not_yet.error().to_string();
    EXPECT_FALSE(*not_yet);                // it has not said who it is
    EXPECT_TRUE(accept_with_none_left());  // what is being heard may end by itself
  }
}

}  // namespace
}  // namespace tutti::shm
