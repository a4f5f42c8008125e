#include "bootstrap/key_value_store.h"

#include <fmt/format.h>

#include "bootstrap/pmi1.h"
#include "bootstrap/pmix_store.h"

namespace tutti {
namespace {

// Variables that were inherited from another program would make this process pose as one of its ranks.
Status check_place(const KeyValueStore& store, const Launch& launch) {
  if (launch.size == 0 || (store.rank() == launch.rank && store.size() == launch.size)) return {};
  return Error(Code::environment, fmt::format("{}'s variables say rank {} of {}, its server says rank {} of {}",
                                              name(launch.kind), launch.rank, launch.size, store.rank(), store.size()));
}

Result<std::unique_ptr<KeyValueStore>> open_unchecked(const Launch& launch, TimePoint deadline) {
  if (launch.meeting == Meeting::pmi) return Pmi1Store::open(launch, deadline);
  auto table = load_pmix();
  if (!table) return std::move(table.error());
  return PmixStore::open(*table, deadline);
}

}  // namespace

Result<std::unique_ptr<KeyValueStore>> open_store(const Launch& launch, TimePoint deadline) {
  auto store = open_unchecked(launch, deadline);
  if (!store) return store;
  if (auto s = check_place(**store, launch); !s) return std::move(s.error());
  return store;
}

}  // namespace tutti
