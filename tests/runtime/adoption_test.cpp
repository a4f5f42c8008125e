// Calls that end badly while a peer has their adopted buffers mapped.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <latch>

#include "core/fd.h"
#include "tests/runtime/communicators.h"
#include "tutti/memory.h"

namespace tutti {
namespace {

constexpr std::size_t kBytes = std::size_t{4} << 20;

std::span<std::byte> map_bytes() {
  auto* const data = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(data, MAP_FAILED);
  return {static_cast<std::byte*>(data), kBytes};
}

// Whoever reads the last quarter of these bytes waits from now on, until this goes: then it is zero.
class Stop {
 public:
  explicit Stop(std::span<std::byte> bytes)
      : faults_(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY))) {
    const auto part = bytes.last(bytes.size() / 4);
    range_ = {reinterpret_cast<std::uint64_t>(part.data()), part.size()};
    uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
    uffdio_register all{.range = range_, .mode = UFFDIO_REGISTER_MODE_MISSING, .ioctls = 0};
    works_ = faults_ && ioctl(faults_.get(), UFFDIO_API, &api) == 0 && madvise(part.data(), part.size(), MADV_DONTNEED) == 0 &&
             ioctl(faults_.get(), UFFDIO_REGISTER, &all) == 0;
  }
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;
  ~Stop() {
    if (works_) ioctl(faults_.get(), UFFDIO_UNREGISTER, &range_);
  }
  [[nodiscard]] bool works() const { return works_; }

 private:
  Fd faults_;
  uffdio_range range_{};
  bool works_ = false;
};

class Adoption : public testing::Test {
 protected:
  void SetUp() override { setenv("TUTTI_ADOPT", "eager", 1); }
  void TearDown() override { unsetenv("TUTTI_ADOPT"); }
};

// It had begun to write into the receiver's memory, and goes on when that has given up, and has filled its buffer anew.
TEST_F(Adoption, APeerThatStopsWhileItWritesReachesNothingLater) {
  const auto from = map_bytes(), into = map_bytes();
  std::ranges::fill(from, std::byte{1});
  std::optional<Stop> stop;
  std::latch over(1);
  bool can_stop = false;
  const auto adopted_before = adoption_report().adopted;
  run_ranks(2, Options{.transports = "shm"}, [&](Communicator& comm) {
    const bool sends = comm.rank() == 1;
    const auto call_of = [&](std::size_t bytes) {
      return sends ? Call{.collective = Collective::send_recv, .input = from.data(), .count = bytes, .destination = 0}
                   : Call{.collective = Collective::send_recv, .output = into.data(), .source = 1, .receive_count = bytes};
    };
    ok(comm.run(call_of(1)));  // connects
    if (sends) {
      // Its own pages are not for others to read.
      ok(mprotect(from.data(), kBytes, PROT_READ) == 0 ? Status{} : Status(Error(Code::resource, "mprotect")));
      stop.emplace(from);
      can_stop = stop->works();
    }
    ok(comm.barrier());
    if (!can_stop) return;
    if (sends) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));  // by then the receiver has most likely said where it wants it
      EXPECT_FALSE(comm.run(call_of(kBytes)));
      over.count_down();
      return;
    }
    Call call = call_of(kBytes);
    call.timeout_s = 1;
    fails(comm.run(call), Code::timeout, {"rank 1"});
    std::ranges::fill(into, std::byte{2});
    stop.reset();
    over.wait();
    EXPECT_EQ(std::ranges::count(into, std::byte{2}), static_cast<std::ptrdiff_t>(kBytes));
  });
  if (!can_stop) GTEST_SKIP() << "no userfaultfd";
  if (adoption_report().adopted == adopted_before) GTEST_SKIP() << "nothing is adopted here: " << to_string(adoption_report());
  munmap(from.data(), kBytes);
  munmap(into.data(), kBytes);
}

TEST_F(Adoption, CallsOfAGroupAdoptTheirBuffers) {
  const auto before = adoption_report();
  run_ranks(2, Options{.transports = "shm"}, [&](Communicator& comm) {
    const auto bytes = map_bytes();
    std::ranges::fill(bytes, std::byte{1});
    Group group;
    ok(group.add(comm, {.collective = Collective::all_reduce,
                        .input = bytes.data(),
                        .output = bytes.data(),
                        .count = kBytes,
                        .type = DataType::u8}));
    ok(group.run());
    EXPECT_EQ(std::ranges::count(bytes, std::byte{2}), static_cast<std::ptrdiff_t>(kBytes));
    ok(comm.barrier());  // as long as any rank uses them
    munmap(bytes.data(), kBytes);
  });
  const auto report = adoption_report();
  if (report.adopted == before.adopted) GTEST_SKIP() << "nothing is adopted here: " << to_string(report);
  EXPECT_EQ(report.adopted, before.adopted + 2);
}

}  // namespace
}  // namespace tutti
