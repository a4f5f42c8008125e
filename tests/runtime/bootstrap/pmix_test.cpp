#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "bootstrap/pmix_store.h"

namespace tutti {
namespace {

using testing::HasSubstr;

// A PMIx server in this process, as far as the table reaches.
struct FakePmix {
  std::uint32_t rank = 1;
  std::uint32_t size = 3;
  pmix_status_t init_status = PMIX_SUCCESS;
  pmix_status_t fence_status = PMIX_SUCCESS;
  bool fence_answers = true;
  std::map<std::string, std::string> entries;  // "rank key"
  std::vector<std::string> calls;
  void* forgotten_context = nullptr;
  pmix_op_cbfunc_t forgotten_done = nullptr;
};
FakePmix* fake = nullptr;

char* copy_of(const std::string& text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

PmixTable table() {
  PmixTable t;
  t.init = [](pmix_proc_t* me, pmix_info_t*, size_t) {
    fake->calls.emplace_back("init");
    std::strcpy(me->nspace, "job");
    me->rank = fake->rank;
    return fake->init_status;
  };
  t.finalize = [](const pmix_info_t*, size_t) {
    fake->calls.emplace_back("finalize");
    return pmix_status_t{PMIX_SUCCESS};
  };
  t.put = [](pmix_scope_t scope, const char* key, pmix_value_t* value) {
    EXPECT_EQ(scope, PMIX_GLOBAL);
    EXPECT_EQ(value->type, PMIX_STRING);
    fake->calls.emplace_back("put");
    fake->entries[std::to_string(fake->rank) + " " + key] = value->data.string;
    return pmix_status_t{PMIX_SUCCESS};
  };
  t.commit = [] {
    fake->calls.emplace_back("commit");
    return pmix_status_t{PMIX_SUCCESS};
  };
  t.fence_nb = [](const pmix_proc_t*, size_t, const pmix_info_t* info, size_t count, pmix_op_cbfunc_t done, void* context) {
    EXPECT_EQ(count, 1u);
    EXPECT_STREQ(info->key, PMIX_COLLECT_DATA);
    fake->calls.emplace_back("fence");
    if (fake->fence_answers) {
      done(fake->fence_status, context);
    } else {
      fake->forgotten_done = done;
      fake->forgotten_context = context;
    }
    return pmix_status_t{PMIX_SUCCESS};
  };
  t.get = [](const pmix_proc_t* owner, const char* key, const pmix_info_t* info, size_t count, pmix_value_t** value) {
    EXPECT_STREQ(owner->nspace, "job");
    EXPECT_EQ(count, 1u);
    EXPECT_STREQ(info->key, PMIX_TIMEOUT);
    EXPECT_GE(info->value.data.integer, 1);
    auto* found = static_cast<pmix_value_t*>(std::calloc(1, sizeof(pmix_value_t)));
    *value = found;
    if (owner->rank == PMIX_RANK_WILDCARD) {
      EXPECT_STREQ(key, PMIX_JOB_SIZE);
      found->type = PMIX_UINT32;
      found->data.uint32 = fake->size;
      return pmix_status_t{PMIX_SUCCESS};
    }
    const auto it = fake->entries.find(std::to_string(owner->rank) + " " + key);
    if (it == fake->entries.end()) {
      std::free(found);
      *value = nullptr;
      return pmix_status_t{PMIX_ERR_NOT_FOUND};
    }
    found->type = PMIX_STRING;
    found->data.string = copy_of(it->second);
    return pmix_status_t{PMIX_SUCCESS};
  };
  t.error_string = [](pmix_status_t) { return "FAKE-ERROR"; };
  return t;
}

class Pmix : public testing::Test {
 protected:
  void SetUp() override { fake = &state_; }
  void TearDown() override { fake = nullptr; }
  FakePmix state_;
};
TimePoint later() { return Clock::now() + std::chrono::seconds(30); }

TEST_F(Pmix, PutsCommitsFencesAndGets) {
  state_.entries["0 tutti.job"] = "abc";
  auto store = PmixStore::open(table(), later()).value_or_throw();
  EXPECT_EQ(store->rank(), 1);
  EXPECT_EQ(store->size(), 3);
  store->put("address", "0a").value_or_throw();
  store->fence().value_or_throw();
  EXPECT_EQ(store->get(0, "job").value_or_throw(), "abc");
  EXPECT_EQ(store->get(1, "address").value_or_throw(), "0a");
  store->finish().value_or_throw();
  store.reset();
  EXPECT_THAT(state_.calls, testing::ElementsAre("init", "put", "commit", "fence", "finalize"));
}

TEST_F(Pmix, FailedInitIsExplainedAndNotFinalized) {
  state_.init_status = PMIX_ERR_UNREACH;
  auto store = PmixStore::open(table(), later());
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(), HasSubstr("PMIx_Init"));
  EXPECT_THAT(store.error().message(), HasSubstr("FAKE-ERROR"));
  EXPECT_THAT(state_.calls, testing::ElementsAre("init"));
}

TEST_F(Pmix, NonsensePlaceIsRefused) {
  state_.rank = 3;
  auto store = PmixStore::open(table(), later());
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error().message(), HasSubstr("rank 3 of 3"));
  EXPECT_EQ(state_.calls.back(), "finalize");
}

TEST_F(Pmix, AFenceThatNeverEndsIsATimeout) {
  state_.fence_answers = false;
  auto store = PmixStore::open(table(), Clock::now() + std::chrono::milliseconds(50)).value_or_throw();
  auto fence = store->fence();
  ASSERT_FALSE(fence);
  EXPECT_EQ(fence.error().code(), Code::timeout);
  store.reset();
  // The answer that comes after all finds memory that is still there.
  state_.forgotten_done(PMIX_SUCCESS, state_.forgotten_context);
}

TEST_F(Pmix, AFailedFenceIsAnError) {
  state_.fence_status = PMIX_ERR_LOST_CONNECTION;
  auto store = PmixStore::open(table(), later()).value_or_throw();
  EXPECT_THAT(store->fence().error().message(), HasSubstr("PMIx_Fence"));
}

TEST_F(Pmix, MissingEntryNamesTheRank) {
  auto store = PmixStore::open(table(), later()).value_or_throw();
  EXPECT_THAT(store->get(2, "address").error().to_string(), HasSubstr("rank 2's entry"));
}

TEST(PmixLibrary, LoadsOrSaysWhatToInstall) {
  auto loaded = load_pmix();
  if (!loaded) {
    EXPECT_THAT(loaded.error().message(), HasSubstr("libpmix.so.2"));
    GTEST_SKIP() << "no PMIx library here: " << loaded.error().message();
  }
  EXPECT_NE(loaded->fence_nb, nullptr);
  EXPECT_STRNE(loaded->error_string(PMIX_ERR_TIMEOUT), "");
}

}  // namespace
}  // namespace tutti
