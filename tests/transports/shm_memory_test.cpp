// Memory that peers map: what it is, how two ranks speak of it, and what is left of it when it is freed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "transports/shm/handover.h"
#include "transports/shm/unix_socket.h"
#include "tutti/memory.h"

namespace tutti::shm {
namespace {

constexpr std::size_t kSize = 100'000;

std::size_t pages_of(const Fd& fd) {
  struct stat status {};
  EXPECT_EQ(fstat(fd.get(), &status), 0);
  return static_cast<std::size_t>(status.st_blocks) * 512 / kPage;
}

ConstBytes bytes_of(const Memory& memory) { return std::as_bytes(memory.as<std::byte>()); }

TEST(Memory, IsZeroedAndAlignedWhateverItsSize) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, kLeastMapped, kSize}) {
    const Memory memory = allocate(size).value_or_throw();
    ASSERT_NE(memory.data(), nullptr);
    EXPECT_EQ(memory.size(), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 64, 0U);
    EXPECT_TRUE(std::ranges::all_of(memory.as<char>(), [](char c) { return c == 0; }));
    std::ranges::fill(memory.as<char>(), 'x');
  }
}

TEST(Memory, MoreThanThereIsIsRefused) {
  for (const std::size_t size : {SIZE_MAX, SIZE_MAX / 2, kMostMemfd}) {
    auto memory = allocate(size);
    ASSERT_FALSE(memory);
    EXPECT_EQ(memory.error().code(), Code::resource) << memory.error().to_string();
  }
}

TEST(Memory, OnlyItsOwnIsFreed) {
  int mine = 0;
  EXPECT_FALSE(deallocate(&mine));
  EXPECT_FALSE(deallocate(nullptr));
  void* memory = allocate(kSize).value_or_throw().release();
  EXPECT_FALSE(deallocate(static_cast<std::byte*>(memory) + 64));
  EXPECT_TRUE(deallocate(memory));
  EXPECT_FALSE(deallocate(memory));
}

TEST(Memory, ServesContainers) {
  std::vector<int, Allocator<int>> numbers;
  for (int i = 0; i < 100'000; ++i) numbers.push_back(i);  // grows from the heap into segments
  EXPECT_EQ(std::accumulate(numbers.begin(), numbers.end(), 0LL), 4999950000LL);
  EXPECT_TRUE(Segments::of_process().find(std::as_bytes(std::span(numbers))));
  EXPECT_THROW((void)Allocator<double>().allocate(SIZE_MAX / 2), std::bad_array_new_length);
}

TEST(Segments, FindOnlyWhatLiesInOneAltogether) {
  Segments& segments = Segments::of_process();
  const Memory memory = allocate(kSize).value_or_throw(), small = allocate(100).value_or_throw();
  const ConstBytes bytes = bytes_of(memory);
  const auto all = segments.find(bytes), end = segments.find(bytes.last(10));
  ASSERT_TRUE(all && end);
  EXPECT_EQ(all->offset, 0U);
  EXPECT_EQ(end->offset, kSize - 10);
  EXPECT_EQ(end->segment, all->segment);
  EXPECT_FALSE(segments.find({bytes.data(), kSize + 1}));
  EXPECT_FALSE(segments.find({bytes.data() - 1, 2}));
  EXPECT_FALSE(segments.find(bytes_of(small)));
  const int mine = 0;
  EXPECT_FALSE(segments.find(std::as_bytes(std::span(&mine, 1))));
}

// Two ranks, both this process.
class HandoverTest : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    sockets_[0] = Fd(ends[0]);
    sockets_[1] = Fd(ends[1]);
    sender_.open(sockets_[0], nobody_, taken_[0], taken_[1], 1);
    receiver_.open(sockets_[1], mapped_, taken_[1], taken_[0], 0);
  }

  static MemoryName name_of(Handover& who, ConstBytes bytes) { return who.name(bytes, 2).memory; }

  std::array<Fd, 2> sockets_;
  std::array<std::atomic<std::uint64_t>, 2> taken_{};
  PeerSegments nobody_, mapped_;
  Handover sender_, receiver_;
};

TEST_F(HandoverTest, BothSeeTheSameBytes) {
  const Memory memory = allocate(kSize).value_or_throw();
  const auto bytes = memory.as<std::byte>();
  for (const std::size_t at : {std::size_t{0}, std::size_t{5000}, kSize - 100}) {
    const MemoryName name = name_of(sender_, std::as_bytes(bytes.subspan(at, 100)));
    ASSERT_NE(name.segment, 0U);
    EXPECT_EQ(name.handed, 1U);  // once for all
    const PeerMemory theirs = receiver_.find(name, 100).value_or_throw();
    ASSERT_NE(theirs.data, nullptr);
    ASSERT_NE(theirs.data, bytes.data() + at);
    bytes[at] = std::byte{7};
    EXPECT_EQ(theirs.data[0], std::byte{7});
    theirs.data[99] = std::byte{9};
    EXPECT_EQ(bytes[at + 99], std::byte{9});
  }
}

TEST_F(HandoverTest, WhatLiesElsewhereHasNoName) {
  const std::vector<std::byte> mine(kSize);
  EXPECT_EQ(name_of(sender_, mine).segment, 0U);
}

