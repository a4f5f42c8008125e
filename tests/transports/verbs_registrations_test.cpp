// Registered memory, on a table of functions that only counts.
#include <gtest/gtest.h>

#include <cerrno>
#include <map>

#include "transports/verbs/registrations.h"

namespace tutti::verbs {
namespace {

// What the functions below have done. They are plain functions, so that it cannot be a member of a fixture.
struct Counts {
  int alive = 0, made = 0;
  int refuse_writable = 0;  // so many of the next
  int last_access = 0;
};
Counts& counts() {
  static Counts counts;
  return counts;
}

ibv_mr* register_memory(ibv_pd*, void* memory, std::size_t bytes, int access) {
  Counts& c = counts();
  if ((access & IBV_ACCESS_LOCAL_WRITE) != 0 && c.refuse_writable > 0) {
    --c.refuse_writable;
    errno = EFAULT;
    return nullptr;
  }
  ++c.alive;
  c.last_access = access;
  const auto number = static_cast<std::uint32_t>(++c.made);
  return new ibv_mr{
      .context = nullptr, .pd = nullptr, .addr = memory, .length = bytes, .handle = 0, .lkey = number, .rkey = number + 1000};
}

int deregister_memory(ibv_mr* registration) {
  --counts().alive;
  delete registration;
  return 0;
}

// Allocations by number, where a test says.
class Allocations final : public Lifetimes {
 public:
  [[nodiscard]] std::optional<std::uint64_t> find(ConstBytes memory) const override {
    for (const auto& [number, range] : known)
      if (memory.data() >= range.data() && memory.data() + memory.size() <= range.data() + range.size()) return number;
    return std::nullopt;
  }
  void keep_existing(std::unordered_set<std::uint64_t>& numbers) const override {
    std::erase_if(numbers, [this](std::uint64_t number) { return !known.contains(number); });
  }
  std::map<std::uint64_t, ConstBytes> known;
};

class VerbsRegistrations : public testing::Test {
 protected:
  VerbsRegistrations() {
    counts() = {};
    library_.device_name = [](ibv_device*) -> const char* { return "fake0"; };
    library_.open_device = [](ibv_device*) {
      static ibv_context context;
      return &context;
    };
    library_.close_device = [](ibv_context*) { return 0; };
    library_.register_memory = register_memory;
    library_.deregister_memory = deregister_memory;
    ibv_device device{};
    for (int i = 0; i < 2; ++i) {
      auto opened = Device::open(library_, &device);
      EXPECT_TRUE(opened);
      devices_.push_back(*std::move(opened));
    }
  }
  std::shared_ptr<Registrations> make(const RegistrationLimits& limits = {}) {
    return std::make_shared<Registrations>(devices_, allocations_, limits);
  }
  Bytes part(std::size_t offset, std::size_t size) { return Bytes(memory_).subspan(offset, size); }

