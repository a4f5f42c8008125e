#include <fmt/format.h>

#include <algorithm>

#include "algorithms/registry.h"

namespace tutti {

AlgorithmTable::AlgorithmTable() {
  for (const Algorithm& a : algorithms()) rows_.push_back(&a);
}

Status AlgorithmTable::add(std::shared_ptr<const Algorithm> row) {
  if (const Algorithm* other = find(row->collective, row->name))
    return Error(Code::invalid_argument,
                 fmt::format("there is {} {} already, {}: give this one another name", name(row->collective), row->name,
                             other->origin.empty() ? "in the library" : fmt::format("from {}", other->origin)));
  const auto last = std::ranges::find(rows_.rbegin(), rows_.rend(), row->collective, &Algorithm::collective);
  rows_.insert(last == rows_.rend() ? rows_.end() : last.base(), row.get());
  own_.push_back(std::move(row));
  return {};
}

std::vector<const Algorithm*> AlgorithmTable::of(Collective collective) const {
  std::vector<const Algorithm*> found;
  std::ranges::copy_if(rows_, std::back_inserter(found), [&](const Algorithm* a) { return a->collective == collective; });
  return found;
}

const Algorithm* AlgorithmTable::find(Collective collective, std::string_view name) const noexcept {
  const auto found =
      std::ranges::find_if(rows_, [&](const Algorithm* a) { return a->collective == collective && a->name == name; });
  return found == rows_.end() ? nullptr : *found;
}

std::string AlgorithmTable::names(Collective collective) const {
  std::string names;
  for (const Algorithm* a : of(collective)) names += (names.empty() ? "" : ", ") + std::string(a->name);
  return names;
}

}  // namespace tutti
