// Sets of PU numbers: as lists ("0-3,8"), as hwloc bitmaps ("0x00000001,0x000000ff"), as ranges of a binding.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tutti {

inline constexpr int kMaxCpu = 1 << 20;
inline constexpr std::size_t kMaxCpusPerCore = 64;

// Ascending numbers as "0-3,8". Empty: "".
[[nodiscard]] std::string format_cpus(std::span<const int> cpus);
// The reverse; nothing when malformed, not ascending, beyond kMaxCpu or more than `limit` of them.
[[nodiscard]] std::optional<std::vector<int>> parse_cpus(std::string_view text, std::size_t limit = kMaxCpu);

// hwloc's bitmap text: 32-bit words in hexadecimal, most significant first, "0xf...f" first when it goes on for ever.
class CpuBitmap {
 public:
  [[nodiscard]] static std::optional<CpuBitmap> parse(std::string_view text);
  [[nodiscard]] bool contains(int cpu) const noexcept;
  // Ascending; without those that "0xf...f" stands for.
  [[nodiscard]] std::vector<int> cpus() const;

 private:
  std::vector<std::uint32_t> words_;  // least significant first
  bool infinite_ = false;
};

}  // namespace tutti
