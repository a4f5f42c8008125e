// Page adoption: what is adopted and what is not, and that the program cannot tell it from memory of its own.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <numeric>
#include <thread>

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

}  // namespace
}  // namespace tutti::shm
