#include "select/measurements.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace tutti {
namespace {

bool before(const Measurement& m, const Variant& variant, std::uint64_t bytes) {
  return std::tie(m.variant, m.block_bytes) < std::tie(variant, bytes);
}

}  // namespace

Measurements::Measurements(std::vector<Measurement> all, std::string source)
    : all_(std::move(all)), sizes_(kCollectives), source_(std::move(source)) {
  std::ranges::stable_sort(all_, [](const Measurement& a, const Measurement& b) { return before(a, b.variant, b.block_bytes); });
  const auto same = [](const Measurement& a, const Measurement& b) {
    return a.variant == b.variant && a.block_bytes == b.block_bytes;
  };
  all_.erase(all_.begin(), std::unique(all_.rbegin(), all_.rend(), same).base());
  for (const Measurement& m : all_) sizes_[static_cast<std::size_t>(m.variant.collective)].push_back(m.block_bytes);
  for (auto& sizes : sizes_) {
    std::ranges::sort(sizes);
    sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  }
}

bool Measurements::has(Collective collective, std::uint64_t block_bytes) const {
  return !all_.empty() && std::ranges::binary_search(sizes_[static_cast<std::size_t>(collective)], block_bytes);
}

const Measurement* Measurements::find(const Variant& variant, std::uint64_t block_bytes) const {
  const auto at = std::lower_bound(all_.begin(), all_.end(), variant,
                                   [&](const Measurement& m, const Variant& v) { return before(m, v, block_bytes); });
  return at != all_.end() && at->variant == variant && at->block_bytes == block_bytes ? &*at : nullptr;
}

std::optional<double> Measurements::time_us(const Variant& variant, std::uint64_t bytes,
                                            const std::function<double(std::uint64_t)>& model_us) const {
  if (all_.empty()) return {};
  const auto& sizes = sizes_[static_cast<std::size_t>(variant.collective)];
  if (sizes.empty() || bytes < sizes.front() / 2 || bytes / 2 > sizes.back()) return {};
  const auto above = std::ranges::lower_bound(sizes, bytes);
  const bool below_all = above == sizes.begin(), above_all = above == sizes.end();
  const Measurement* high = above_all ? nullptr : find(variant, *above);
  if (high != nullptr && high->block_bytes == bytes) return high->us;
  const Measurement* low = below_all ? nullptr : find(variant, *(above - 1));
  if (below_all || above_all) {
    const Measurement* end = below_all ? high : low;
    if (end == nullptr) return {};
    return end->us * model_us(bytes) / model_us(end->block_bytes);
  }
  if (low == nullptr || high == nullptr) return {};
  const auto at = [](std::uint64_t size) { return std::log(static_cast<double>(size) + 1); };
  const double way = (at(bytes) - at(low->block_bytes)) / (at(high->block_bytes) - at(low->block_bytes));
  return low->us * std::pow(high->us / low->us, way);
}

}  // namespace tutti
