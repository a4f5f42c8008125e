#include "topology/cpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace tutti {
namespace {

std::optional<int> parse_cpu(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value >= kMaxCpu) return std::nullopt;
  return value;
}

// "3" or "0-3", appended if it goes on from what is there.
bool append_range(std::string_view text, std::size_t limit, std::vector<int>& cpus) {
  const std::size_t dash = text.find('-');
  const auto first = parse_cpu(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_cpu(text.substr(dash + 1));
  if (!first || !last || *last < *first) return false;
  if (!cpus.empty() && *first <= cpus.back()) return false;
  if (cpus.size() + static_cast<std::size_t>(*last - *first) >= limit) return false;
  for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
  return true;
}

}  // namespace

std::string format_cpus(std::span<const int> cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text += end - i == 1 ? fmt::format("{}", cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[end - 1]);
    i = end;
  }
  return text;
}

std::optional<std::vector<int>> parse_cpus(std::string_view text, std::size_t limit) {
  std::vector<int> cpus;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (!append_range(text.substr(0, comma), limit, cpus)) return std::nullopt;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return std::nullopt;
  }
  return cpus;
}

std::optional<CpuBitmap> CpuBitmap::parse(std::string_view text) {
  constexpr std::size_t kMaxWords = kMaxCpu / 32;
  CpuBitmap bitmap;
  if (text.starts_with("0xf...f")) {
    bitmap.infinite_ = true;
    text.remove_prefix(7);
    if (text.starts_with(",")) text.remove_prefix(1);
    if (text.empty()) return bitmap;
  }
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    if (word.starts_with("0x")) word.remove_prefix(2);
    std::uint32_t value = 0;
    if (!word.empty()) {
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, 16);
      if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
    }
    bitmap.words_.push_back(value);
    if (bitmap.words_.size() > kMaxWords) return std::nullopt;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::reverse(bitmap.words_.begin(), bitmap.words_.end());
  return bitmap;
}

bool CpuBitmap::contains(int cpu) const noexcept {
  const auto word = static_cast<std::size_t>(cpu) / 32;
  if (word >= words_.size()) return infinite_;
  return (words_[word] >> (cpu % 32) & 1u) != 0;
}

std::vector<int> CpuBitmap::cpus() const {
  std::vector<int> result;
  for (int cpu = 0; cpu < static_cast<int>(words_.size()) * 32; ++cpu) {
    if (contains(cpu)) result.push_back(cpu);
  }
  return result;
}

}  // namespace tutti