TEST_F(HandoverTest, BytesOutsideAreTheFaultOfThePeer) {
  const Memory memory = allocate(kSize).value_or_throw();
  const MemoryName name = name_of(sender_, bytes_of(memory));
  const std::size_t most = (kSize + kPage - 1) / kPage * kPage;
  EXPECT_TRUE(receiver_.find(name, most));
  for (const auto& [offset, size] :
       {std::pair<std::uint64_t, std::size_t>{0, most + 1}, {most, 1}, {most + 1, 0}, {UINT64_MAX, 2}}) {
    auto found = receiver_.find({.segment = name.segment, .offset = offset, .handed = name.handed}, size);
    ASSERT_FALSE(found) << offset << " " << size;
    EXPECT_EQ(found.error().code(), Code::protocol);
    EXPECT_EQ(found.error().peer(), 0);
  }
}

TEST_F(HandoverTest, MemoryThatWasNeverHandedOverIsTheFaultOfThePeer) {
  const auto found = receiver_.find({.segment = 1, .offset = 0, .handed = 1}, 8);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Code::protocol);
}

TEST_F(HandoverTest, MemoryThatIsNoSegmentIsTheFaultOfThePeer) {
  const Fd tiny(memfd_create("tiny", MFD_CLOEXEC));  // not sealed, and empty
  const std::uint64_t segment = 5;
  send_descriptors(sockets_[0], std::as_bytes(std::span(&segment, 1)), std::array{tiny.get()}, 1).value_or_throw();
  const auto found = receiver_.find({.segment = 5, .offset = 0, .handed = 1}, 8);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), Code::protocol);
}

TEST_F(HandoverTest, AnUnknownSegmentIsDoneWithout) {
  const PeerMemory found = receiver_.find({.segment = 77, .offset = 0, .handed = 0}, 8).value_or_throw();
  EXPECT_EQ(found.data, nullptr);
}

TEST_F(HandoverTest, WithoutRoomForADescriptorItIsDoneWithout) {
  const Memory first = allocate(kSize).value_or_throw(), second = allocate(kSize).value_or_throw();
  const MemoryName lost = name_of(sender_, bytes_of(first));
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = static_cast<rlim_t>(Fd(dup(0)).get()), .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto found = receiver_.find(lost, kSize);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(found->data, nullptr);
  EXPECT_NE(receiver_.find(name_of(sender_, bytes_of(second)), kSize).value_or_throw().data, nullptr);  // the next one is found
}

TEST_F(HandoverTest, FreedMemoryGoesBackToTheSystemAndThePeerLetsGo) {
  Memory memory = allocate(kSize).value_or_throw();
  std::ranges::fill(memory.as<char>(), 'x');
  const MemoryName name = name_of(sender_, bytes_of(memory));
  const Fd same(dup(Segments::of_process().find(bytes_of(memory))->fd));
  ASSERT_NE(receiver_.find(name, kSize).value_or_throw().data, nullptr);
  EXPECT_GE(pages_of(same), kSize / kPage);
  memory = {};
  EXPECT_LE(pages_of(same), 1U);  // the segment's state
  EXPECT_NE(mapped_.find(name.segment), nullptr);
  const Memory next = allocate(kSize).value_or_throw();
  ASSERT_NE(receiver_.find(name_of(sender_, bytes_of(next)), kSize).value_or_throw().data, nullptr);
  EXPECT_EQ(mapped_.find(name.segment), nullptr);
}

TEST_F(HandoverTest, NoMoreAreOnTheirWayThanSomebodyTakes) {
  std::vector<Memory> memory;
  std::vector<MemoryName> names;
  for (int i = 0; i < 3; ++i) names.push_back(name_of(sender_, bytes_of(memory.emplace_back(allocate(kSize).value_or_throw()))));
  EXPECT_EQ(names[1].handed, 2U);
  EXPECT_EQ(names[2].segment, 0U);
  EXPECT_NE(name_of(sender_, bytes_of(memory[0])).segment, 0U);  // it has that one
  ASSERT_NE(receiver_.find(names[0], kSize).value_or_throw().data, nullptr);
  EXPECT_NE(name_of(sender_, bytes_of(memory[2])).segment, 0U);
}

TEST_F(HandoverTest, AChildFreesNothingOfItsParents) {
  const Memory memory = allocate(kSize).value_or_throw();
  std::ranges::fill(memory.as<char>(), 'x');
  const MemoryName named = name_of(sender_, bytes_of(memory));
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool speaks_of_it = Segments::of_process().find(bytes_of(memory)).has_value();
    _exit(!speaks_of_it && deallocate(memory.data()) ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(std::ranges::all_of(memory.as<char>(), [](char c) { return c == 'x'; }));
  const PeerMemory theirs = receiver_.find(named, kSize).value_or_throw();
  ASSERT_NE(theirs.data, nullptr);
  EXPECT_EQ(theirs.data[0], std::byte{'x'});
}

TEST(Memory, LeavesDescriptorsToTheProgram) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::vector<Memory> memory;
  std::size_t shared = 0;
  for (int i = 0; i < 100; ++i) {
    memory.push_back(allocate(kSize).value_or_throw());
    shared += Segments::of_process().find(bytes_of(memory.back())) ? 1 : 0;
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(shared, 16U);
}

TEST_F(HandoverTest, ManyComeAndGo) {
  for (int i = 0; i < 1000; ++i) {
    const Memory memory = allocate(kSize).value_or_throw();
    memory.as<int>()[0] = i;
    const PeerMemory theirs = receiver_.find(name_of(sender_, bytes_of(memory)), kSize).value_or_throw();
    ASSERT_NE(theirs.data, nullptr);
    ASSERT_EQ(*reinterpret_cast<const int*>(theirs.data), i);
  }
}

}  // namespace
}  // namespace tutti::shm
