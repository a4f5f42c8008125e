#include "verify/contributions.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/hash.h"
#include "core/numerics.h"

namespace tutti::verifier {
namespace {
constexpr std::uint32_t kFree = UINT32_MAX;
}

// A ring of p ranks makes p * p joins, each of them for many chunks one after the other.
Contributions::Contributions(Rank ranks)
    : begin_{0},
      table_(64, kFree),
      cache_(std::bit_ceil(std::clamp<std::size_t>(64 * static_cast<std::size_t>(ranks), 64, 1U << 16))) {
  for (Rank r = 0; r < ranks; ++r) (void)range(r, r);
}

Contributions::Set Contributions::range(Rank first, Rank last) {
  const Run run{first, last};
  return intern({&run, 1});
}

Contributions::Joined Contributions::join(Set a, Set b) {
  if (a > b) std::swap(a, b);
  const std::uint32_t hash = a * 0x9e3779b1U ^ b * 0x85ebca77U;
  Cached& cached = cache_[(hash ^ hash >> 16) & (cache_.size() - 1)];
  if (cached.a == a && cached.b == b) return cached.joined;

  const auto x = runs(a), y = runs(b);
  bool overlap = false;
  scratch_.clear();
  for (std::size_t i = 0, j = 0; i < x.size() || j < y.size();) {
    const bool take_x = j == y.size() || (i < x.size() && x[i].first < y[j].first);
    const Run next = take_x ? x[i++] : y[j++];
    if (scratch_.empty() || next.first > scratch_.back().last + 1) {
      scratch_.push_back(next);
      continue;
    }
    overlap |= next.first <= scratch_.back().last;
    scratch_.back().last = std::max(scratch_.back().last, next.last);
  }
  cached = {a, b, {intern(scratch_), overlap}};
  return cached.joined;
}

bool Contributions::follows(Set a, Set b) const {
  const auto x = runs(a), y = runs(b);
  return x.size() == 1 && y.size() == 1 && x[0].last + 1 == y[0].first;
}

bool Contributions::halves(Set a, Set b) const {
  if (follows(b, a)) std::swap(a, b);
  if (!follows(a, b)) return false;
  const auto left = static_cast<std::uint64_t>(runs(a)[0].last - runs(a)[0].first + 1);
  const auto right = static_cast<std::uint64_t>(runs(b)[0].last - runs(b)[0].first + 1);
  return left == canonical_split(left + right);
}

std::string Contributions::text(Set set) const {
  std::string text;
  for (const Run& run : runs(set)) {
    if (text.size() > 100) return text + ",...";
    if (!text.empty()) text += ',';
    text += run.first == run.last ? fmt::format("{}", run.first) : fmt::format("{}-{}", run.first, run.last);
  }
  return text;
}

Contributions::Set Contributions::intern(std::span<const Run> wanted) {
  const auto hash = [](std::span<const Run> r) {
    Hasher hasher;
    for (const Run& run : r) hasher.value(run.first).value(run.last);
    return hasher.result();
  };
  if ((begin_.size() - 1) * 2 >= table_.size()) {
    table_.assign(table_.size() * 2, kFree);
    for (Set s = 0; s + 1 < begin_.size(); ++s) {
      auto at = hash(runs(s)) & (table_.size() - 1);
      while (table_[at] != kFree) at = (at + 1) & (table_.size() - 1);
      table_[at] = s;
    }
  }
  auto at = hash(wanted) & (table_.size() - 1);
  for (; table_[at] != kFree; at = (at + 1) & (table_.size() - 1))
    if (std::ranges::equal(runs(table_[at]), wanted)) return table_[at];
  const auto fresh = static_cast<Set>(begin_.size() - 1);
  table_[at] = fresh;
  pool_.insert(pool_.end(), wanted.begin(), wanted.end());
  begin_.push_back(pool_.size());
  return fresh;
}

}  // namespace tutti::verifier