  Library library_;
  std::vector<std::shared_ptr<Device>> devices_;
  Allocations allocations_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(1 << 16);
};

Registrations::Use used(const std::shared_ptr<Registrations>& registrations, Bytes memory,
                        Registrations::For purpose = Registrations::For::writing) {
  auto use = registrations->use(memory, purpose);
  EXPECT_TRUE(use) << use.error().to_string();
  return use ? *std::move(use) : Registrations::Use();
}

TEST_F(VerbsRegistrations, MemoryOfUnknownEndIsRegisteredForOneUse) {
  const auto registrations = make();
  {
    const auto use = used(registrations, part(0, 100));
    EXPECT_EQ(counts().alive, 2) << "one for each device";
    EXPECT_NE(use.local_key(0), use.local_key(1));
    const auto again = used(registrations, part(0, 100));
    EXPECT_EQ(counts().alive, 4) << "it may be other memory by now";
  }
  EXPECT_EQ(counts().alive, 0);
  EXPECT_EQ(registrations->entries(), 0U);
}

TEST_F(VerbsRegistrations, WhatIsOnlySentMayBeReadOnly) {
  const auto registrations = make();
  const auto use = used(registrations, part(0, 100), Registrations::For::reading);
  EXPECT_EQ(counts().last_access, 0);
}

TEST_F(VerbsRegistrations, AllocatedMemoryStaysRegistered) {
  const auto registrations = make();
  allocations_.known[1] = part(0, 4096);
  for (int i = 0; i < 3; ++i) used(registrations, part(0, 2048));
  used(registrations, part(1024, 512));  // within
  EXPECT_EQ(counts().made, 2);
  EXPECT_EQ(counts().alive, 2);
  EXPECT_EQ(registrations->entries(), 1U);
  used(registrations, part(1024, 2048));  // beyond
  EXPECT_EQ(counts().made, 4);
}

TEST_F(VerbsRegistrations, OtherMemoryAtTheSameAddressIsRegisteredAnew) {
  const auto registrations = make();
  allocations_.known[1] = part(0, 4096);
  const auto before = used(registrations, part(0, 4096)).local_key(0);
  allocations_.known.clear();
  EXPECT_NE(used(registrations, part(0, 4096)).local_key(0), before) << "nobody knows what it is now";
  allocations_.known[2] = part(0, 4096);
  EXPECT_NE(used(registrations, part(0, 4096)).local_key(0), before);
  EXPECT_EQ(registrations->entries(), 1U) << "what was freed is let go of";
  EXPECT_EQ(counts().alive, 2);
}

TEST_F(VerbsRegistrations, WhatIsFreedDuringAUseStaysUntilItsEnd) {
  const auto registrations = make();
  allocations_.known[1] = part(0, 4096);
  auto use = used(registrations, part(0, 4096));
  allocations_.known.clear();
  allocations_.known[2] = part(8192, 4096);
  used(registrations, part(8192, 4096));
  EXPECT_EQ(registrations->entries(), 1U);
  EXPECT_EQ(counts().alive, 4);
  use = {};
  EXPECT_EQ(counts().alive, 2);
}

TEST_F(VerbsRegistrations, TheOldestGoesFirst) {
  const auto registrations = make({.entries = 2, .bytes = 1 << 20});
  allocations_.known[1] = part(0, 1 << 16);
  const auto first = used(registrations, part(0, 100)).local_key(0);
  const auto second = used(registrations, part(1000, 100)).local_key(0);
  EXPECT_EQ(used(registrations, part(0, 100)).local_key(0), first);
  used(registrations, part(2000, 100));  // the second one goes
  EXPECT_EQ(registrations->entries(), 2U);
  EXPECT_EQ(used(registrations, part(0, 100)).local_key(0), first);
  EXPECT_NE(used(registrations, part(1000, 100)).local_key(0), second);
}

TEST_F(VerbsRegistrations, BytesAreBoundedButForWhatIsInUse) {
  const auto registrations = make({.entries = 100, .bytes = 10000});
  allocations_.known[1] = part(0, 1 << 16);
  auto held = used(registrations, part(0, 6000));
  used(registrations, part(10000, 6000));
  EXPECT_EQ(registrations->entries(), 2U) << "one of them cannot go";
  held = {};
  used(registrations, part(20000, 6000));
  EXPECT_EQ(registrations->entries(), 1U);
  used(registrations, part(0, 20000));  // more than fits: for one use
  EXPECT_EQ(registrations->entries(), 1U);
  EXPECT_EQ(counts().alive, 2);
}

TEST_F(VerbsRegistrations, WhatTheCallerAnswersForIsFoundUntilItDoesNot) {
  const auto registrations = make();
  auto kept = registrations->keep(part(0, 4096));
  ASSERT_TRUE(kept);
  EXPECT_TRUE(registrations->cheap(part(100, 100)));
  auto use = used(registrations, part(100, 100));
  EXPECT_EQ(use.local_key(0), kept->local_key(0));
  *kept = {};
  EXPECT_FALSE(registrations->cheap(part(100, 100)));
  EXPECT_EQ(counts().alive, 2) << "still in use";
  use = {};
  EXPECT_EQ(counts().alive, 0);
}

TEST_F(VerbsRegistrations, KeptMemoryThatCannotBeWrittenToServesSendersOnly) {
  const auto registrations = make();
  counts().refuse_writable = 1;
  auto kept = registrations->keep(part(0, 4096));
  ASSERT_TRUE(kept) << kept.error().to_string();
  EXPECT_EQ(used(registrations, part(0, 10), Registrations::For::reading).local_key(0), kept->local_key(0));
  EXPECT_NE(used(registrations, part(0, 10), Registrations::For::writing).local_key(0), kept->local_key(0));
}

TEST_F(VerbsRegistrations, NothingStaysRegisteredAtTheEnd) {
  auto registrations = make();
  allocations_.known[1] = part(0, 4096);
  used(registrations, part(0, 4096));
  EXPECT_EQ(counts().alive, 2);
  registrations.reset();
  EXPECT_EQ(counts().alive, 0);
}

TEST_F(VerbsRegistrations, ARefusalLeavesNothingBehind) {
  const auto registrations = make();
  counts().refuse_writable = 1;
  auto refused = registrations->use(part(0, 4096), Registrations::For::writing);
  ASSERT_FALSE(refused);
  EXPECT_EQ(counts().alive, 0);
  EXPECT_NE(refused.error().to_string().find("4096 bytes of memory with fake0"), std::string::npos)
      << refused.error().to_string();
}

}  // namespace
}  // namespace tutti::verbs
