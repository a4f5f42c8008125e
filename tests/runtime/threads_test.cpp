// Where the system gives this process no more threads.
#include <pthread.h>

#include <latch>

#include "tests/runtime/communicators.h"

namespace tutti {
namespace {

// While it lives, each new thread asks for a stack that no address space holds.
class NoThreadLeft {
 public:
  NoThreadLeft() {
    EXPECT_EQ(pthread_getattr_default_np(&before_), 0);
    pthread_attr_t huge;
    EXPECT_EQ(pthread_getattr_default_np(&huge), 0);
    EXPECT_EQ(pthread_attr_setstacksize(&huge, std::size_t{1} << 48), 0);
    EXPECT_EQ(pthread_setattr_default_np(&huge), 0);
    pthread_attr_destroy(&huge);
  }
  ~NoThreadLeft() {
    EXPECT_EQ(pthread_setattr_default_np(&before_), 0);
    pthread_attr_destroy(&before_);
  }
  NoThreadLeft(const NoThreadLeft&) = delete;
  NoThreadLeft& operator=(const NoThreadLeft&) = delete;

 private:
  pthread_attr_t before_;
};

TEST(NoThread, ForAnIdIsAnError) {
  {
    const NoThreadLeft none;
    fails(create_unique_id(30), Code::resource, {"thread", "EAGAIN"});
  }
  EXPECT_TRUE(create_unique_id(30));
}

TEST(NoThread, ForAnAsynchronousCallIsAnErrorOnEveryRank) {
  std::latch refused(1);
  run_ranks(2, [&](Communicator& comm) {
    works(comm);
    if (comm.rank() == 0) {
      const NoThreadLeft none;
      fails(comm.start({}), Code::resource, {"thread", "EAGAIN"});
      refused.count_down();
    }
    refused.wait();
    fails(comm.barrier(), Code::resource, {"thread"});
    fails(comm.split(0), Code::resource, {"failed before", "thread"});
  });
}

}  // namespace
}  // namespace tutti
