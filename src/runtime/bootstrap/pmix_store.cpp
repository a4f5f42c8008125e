#include "bootstrap/pmix_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace tutti {
namespace {

pmix_info_t directive(const char* key) {
  pmix_info_t info{};
  std::strncpy(info.key, key, PMIX_MAX_KEYLEN);
  return info;
}

// Shared with the library, which may call back after we have given up waiting.
struct Fence {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<pmix_status_t> status;

  static void done(pmix_status_t status, void* context) {
    std::unique_ptr<std::shared_ptr<Fence>> hold(static_cast<std::shared_ptr<Fence>*>(context));
    Fence& fence = **hold;
    const std::lock_guard lock(fence.mutex);
    fence.status = status;
    fence.changed.notify_all();
  }
};

}  // namespace

Result<std::unique_ptr<KeyValueStore>> PmixStore::open(const PmixTable& table, TimePoint deadline) {
  std::unique_ptr<PmixStore> store(new PmixStore(table, deadline));
  if (const auto status = table.init(&store->me_, nullptr, 0); status != PMIX_SUCCESS)
    return store->failed(status, "connecting to the launcher's PMIx server (PMIx_Init)");
  store->active_ = true;
  auto size = store->fetch(PMIX_RANK_WILDCARD, PMIX_JOB_SIZE);
  if (!size) return size.because("asking for the number of ranks");
  if (size->type != PMIX_UINT32 || size->data.uint32 < 1 || size->data.uint32 > static_cast<std::uint32_t>(kMaxRanks) ||
      store->me_.rank >= size->data.uint32)
    return Error(Code::protocol, fmt::format("the PMIx server says that this is rank {} of {} (type {})", store->me_.rank,
                                             size->data.uint32, size->type));
  store->size_ = static_cast<Rank>(size->data.uint32);
  return std::unique_ptr<KeyValueStore>(std::move(store));
}

PmixStore::~PmixStore() { (void)finish(); }

Status PmixStore::finish() {
  if (!std::exchange(active_, false)) return {};
  const auto status = table_.finalize(nullptr, 0);
  return status == PMIX_SUCCESS ? Status{} : failed(status, "taking leave of the PMIx server (PMIx_Finalize)");
}

Error PmixStore::failed(pmix_status_t status, std::string_view what) const {
  const bool late = status == PMIX_ERR_TIMEOUT;
  return {late ? Code::timeout : Code::environment,
          fmt::format("{}: {} ({}){}", what, table_.error_string(status), status,
                      late ? ": did every rank start?" : "; TUTTI_RENDEZVOUS=host:port does without PMIx")};
}

int PmixStore::seconds_left() const {
  return static_cast<int>(
      std::clamp<long long>(std::chrono::ceil<std::chrono::seconds>(deadline_ - Clock::now()).count(), 1, 1 << 30));
}

Status PmixStore::put(const std::string& key, const std::string& value) {
  std::string copy = value;
  pmix_value_t wrapped{};
  wrapped.type = PMIX_STRING;
  wrapped.data.string = copy.data();
  const auto status = table_.put(PMIX_GLOBAL, ("tutti." + key).c_str(), &wrapped);
  return status == PMIX_SUCCESS ? Status{} : failed(status, "PMIx_Put of " + key);
}

Status PmixStore::fence() {
  if (const auto status = table_.commit(); status != PMIX_SUCCESS) return failed(status, "PMIx_Commit");
  pmix_info_t collect = directive(PMIX_COLLECT_DATA);
  collect.value.type = PMIX_BOOL;
  collect.value.data.flag = true;
  auto fence = std::make_shared<Fence>();
  auto hold = std::make_unique<std::shared_ptr<Fence>>(fence);
  const auto status = table_.fence_nb(nullptr, 0, &collect, 1, Fence::done, hold.get());
  if (status == PMIX_OPERATION_SUCCEEDED) return {};
  if (status != PMIX_SUCCESS) return failed(status, "PMIx_Fence");
  (void)hold.release();  // the callback's now
  std::unique_lock lock(fence->mutex);
  if (!fence->changed.wait_until(lock, deadline_, [&] { return fence->status.has_value(); }))
    return failed(PMIX_ERR_TIMEOUT, "waiting for all ranks at the PMIx fence");
  return *fence->status == PMIX_SUCCESS ? Status{} : failed(*fence->status, "PMIx_Fence");
}

Result<pmix_value_t> PmixStore::fetch(pmix_rank_t owner, const std::string& key) {
  pmix_proc_t whose = me_;
  whose.rank = owner;
  pmix_info_t timeout = directive(PMIX_TIMEOUT);
  timeout.value.type = PMIX_INT;
  timeout.value.data.integer = seconds_left();
  pmix_value_t* found = nullptr;
  const auto status = table_.get(&whose, key.c_str(), &timeout, 1, &found);
  if (status != PMIX_SUCCESS || found == nullptr) return failed(status, fmt::format("PMIx_Get of {}", key));
  const pmix_value_t value = *found;
  std::free(found);  // what PMIX_VALUE_RELEASE does, without needing the library's own functions
  return value;
}

Result<std::string> PmixStore::get(Rank owner, const std::string& key) {
  auto value = fetch(static_cast<pmix_rank_t>(owner), "tutti." + key);
  if (!value) return value.because(fmt::format("rank {}'s entry", owner));
  if (value->type != PMIX_STRING || value->data.string == nullptr)
    return Error(Code::protocol, fmt::format("rank {}'s entry {} in the PMIx store is no text", owner, key));
  std::string text = value->data.string;
  std::free(value->data.string);
  return text;
}

}  // namespace tutti
