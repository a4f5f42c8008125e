// Page adoption: what is adopted and what is not, and that the program cannot tell it from memory of its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <thread>

#include "core/file.h"
#include "transports/shm/address_space.h"
#include "transports/shm/adopted.h"

namespace tutti::shm {
namespace {

constexpr std::size_t kPages = 64;
constexpr std::size_t kBytes = kPages * kPage;
constexpr AdoptionLimits kAtOnce{.uses = 1};

// Memory of the program, mapped by itself; not beside other memory of its kind, with which the kernel would join it.
class Own {
 public:
  explicit Own(std::size_t size = kBytes, int flags = MAP_PRIVATE | MAP_ANONYMOUS) : size_(size) {
    auto* all = static_cast<std::byte*>(mmap(nullptr, size + 2 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    guard_ = all;
    data_ = static_cast<std::byte*>(mmap(all + kPage, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0));
    EXPECT_NE(static_cast<void*>(data_), MAP_FAILED);
  }
  Own(const Own&) = delete;
  Own& operator=(const Own&) = delete;
  ~Own() { munmap(guard_, size_ + 2 * kPage); }
  [[nodiscard]] Bytes bytes() const { return {data_, size_}; }
  [[nodiscard]] std::span<std::uint32_t> words() const { return {reinterpret_cast<std::uint32_t*>(data_), size_ / 4}; }
  void fill(std::uint32_t first) const { std::iota(words().begin(), words().end(), first); }
  [[nodiscard]] bool holds(std::uint32_t first) const {
    return std::ranges::all_of(words(), [first](std::uint32_t word) mutable { return word == first++; });
  }

 private:
  std::byte* guard_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Whether a call with these bytes has pages that peers may map; it ends at once.
bool adopted(ConstBytes bytes, const AdoptionLimits& limits = kAtOnce) {
  const auto lease = Adopted::of_process().enter(bytes, limits);
  Adopted::of_process().leave(lease);
  return lease != 0;
}

bool is_shared(ConstBytes bytes) { return areas(bytes).value_or_throw().front().shared; }

std::size_t descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Ends a child at once: sanitizers have things to say when one calls _exit().
[[noreturn]] void end_child(int status) {
  syscall(SYS_exit_group, status);
  std::abort();
}

// The exit status of a child, or minus the signal that has ended it.
int exit_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class AdoptedTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto query = AreaQuery::open(); !query) GTEST_SKIP() << query.error().to_string();
  }
  void TearDown() override {
    adopted_.give_back();
    EXPECT_EQ(adopted_.report().bytes_now, 0U);
  }
  // Where they lie, if they do altogether.
  [[nodiscard]] std::optional<Location> find(ConstBytes bytes) const {
    const auto part = adopted_.find_part(bytes);
    return part && part->head == 0 && part->tail == 0 ? std::optional(part->location) : std::nullopt;
  }
  // Adds up how often this reason has been given.
  [[nodiscard]] std::uint64_t refused(std::string_view reason) const {
    std::uint64_t sum = 0;
    for (const auto& [text, times] : adopted_.report().refused)
      if (text.find(reason) != std::string::npos) sum += times;
    return sum;
  }
  void expect_refused(ConstBytes bytes, std::string_view reason, const AdoptionLimits& limits = kAtOnce) {
    const auto before = refused(reason);
    EXPECT_FALSE(adopted(bytes, limits)) << reason;
    EXPECT_EQ(refused(reason), before + 1) << reason << testing::PrintToString(adopted_.report().refused);
  }
  Adopted& adopted_ = Adopted::of_process();
};

TEST_F(AdoptedTest, WholePagesAreSharedWithTheirContents) {
  const Own own;
  own.fill(7);
  const Bytes inside = own.bytes().subspan(100, kBytes - 200);
  const auto lease = adopted_.enter(inside, kAtOnce);
  ASSERT_NE(lease, 0U);
  EXPECT_TRUE(own.holds(7));
  EXPECT_FALSE(is_shared(own.bytes().first(1)));
  EXPECT_TRUE(is_shared(own.bytes().subspan(kPage, 1)));
  const auto found = find(own.bytes().subspan(3 * kPage + 5, 1000));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->segment, lease);
  EXPECT_EQ(found->offset, 2 * kPage + 5);
  EXPECT_FALSE(find(own.bytes().first(kPage + 1)));
  EXPECT_FALSE(find(own.bytes().last(kPage + 1)));
  // As a peer sees it.
  auto peer = Mapping::of(found->fd, kBytes, PROT_READ | PROT_WRITE).value_or_throw();
  own.words()[3 * kPage / 4] = 4711;
  EXPECT_EQ(*reinterpret_cast<std::uint32_t*>(peer.data() + 2 * kPage), 4711U);
  *reinterpret_cast<std::uint32_t*>(peer.data() + 2 * kPage) = 12;
  EXPECT_EQ(own.words()[3 * kPage / 4], 12U);
  adopted_.leave(lease);
}

TEST_F(AdoptedTest, OnlyCallsShowTheirPages) {
  const Own own;
  ASSERT_TRUE(adopted(own.bytes()));
  EXPECT_FALSE(find(own.bytes()));
  const auto one = adopted_.enter(own.bytes(), kAtOnce), other = adopted_.enter(own.bytes().subspan(kPage, 32 * kPage), kAtOnce);
  EXPECT_EQ(one, other);
  adopted_.leave(one);
  EXPECT_TRUE(find(own.bytes()));
  adopted_.leave(other);
  EXPECT_FALSE(find(own.bytes()));
}

TEST_F(AdoptedTest, BuffersThatComeOftenAreAdopted) {
  const Own often, seldom;
  const AdoptionLimits third{.uses = 3};
  EXPECT_FALSE(adopted(often.bytes(), third));
  EXPECT_FALSE(adopted(seldom.bytes(), third));
  EXPECT_FALSE(adopted(often.bytes(), third));
  EXPECT_TRUE(adopted(often.bytes(), third));
  EXPECT_FALSE(adopted(seldom.bytes(), third));
}

TEST_F(AdoptedTest, SmallBuffersAreNot) {
  const Own own;
  EXPECT_FALSE(adopted(own.bytes().first(8 * kPage - 1)));
  EXPECT_FALSE(adopted(own.bytes().subspan(1, 8 * kPage)));
  EXPECT_FALSE(adopted({}));
}

TEST_F(AdoptedTest, NoMoreThanIsAllowed) {
  const Own one, other;
  const AdoptionLimits little{.uses = 1, .bytes = kBytes + kPage};
  EXPECT_TRUE(adopted(one.bytes(), little));
  expect_refused(other.bytes(), "so much may not", little);
}

TEST_F(AdoptedTest, TheLatestOfOverlappingBuffersIsAdopted) {
  const Own own;
  own.fill(20);
  ASSERT_TRUE(adopted(own.bytes().first(32 * kPage)));
  EXPECT_TRUE(adopted(own.bytes().first(16 * kPage)));
  EXPECT_TRUE(adopted(own.bytes().last(48 * kPage)));
  EXPECT_FALSE(is_shared(own.bytes().first(kPage)));
  EXPECT_TRUE(own.holds(20));
  const auto lease = adopted_.enter(own.bytes().last(48 * kPage), kAtOnce);
  expect_refused(own.bytes(), "overlaps with the buffer of another call");
  adopted_.leave(lease);
  EXPECT_TRUE(adopted(own.bytes()));
  EXPECT_TRUE(own.holds(20));
}

// ---- Memory that is more than bytes

TEST_F(AdoptedTest, LockedMemoryIsRefused) {
  const Own own;
  ASSERT_EQ(mlock(own.bytes().data(), kPage), 0);
  const auto flags = area_flags(own.bytes()).value_or_throw();
  if (std::ranges::find(flags, "lo") == flags.end()) GTEST_SKIP() << "a sanitizer's mlock does nothing";
  expect_refused(own.bytes(), "locked");
}

TEST_F(AdoptedTest, SharedMemoryIsRefused) {
  const Own own(kBytes, MAP_SHARED | MAP_ANONYMOUS);
  expect_refused(own.bytes(), "it is shared");
}

TEST_F(AdoptedTest, FilesAreRefused) {
  const Own own;
  const Fd fd(memfd_create("file", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(fd.get(), kBytes), 0);
  ASSERT_NE(mmap(own.bytes().data(), kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd.get(), 0), MAP_FAILED);
  expect_refused(own.bytes(), "of a file");
}

// A file of a driver's name, which a process has mapped, stands for the driver.
TEST_F(AdoptedTest, NothingIsAdoptedBesideAGpu) {
  const std::string device = "/dev/nvidia-of-tutti-" + std::to_string(getpid());
  const Fd file(open(device.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) GTEST_SKIP() << "no file can be made in /dev";
  const Own own, later;
  EXPECT_EQ(ftruncate(file.get(), kPage), 0);
  void* const driver = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file.get(), 0);
  unlink(device.c_str());
  ASSERT_NE(driver, MAP_FAILED);
  expect_refused(own.bytes(), "a GPU may hold on");
  munmap(driver, kPage);
  EXPECT_TRUE(adopted(later.bytes()));
}

TEST_F(AdoptedTest, ProtectedMemoryIsRefused) {
  const Own own;
  ASSERT_EQ(mprotect(own.bytes().data() + 10 * kPage, kPage, PROT_READ), 0);
  expect_refused(own.bytes(), "protected");
}

TEST_F(AdoptedTest, GapsAreRefused) {
  const Own own;
  ASSERT_EQ(munmap(own.bytes().data() + 10 * kPage, kPage), 0);
  expect_refused(own.bytes(), "gaps");
  ASSERT_NE(mmap(own.bytes().data() + 10 * kPage, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), MAP_FAILED);
}

TEST_F(AdoptedTest, StacksAreRefused) {
  std::array<std::byte, kBytes> here{};
  expect_refused(here, "a stack");
  std::thread([this] {
    std::array<std::byte, kBytes> there{};
    expect_refused(there, "a stack");
  }).join();
}

TEST_F(AdoptedTest, WhatMadviseHasSaidIsKept) {
  const Own own;
  ASSERT_EQ(madvise(own.bytes().data(), kBytes, MADV_DONTDUMP), 0);
  expect_refused(own.bytes(), "smaps: dd");
  const Own wiped;
  ASSERT_EQ(madvise(wiped.bytes().data(), kBytes, MADV_WIPEONFORK), 0);
  expect_refused(wiped.bytes(), "smaps: wf");
  const Own huge;
  ASSERT_EQ(madvise(huge.bytes().data(), kBytes, MADV_HUGEPAGE), 0);
  ASSERT_TRUE(adopted(huge.bytes()));
  EXPECT_THAT(area_flags(huge.bytes()).value_or_throw(), testing::Contains("hg"));
  adopted_.give_back();
  EXPECT_THAT(area_flags(huge.bytes()).value_or_throw(), testing::Contains("hg"));
}

TEST_F(AdoptedTest, FaultsOfTheProgramAreRefused) {
  const Own own;
  const Fd faults(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  if (!faults) GTEST_SKIP() << "no userfaultfd";
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  ASSERT_EQ(ioctl(faults.get(), UFFDIO_API, &api), 0);
  uffdio_register range{};
  range.range = {reinterpret_cast<std::uint64_t>(own.bytes().data()), kBytes};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  ASSERT_EQ(ioctl(faults.get(), UFFDIO_REGISTER, &range), 0);
  expect_refused(own.bytes(), "faults are handled");
}

TEST_F(AdoptedTest, NumaPoliciesAreRefused) {
  const Own own;
  const unsigned long nodes = 1;
  constexpr int kBind = 2;
  if (syscall(SYS_mbind, own.bytes().data(), kBytes, kBind, &nodes, 64, 0) != 0) GTEST_SKIP() << "no NUMA policies";
  expect_refused(own.bytes(), "NUMA");
}

// ---- What the program does with it later

TEST_F(AdoptedTest, FreedMemoryIsNoticed) {
  const Own own;
  own.fill(1);
  ASSERT_TRUE(adopted(own.bytes()));
  const auto lost = adopted_.report().lost;
  ASSERT_NE(mmap(own.bytes().data(), kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), MAP_FAILED);
  own.fill(2);
  const AdoptionLimits never{.uses = 1000};
  EXPECT_EQ(adopted_.enter(own.bytes(), never), 0U);
  EXPECT_EQ(adopted_.report().lost, lost + 1);
  EXPECT_EQ(adopted_.report().bytes_now, 0U);
  EXPECT_TRUE(own.holds(2));
}

TEST_F(AdoptedTest, PartsThatTheProgramHasReplacedAreNoticed) {
  const Own own;
  own.fill(1);
  ASSERT_TRUE(adopted(own.bytes()));
  const Bytes part = own.bytes().subspan(20 * kPage, kPage);
  ASSERT_NE(mmap(part.data(), kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), MAP_FAILED);
  const AdoptionLimits never{.uses = 1000};
  EXPECT_EQ(adopted_.enter(own.bytes(), never), 0U);
  EXPECT_FALSE(is_shared(own.bytes()));  // what was left of it is private again
  EXPECT_EQ(own.words()[0], 1U);
  EXPECT_EQ(own.words()[20 * kPage / 4], 0U);
  EXPECT_EQ(own.words()[21 * kPage / 4], 1 + 21 * kPage / 4);
}

TEST_F(AdoptedTest, MovedMemoryKeepsItsContentsAndBecomesPrivate) {
  const Own own, place;
  own.fill(3);
  ASSERT_TRUE(adopted(own.bytes()));
  ASSERT_NE(mremap(own.bytes().data(), kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, place.bytes().data()), MAP_FAILED);
  ASSERT_NE(mmap(own.bytes().data(), kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            MAP_FAILED);  // as `own` unmaps it
  EXPECT_TRUE(place.holds(3));
  adopted_.give_back();
  EXPECT_TRUE(place.holds(3));
  EXPECT_FALSE(is_shared(place.bytes()));
}

// Adopted altogether, in part, and no longer.
TEST_F(AdoptedTest, MemoryGrowsAsBefore) {
  for (const std::size_t offset : {std::size_t{0}, kPage})
    for (const bool given_back : {false, true}) {
      auto* data = static_cast<std::byte*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
      ASSERT_NE(static_cast<void*>(data), MAP_FAILED);
      std::fill_n(data, kBytes, std::byte{3});
      ASSERT_TRUE(adopted(Bytes(data, kBytes).subspan(offset)));
      if (given_back) adopted_.give_back();
      EXPECT_EQ(mremap(data, kBytes, 2 * kBytes, 0), MAP_FAILED);
      void* const grown = mremap(data, kBytes, 2 * kBytes, MREMAP_MAYMOVE);
      ASSERT_NE(grown, MAP_FAILED);
      const Bytes bytes(static_cast<std::byte*>(grown), 2 * kBytes);
      EXPECT_TRUE(std::ranges::all_of(bytes.first(kBytes), [](std::byte byte) { return byte == std::byte{3}; }));
      EXPECT_TRUE(std::ranges::all_of(bytes.last(kBytes), [](std::byte byte) { return byte == std::byte{0}; }));
      std::ranges::fill(bytes, std::byte{4});
      munmap(grown, 2 * kBytes);
    }
}

TEST_F(AdoptedTest, ProtectedPagesStayProtected) {
  const Own own;
  own.fill(4);
  ASSERT_TRUE(adopted(own.bytes()));
  ASSERT_EQ(mprotect(own.bytes().data(), kPage, PROT_NONE), 0);
  ASSERT_EQ(mprotect(own.bytes().data() + kPage, kPage, PROT_READ), 0);
  adopted_.give_back();
  const auto found = areas(own.bytes()).value_or_throw();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_FALSE(found[0].readable || found[0].shared);
  EXPECT_TRUE(found[1].readable && !found[1].writable && !found[1].shared);
  ASSERT_EQ(mprotect(own.bytes().data(), kBytes, PROT_READ | PROT_WRITE), 0);
  EXPECT_TRUE(own.holds(4));
}

TEST_F(AdoptedTest, PagesThatTheProgramEmptiesAreEmpty) {
  for (const int advice : {MADV_DONTNEED, MADV_FREE}) {
    const Own own;
    own.fill(5);
    ASSERT_TRUE(adopted(own.bytes()));
    ASSERT_EQ(madvise(own.bytes().data() + kPage, kPage, advice), 0);
    const auto* word = reinterpret_cast<const volatile std::uint32_t*>(own.bytes().data() + kPage);
    EXPECT_EQ(*word, 0U);
    EXPECT_EQ(own.words()[0], 5U);
    EXPECT_EQ(own.words()[2 * kPage / 4], 5 + 2 * kPage / 4);
    adopted_.give_back();
    EXPECT_EQ(own.words()[0], 5U);
    EXPECT_EQ(*word, 0U);
    own.fill(6);
    ASSERT_EQ(madvise(own.bytes().data() + kPage, kPage, advice), 0);
    EXPECT_EQ(*word, 0U);
    EXPECT_EQ(own.words()[2 * kPage / 4], 6 + 2 * kPage / 4);
  }
}

TEST_F(AdoptedTest, PagesBehindReplacedOnesAreEmptiedToo) {
  const Own own;
  own.fill(5);
  ASSERT_TRUE(adopted(own.bytes()));
  ASSERT_NE(mmap(own.bytes().data() + kPage, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            MAP_FAILED);
  ASSERT_EQ(madvise(own.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_TRUE(std::ranges::all_of(own.words(), [](std::uint32_t word) { return word == 0; }));
}

TEST_F(AdoptedTest, MallocGoesOnWithIt) {
  constexpr std::size_t kWords = kBytes / 4;
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  using Words = std::unique_ptr<std::uint32_t, Free>;
  const auto words_of = [](const Words& words) { return std::span(words.get(), kWords); };
  for (int round = 0; round < 3; ++round) {
    Words words(static_cast<std::uint32_t*>(std::malloc(kBytes)));
    std::iota(words.get(), words.get() + kWords, 6U);
    EXPECT_TRUE(adopted(std::as_bytes(words_of(words))));
    words.reset(static_cast<std::uint32_t*>(std::realloc(words.release(), 2 * kBytes)));
    std::uint32_t next = 6;
    EXPECT_TRUE(std::ranges::all_of(words_of(words), [&](std::uint32_t word) { return word == next++; }));
    words.reset();
    words.reset(static_cast<std::uint32_t*>(std::calloc(kWords, 4)));
    EXPECT_TRUE(std::ranges::all_of(words_of(words), [](std::uint32_t word) { return word == 0; }));
  }
}

// ---- Other processes, and threads

TEST_F(AdoptedTest, ForkCopies) {
  const Own own;
  own.fill(8);
  ASSERT_TRUE(adopted(own.bytes()));
  int written[2];
  ASSERT_EQ(pipe(written), 0);
  const pid_t child = fork();
  if (child == 0) {
    char go = 0;
    const bool right = read(written[0], &go, 1) == 1 && own.holds(8);
    own.fill(80);
    end_child(right && adopted_.report().bytes_now == 0 ? 0 : 1);
  }
  EXPECT_FALSE(is_shared(own.bytes()));
  own.fill(9);
  ASSERT_EQ(write(written[1], "x", 1), 1);
  EXPECT_EQ(exit_of(child), 0);
  EXPECT_TRUE(own.holds(9));
  EXPECT_TRUE(adopted(own.bytes()));
  for (const int end : written) close(end);
}

// The child adopts memory of its own.
TEST_F(AdoptedTest, ChildrenAdoptForThemselves) {
  const Own own;
  own.fill(1);
  ASSERT_TRUE(adopted(own.bytes()));
  const pid_t child = fork();
  if (child == 0) {
    const bool good = adopted(own.bytes()) && own.holds(1);
    own.fill(2);
    end_child(good && adopted(own.bytes()) && own.holds(2) ? 0 : 1);
  }
  EXPECT_EQ(exit_of(child), 0);
  EXPECT_TRUE(own.holds(1));
}

TEST_F(AdoptedTest, ForkWaitsForTheCallsOfOthers) {
  const Own own;
  own.fill(1);
  std::atomic<bool> entered{false}, left{false};
  std::thread call([&] {
    const auto lease = adopted_.enter(own.bytes(), kAtOnce);
    entered = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    own.words()[0] = 100;  // as a peer does
    left = true;
    adopted_.leave(lease);
  });
  while (!entered) std::this_thread::yield();
  const pid_t child = fork();
  if (child == 0) end_child(left && own.words()[0] == 100 ? 0 : 1);
  call.join();
  EXPECT_EQ(exit_of(child), 0);
}

// Such a call looks its buffers up among the memory that tutti::allocate has handed out, too.
TEST_F(AdoptedTest, CallsThatForkWaitsForCanEnd) {
  const Own own;
  Segments& segments = Segments::of_process();
  std::atomic<bool> entered{false};
  std::thread call([&] {
    const auto lease = adopted_.enter(own.bytes(), kAtOnce);
    entered = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    segments.free(segments.allocate(kBytes).value_or_throw());
    adopted_.leave(lease);
  });
  while (!entered) std::this_thread::yield();
  alarm(30);  // half of what it would wait
  const pid_t child = fork();
  if (child == 0) end_child(0);
  alarm(0);
  call.join();
  EXPECT_EQ(exit_of(child), 0);
}

TEST_F(AdoptedTest, ForkWithinACallWaitsForNobody) {
  const Own own;
  const auto lease = adopted_.enter(own.bytes(), kAtOnce);
  ASSERT_NE(lease, 0U);
  alarm(30);  // half of what it would wait
  const pid_t child = fork();
  if (child == 0) end_child(0);
  alarm(0);
  EXPECT_EQ(exit_of(child), 0);
  adopted_.leave(lease);
}

// A child that is made without fork()'s knowledge must not write into its parent's memory.
TEST_F(AdoptedTest, OtherWaysToForkShareNothing) {
  const Own own;
  own.fill(10);
  ASSERT_TRUE(adopted(own.bytes()));
  const pid_t child = _Fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    own.words()[0] = 11;
    end_child(0);
  }
  EXPECT_EQ(exit_of(child), -SIGSEGV);
  EXPECT_TRUE(own.holds(10));
}

TEST_F(AdoptedTest, OtherProgramsAreStartedAsBefore) {
  const Own own;
  own.fill(11);
  ASSERT_TRUE(adopted(own.bytes()));
  pid_t child = 0;
  std::array<char, 5> name{"true"};
  std::array<char*, 2> arguments{name.data(), nullptr};
  ASSERT_EQ(posix_spawnp(&child, "true", nullptr, nullptr, arguments.data(), environ), 0);
  EXPECT_EQ(exit_of(child), 0);
  EXPECT_TRUE(own.holds(11) && is_shared(own.bytes()));
  // NOLINTBEGIN: vfork() it is
  const pid_t other = vfork();
  if (other == 0) _exit(own.words()[0] == 11 ? 0 : 1);
  // NOLINTEND
  EXPECT_EQ(exit_of(other), 0);
  EXPECT_TRUE(own.holds(11));
}

TEST_F(AdoptedTest, WhoReadsMeanwhileSeesNoChange) {
  const Own own(16 * kBytes);
  own.fill(12);
  std::atomic<bool> over{false}, right{true};
  std::thread reader([&] {
    while (!over) right = right && own.holds(12);
  });
  for (int round = 0; round < 50; ++round) {
    EXPECT_TRUE(adopted(own.bytes()));
    adopted_.give_back();
  }
  over = true;
  reader.join();
  EXPECT_TRUE(right);
}

// Memory that no call has is the program's to write to, also while it becomes private.
TEST_F(AdoptedTest, WhoWritesMeanwhileLosesNothing) {
  const Own own(16 * kBytes);
  own.fill(0);
  std::uint32_t first = 0;
  bool right = true;
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(adopted(own.bytes()));
    std::atomic<std::uint32_t> passes{0};
    std::atomic<bool> over{false};
    std::thread writer([&] {
      for (; !over || passes == 0; ++passes) {
        for (std::uint32_t& word : own.words())
          right = right && word++ == static_cast<std::uint32_t>(&word - own.words().data()) + first;
        ++first;
      }
    });
    while (passes == 0) std::this_thread::yield();
    adopted_.give_back();
    over = true;
    writer.join();
    ASSERT_TRUE(right && own.holds(first)) << round;
  }
}

TEST_F(AdoptedTest, NothingIsLeftBehind) {
  const std::size_t before = descriptors();
  {
    const Own one, other;
    ASSERT_TRUE(adopted(one.bytes()) && adopted(other.bytes()));
    EXPECT_EQ(adopted_.report().bytes_now, 2 * kBytes);
    EXPECT_GE(descriptors(), before + 2);
    adopted_.give_back();
    EXPECT_FALSE(is_shared(one.bytes()) || is_shared(other.bytes()));
  }
  EXPECT_LE(descriptors(), before + 1);  // that on which the kernel is asked
}

// A peer that still has it mapped keeps none of its pages.
// What the program maps where adopted pages were is its own, and a file would lose its contents.
TEST_F(AdoptedTest, FilesThatTakeTheirPlaceAreNotEmptied) {
  const Own own;
  ASSERT_TRUE(adopted(own.bytes()));
  const Fd file(memfd_create("file", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), kBytes), 0);
  ASSERT_NE(mmap(own.bytes().data(), kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(), 0), MAP_FAILED);
  own.fill(25);
  ASSERT_EQ(madvise(own.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_TRUE(own.holds(25));
}

TEST_F(AdoptedTest, MovedPagesAreEmptiedWhereTheyAre) {
  const Own own, place;
  own.fill(26);
  ASSERT_TRUE(adopted(own.bytes()));
  ASSERT_NE(mremap(own.bytes().data(), kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, place.bytes().data()), MAP_FAILED);
  ASSERT_EQ(madvise(place.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(place.bytes(), testing::Each(std::byte{0}));
}

// Whatever a device has taken hold of since, it goes on with.
TEST_F(AdoptedTest, WhatDevicesHoldStaysAdopted) {
  const Own own;
  own.fill(27);
  ASSERT_TRUE(adopted(own.bytes()));
  io_uring_params parameters{};
  const Fd ring(static_cast<int>(syscall(SYS_io_uring_setup, 4, &parameters)));
  if (!ring) GTEST_SKIP() << "no io_uring: " << errno;
  const iovec buffer{own.bytes().data(), kBytes};
  if (syscall(SYS_io_uring_register, ring.get(), IORING_REGISTER_BUFFERS, &buffer, 1) != 0)
    GTEST_SKIP() << "no registered buffers of shared memory: " << errno;
  adopted_.give_back();
  EXPECT_TRUE(is_shared(own.bytes()));
  ASSERT_EQ(syscall(SYS_io_uring_register, ring.get(), IORING_UNREGISTER_BUFFERS, nullptr, 0), 0);
  adopted_.give_back();
  EXPECT_FALSE(is_shared(own.bytes()));
  EXPECT_TRUE(own.holds(27));
}

TEST_F(AdoptedTest, WhenNobodyUsesThemAnyMoreTheyBecomePrivate) {
  const Own own;
  own.fill(12);
  auto one = adopted_.use(), another = adopted_.use();
  ASSERT_TRUE(adopted(own.bytes()));
  one.reset();
  EXPECT_TRUE(is_shared(own.bytes()));
  another.reset();
  EXPECT_FALSE(is_shared(own.bytes()));
  EXPECT_TRUE(own.holds(12));
}

TEST_F(AdoptedTest, PagesGoBackToTheSystem) {
  const Own own;
  own.fill(13);
  const auto lease = adopted_.enter(own.bytes(), kAtOnce);
  const auto found = find(own.bytes());
  ASSERT_TRUE(found);
  const Fd peer(dup(found->fd));
  auto mapping = Mapping::of(peer.get(), kBytes + kPage, PROT_READ | PROT_WRITE).value_or_throw();
  EXPECT_EQ(SegmentView(mapping).state().freed.load(), 0U);
  adopted_.leave(lease);
  adopted_.give_back();
  EXPECT_EQ(SegmentView(mapping).state().freed.load(), 1U);
  struct stat status {};
  ASSERT_EQ(fstat(peer.get(), &status), 0);
  EXPECT_EQ(static_cast<std::size_t>(status.st_blocks) * 512, kPage);
  EXPECT_TRUE(own.holds(13));
}

// To the kernel they are still of the file, which would get pages of its own for them.
TEST_F(AdoptedTest, PagesThatAreEmptiedAndWrittenAgainAreThereOnce) {
  for (const int advice : {MADV_DONTNEED, MADV_FREE}) {
    const Own own;
    own.fill(14);
    const auto lease = adopted_.enter(own.bytes(), kAtOnce);
    const auto found = find(own.bytes());
    ASSERT_TRUE(found);
    const Fd peer(dup(found->fd));
    adopted_.leave(lease);
    adopted_.give_back();
    ASSERT_EQ(madvise(own.bytes().data() + kPage, kBytes - 2 * kPage, advice), 0);
    EXPECT_EQ(own.words()[0], 14U);
    EXPECT_EQ(own.words()[kBytes / 4 - 1], 14 + kBytes / 4 - 1);
    own.fill(15);
    struct stat status {};
    ASSERT_EQ(fstat(peer.get(), &status), 0);
    EXPECT_EQ(static_cast<std::size_t>(status.st_blocks) * 512, kPage) << advice;
    EXPECT_TRUE(own.holds(15));
    ASSERT_TRUE(adopted(own.bytes()));
    adopted_.give_back();
    EXPECT_TRUE(own.holds(15));
  }
}

// A peer that stopped while it wrote may go on at any time.
TEST_F(AdoptedTest, NothingOfPeersIsInPagesThatAreEmptiedLater) {
  const Own own;
  const auto lease = adopted_.enter(own.bytes(), kAtOnce);
  const auto found = find(own.bytes());
  ASSERT_TRUE(found);
  auto peer = Mapping::of(Fd(dup(found->fd)).get(), kBytes, PROT_READ | PROT_WRITE).value_or_throw();
  adopted_.leave(lease);
  adopted_.withdraw();
  std::ranges::fill(peer.bytes(), std::byte{1});
  ASSERT_EQ(madvise(own.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(own.bytes(), testing::Each(std::byte{0}));
}

// What the program has asked of the kernel since it got them back.
TEST_F(AdoptedTest, EmptiedPagesKeepTheirProperties) {
  const Own own, handled, locked;
  for (const Own* each : {&own, &handled, &locked}) ASSERT_TRUE(adopted(each->bytes()));
  adopted_.give_back();
  ASSERT_EQ(mprotect(own.bytes().data(), kPage, PROT_READ), 0);
  ASSERT_EQ(madvise(own.bytes().data(), kBytes, MADV_DONTNEED), 0);
  const auto found = areas(own.bytes()).value_or_throw();
  EXPECT_TRUE(found.front().readable && !found.front().writable && found.back().writable);

  if (mlock(locked.bytes().data(), kBytes) == 0) {
    const auto flags = area_flags(locked.bytes()).value_or_throw();
    const bool is_locked = std::ranges::find(flags, "lo") != flags.end();  // a sanitizer's does nothing
    EXPECT_EQ(madvise(locked.bytes().data(), kBytes, MADV_DONTNEED), is_locked ? -1 : 0);
    EXPECT_EQ(area_flags(locked.bytes()).value_or_throw(), flags);
    munlock(locked.bytes().data(), kBytes);
  }

  const Fd faults(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  if (!faults) GTEST_SKIP() << "no userfaultfd";
  uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
  ASSERT_EQ(ioctl(faults.get(), UFFDIO_API, &api), 0);
  uffdio_register range{};
  range.range = {reinterpret_cast<std::uint64_t>(handled.bytes().data()), kBytes};
  range.mode = UFFDIO_REGISTER_MODE_MISSING;
  ASSERT_EQ(ioctl(faults.get(), UFFDIO_REGISTER, &range), 0);
  ASSERT_EQ(madvise(handled.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(area_flags(handled.bytes()).value_or_throw(), testing::Contains("um"));
  ASSERT_EQ(madvise(handled.bytes().data(), kBytes, MADV_DONTDUMP), 0);
  ASSERT_EQ(ioctl(faults.get(), UFFDIO_UNREGISTER, &range.range), 0);
  ASSERT_EQ(madvise(handled.bytes().data(), kBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(area_flags(handled.bytes()).value_or_throw(), testing::Contains("dd"));
}

// ---- Where the system sets limits

// A limit of this process, for as long as this lives.
class Limit {
 public:
  Limit(int which, rlim_t most) : which_(which) {
    EXPECT_EQ(getrlimit(which, &before_), 0);
    const rlimit now{std::min(most, before_.rlim_max), before_.rlim_max};
    EXPECT_EQ(setrlimit(which, &now), 0);
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;
  ~Limit() { setrlimit(which_, &before_); }

 private:
  int which_;
  rlimit before_{};
};

// Sanitizers need memory, descriptors and /proc themselves.
bool is_sanitized() {
  const char* const how = std::getenv("SANITIZED");
  return how != nullptr && *how != '\0';
}

// The system would end the process.
TEST_F(AdoptedTest, NoLargerThanFilesMayBe) {
  const Own own;
  own.fill(14);
  {
    const Limit files(RLIMIT_FSIZE, kBytes);
    expect_refused(own.bytes(), "ulimit -f");
  }
  EXPECT_TRUE(own.holds(14));
  const Limit files(RLIMIT_FSIZE, kBytes + kPage);
  EXPECT_TRUE(adopted(own.bytes()));
  EXPECT_TRUE(own.holds(14));
}

// A program with buffers of many sizes must not fill the report.
TEST_F(AdoptedTest, AReasonIsOneWhateverTheSize) {
  const Own own;
  const Limit files(RLIMIT_FSIZE, 8 * kPage);
  const auto before = adopted_.report().refused;
  EXPECT_FALSE(adopted(own.bytes()));
  EXPECT_FALSE(adopted(own.bytes().first(40 * kPage)));
  EXPECT_FALSE(adopted(own.bytes().first(20 * kPage)));
  auto expected = before;
  expected["N bytes of shared memory are more than the N that a file may have (ulimit -f)"] += 3;
  EXPECT_EQ(adopted_.report().refused, expected);
}

// Whoever takes more than its control group may have is killed, not refused.
TEST_F(AdoptedTest, SomeMemoryIsLeftToTheControlGroup) {
  const Own own;
  AdoptionLimits limits{.uses = 1, .memory_left = [] { return std::uint64_t{1000}; }, .memory_spared = 1001};
  expect_refused(own.bytes(), "little memory is left to this control group", limits);
  limits.memory_spared = 1000;
  EXPECT_TRUE(adopted(own.bytes(), limits));
}

TEST_F(AdoptedTest, NothingIsLockedInMemory) {
  const Own own;
  own.fill(15);
  const Limit locked(RLIMIT_MEMLOCK, 0);
  EXPECT_TRUE(adopted(own.bytes()));
  EXPECT_TRUE(own.holds(15));
}

// They are needed for connections, too.
TEST_F(AdoptedTest, HalfOfTheDescriptorsAreLeftFree) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer's own needs";
  const Own own;
  ASSERT_TRUE(adopted(own.bytes()));  // asking the kernel takes one
  adopted_.give_back();
  const auto next = [] { return static_cast<rlim_t>(Fd(dup(0)).get()); };
  {
    const Limit files(RLIMIT_NOFILE, 2 * next());
    expect_refused(own.bytes(), "ulimit -n");
  }
  const Limit files(RLIMIT_NOFILE, 2 * next() + 2);
  EXPECT_TRUE(adopted(own.bytes()));
}

// A child would else have none of its pages.
TEST_F(AdoptedTest, ForkCopiesWhereNoDescriptorIsLeft) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer's own needs";
  const Own own, other;
  own.fill(16);
  ASSERT_TRUE(adopted(own.bytes()));
  pid_t child = 0;
  {
    const Limit none(RLIMIT_NOFILE, 3);
    expect_refused(other.bytes(), "too many already");
    child = fork();
    if (child == 0) end_child(own.holds(16) ? 0 : 1);
  }
  EXPECT_EQ(exit_of(child), 0);
  EXPECT_FALSE(is_shared(own.bytes()));
  EXPECT_TRUE(own.holds(16));
}

TEST_F(AdoptedTest, WhatCannotBecomePrivateStaysUntilItCan) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer's own needs";
  const Own own(16 * kBytes);
  own.fill(17);
  ASSERT_TRUE(adopted(own.bytes()));
  {
    const Limit data(RLIMIT_DATA, kPage);  // 0 has another meaning
    adopted_.give_back();
  }
  EXPECT_TRUE(is_shared(own.bytes()));
  EXPECT_EQ(adopted_.report().bytes_now, 16 * kBytes);
  EXPECT_TRUE(own.holds(17));
  EXPECT_TRUE(adopted(own.bytes()));
  adopted_.give_back();
  EXPECT_FALSE(is_shared(own.bytes()));
  EXPECT_TRUE(own.holds(17));
}

TEST_F(AdoptedTest, NoAddressesAreLeft) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer's own needs";
  const Own own;
  own.fill(18);
  {
    const Limit addresses(RLIMIT_AS, 0);
    EXPECT_FALSE(adopted(own.bytes()));
  }
  EXPECT_TRUE(own.holds(18));
  EXPECT_FALSE(is_shared(own.bytes()));
}

// Every second page of a long mapping has another protection: each needs an entry in the kernel's table of mappings, which has an
// end. From there on, a few at a time become free.
TEST_F(AdoptedTest, NoMoreMappingsAreLeft) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer's own needs";
  std::ifstream file("/proc/sys/vm/max_map_count");
  std::size_t most = 0;
  if (!(file >> most) || most > 100'000) GTEST_SKIP() << "this machine allows " << most << " mappings";
  const Own own;
  own.fill(19);
  const Bytes inside = own.bytes().subspan(kPage, kBytes - 2 * kPage);  // to be cut out of its mapping
  const std::size_t size = (most + 2) * kPage;
  auto* const many = static_cast<std::byte*>(mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(static_cast<void*>(many), MAP_FAILED);
  std::size_t last = 0;
  while (last < size && mprotect(many + last, kPage, PROT_READ) == 0) last += 2 * kPage;
  bool any = false;
  std::vector<bool> right;
  for (int free = 0; free < 4 && !any; ++free) {
    any = adopted(inside);
    EXPECT_TRUE(free > 0 || !any);
    right.push_back(own.holds(19));
    adopted_.give_back();
    right.push_back(own.holds(19));
    last -= 2 * kPage;
    EXPECT_EQ(mprotect(many + last, kPage, PROT_NONE), 0);
  }
  munmap(many, size);
  EXPECT_THAT(right, testing::Each(true));
  adopted_.give_back();
  EXPECT_TRUE(own.holds(19));
  EXPECT_FALSE(is_shared(inside));
  EXPECT_TRUE(adopted(inside));
  EXPECT_TRUE(own.holds(19));
}

// The system refuses some calls of this process from then on: for a child.
bool refuse_calls(std::vector<sock_filter> filter) {
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
// As far as its number and the low halves of these arguments tell.
std::vector<sock_filter> refuse(std::uint32_t call, const std::map<std::uint32_t, std::uint32_t>& arguments,
                                std::uint32_t error) {
  auto left = static_cast<std::uint8_t>(2 * arguments.size() + 1);
  std::vector<sock_filter> filter{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, left)};
  for (const auto& [argument, value] : arguments) {
    const auto at = static_cast<std::uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t));
    left = static_cast<std::uint8_t>(left - 2);
    filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, left));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error));
  return filter;
}
constexpr std::size_t kBlock = std::size_t{4} << 20;  // that is copied at a time

class Midway : public AdoptedTest {
 protected:
  // Whether there is no room for the second block, and what was shared before is private again.
  [[nodiscard]] bool runs_out_of_room(const Own& own) const {
    own.fill(20);
    return refuse_calls(refuse(SYS_pwrite64, {{3, kBlock}}, ENOSPC)) && !adopted(own.bytes()) && refused("ENOSPC") == 1;
  }
};

TEST_F(Midway, WhatWasSharedBecomesPrivateAgain) {
  const Own own(2 * kBlock);
  const pid_t child = fork();
  if (child == 0) {
    const bool right = runs_out_of_room(own) && own.holds(20) && !is_shared(own.bytes()) && adopted_.report().bytes_now == 0;
    end_child(right ? 0 : 1);
  }
  EXPECT_EQ(exit_of(child), 0);
}

// Nor is there memory for copies of whole blocks: until the program protects a half of it, so that they come in smaller ones.
TEST_F(Midway, WhatCannotBecomePrivateIsRemembered) {
  const Own own(2 * kBlock);
  const pid_t child = fork();
  if (child == 0) {
    if (!refuse_calls(refuse(SYS_mmap, {{1, kBlock}, {3, MAP_PRIVATE | MAP_FIXED}}, ENOMEM))) end_child(1);
    if (!runs_out_of_room(own) || !own.holds(20) || !is_shared(own.bytes())) end_child(2);
    if (adopted_.report().bytes_now != own.bytes().size() || adopted(own.bytes())) end_child(3);
    const Bytes half = own.bytes().first(kBlock / 2);
    if (mprotect(half.data(), half.size(), PROT_READ) != 0) end_child(4);
    adopted_.give_back();
    if (mprotect(half.data(), half.size(), PROT_READ | PROT_WRITE) != 0) end_child(5);
    end_child(own.holds(20) && !is_shared(own.bytes()) && adopted_.report().bytes_now == 0 ? 0 : 6);
  }
  EXPECT_EQ(exit_of(child), 0);
}

// ---- Where the process is

// The system's files may be out of sight later: after chroot(), in another namespace.
TEST_F(AdoptedTest, ProcIsNotNeededToForkOrToGiveBack) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer's own needs";
  const Own own;
  own.fill(21);
  const pid_t child = fork();
  if (child == 0) {
    if (!adopted(own.bytes())) end_child(1);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || mount("none", "/proc", "tmpfs", 0, nullptr) != 0) end_child(77);
    if (AreaQuery::open()) end_child(2);
    const pid_t grandchild = fork();
    if (grandchild == 0) end_child(own.holds(21) ? 0 : 3);
    const int status = exit_of(grandchild);
    end_child(status != 0 ? status : own.holds(21) && adopted_.report().bytes_now == 0 ? 0 : 4);
  }
  const int status = exit_of(child);
  if (status == 77) GTEST_SKIP() << "no namespaces of users here";
  EXPECT_EQ(status, 0);
}

TEST_F(AdoptedTest, AnotherProgramGetsNoDescriptor) {
  const Own own;
  const pid_t child = fork();
  if (child == 0) {
    if (!adopted(own.bytes())) end_child(2);
    execl("/bin/sh", "sh", "-c", "! ls -l /proc/self/fd | grep tutti-adopted && ! grep tutti-adopted /proc/self/maps", nullptr);
    end_child(3);
  }
  EXPECT_EQ(exit_of(child), 0);
}

TEST_F(AdoptedTest, NoMappingIsLeftBehind) {
  const auto mapped = [] {  // shared: private copies keep the name
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
      if (line.find("tutti-adopted") != std::string::npos && line.find("rw-s") != std::string::npos) return true;
    return false;
  };
  const Own own;
  ASSERT_TRUE(adopted(own.bytes()));
  EXPECT_TRUE(mapped());
  adopted_.give_back();
  EXPECT_FALSE(mapped());
}

// By the filter that processes begin with, "anonymous shared memory" is dumped, which memory of a memfd counts as (core(5)).
TEST_F(AdoptedTest, CoresHoldTheContents) {
  if (is_sanitized()) GTEST_SKIP() << "a sanitizer's own needs";
  const std::string pattern = read_file("/proc/sys/kernel/core_pattern", 4096).value_or_throw();
  if (pattern.find_first_of("|/%") != std::string::npos) GTEST_SKIP() << "cores go to " << pattern;
  std::string folder = (std::filesystem::temp_directory_path() / "tutti-core-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const Own own;
  own.fill(0x5eed0000);
  const std::string wanted(reinterpret_cast<const char*>(own.bytes().data()), kPage);
  const pid_t child = fork();
  if (child == 0) {
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    if (!adopted(own.bytes()) || chdir(folder.c_str()) != 0 || setrlimit(RLIMIT_CORE, &unlimited) != 0) end_child(77);
    std::memset(const_cast<char*>(wanted.data()), 0, wanted.size());  // the child's copy
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
  }
  const int status = exit_of(child);
  std::string core;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) core = entry.path().string();
  const bool there = !core.empty();
  const bool holds = there && read_file(core, std::uint64_t{1} << 30).value_or_throw().find(wanted) != std::string::npos;
  std::filesystem::remove_all(folder);
  if (status == 77 || !there) GTEST_SKIP() << "no core is written here";
  EXPECT_EQ(status, -SIGABRT);
  EXPECT_TRUE(holds);
}

TEST_F(AdoptedTest, MemoryThatTheKernelReadsAndWritesIsRefused) {
  const Own own, other;
  own.fill(22);
  io_uring_params parameters{};
  const Fd ring(static_cast<int>(syscall(SYS_io_uring_setup, 4, &parameters)));
  if (!ring) GTEST_SKIP() << "no io_uring: " << errno;
  const iovec buffer{own.bytes().data(), kBytes};
  ASSERT_EQ(syscall(SYS_io_uring_register, ring.get(), IORING_REGISTER_BUFFERS, &buffer, 1), 0);
  expect_refused(own.bytes(), "devices hold on");
  expect_refused(other.bytes(), "devices hold on");
  ASSERT_EQ(syscall(SYS_io_uring_register, ring.get(), IORING_UNREGISTER_BUFFERS, nullptr, 0), 0);
  EXPECT_TRUE(own.holds(22));
}

// ---- Peers

// As one that has stopped while it wrote may go on at any time.
TEST_F(AdoptedTest, WithdrawnPagesAreOutOfReach) {
  const Own idle, used;
  idle.fill(23);
  used.fill(24);
  ASSERT_TRUE(adopted(idle.bytes()));
  const auto lease = adopted_.enter(used.bytes(), kAtOnce);
  const auto found = find(used.bytes());
  ASSERT_TRUE(found);
  auto peer = Mapping::of(Fd(dup(found->fd)).get(), kBytes + kPage, PROT_READ | PROT_WRITE).value_or_throw();
  adopted_.withdraw();
  EXPECT_FALSE(is_shared(idle.bytes()));
  EXPECT_TRUE(is_shared(used.bytes()));  // its call has not ended
  EXPECT_EQ(adopted_.enter(used.bytes(), kAtOnce), 0U);
  adopted_.leave(lease);
  EXPECT_FALSE(is_shared(used.bytes()));
  peer.data()[0] = std::byte{1};
  EXPECT_TRUE(idle.holds(23) && used.holds(24));
  EXPECT_TRUE(adopted(used.bytes()));  // as another file
  peer.data()[0] = std::byte{2};
  EXPECT_TRUE(used.holds(24));
}

}  // namespace
}  // namespace tutti::shm
