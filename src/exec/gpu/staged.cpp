#include "gpu/staged.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace tutti::gpu {
namespace {

constexpr std::uint64_t kUnit = 256, kLeast = std::uint64_t{2} << 20;

}  // namespace

// An offset, for now.
Address Staged::take(Address users, std::uint64_t bytes) {
  // As the buffer is aligned, so is its copy.
  const std::uint64_t at = used_ + users % kUnit;
  used_ = (at + bytes + kUnit - 1) / kUnit * kUnit;
  return at;
}

Status Staged::reserve(std::uint64_t bytes) {
  bytes += kUnit;
  if (!memory_.empty() && memory_.back()->bytes() >= bytes) return {};
  auto memory = DeviceMemory::make(driver_, context_, std::bit_ceil(std::max(bytes, kLeast)));
  if (!memory) return memory.because("copies of buffers that the device cannot reach");
  memory_.push_back(std::move(*memory));
  return {};
}

Result<std::vector<DeviceBuffers>> Staged::enter(std::span<const DeviceBuffers> buffers, std::span<const Extents> extents,
                                                 const std::function<bool(Address)>& needs, bool apart, StreamHandle stream) {
  used_ = 0;
  in_.clear();
  out_.clear();
  std::vector<DeviceBuffers> used(buffers.begin(), buffers.end());
  std::vector<Address*> offsets;
  Address whole = 0;  // where both buffers lie together
  for (std::size_t i = 0; i < used.size(); ++i) {
    auto& [input, output] = used[i];
    const auto [in, out] = extents[i];
    const bool together = in > 0 && out > 0 && input < output + out && output < input + in;
    bool stages_input = in > 0 && needs(input), stages_output = out > 0 && needs(output);
    const Address begin = together ? std::min(input, output) : 0;
    if (together && apart) {
      stages_input = true;
    } else if (together && (stages_input || stages_output)) {
      stages_input = stages_output = true;
      whole = take(begin, std::max(input + in, output + out) - begin);
    }
    const auto place = [&](Address& buffer, std::uint64_t bytes, std::vector<Copy>& copies) {
      copies.push_back({buffer, together && !apart ? whole + (buffer - begin) : take(buffer, bytes), bytes});
      buffer = copies.back().staged;
      offsets.push_back(&buffer);
    };
    if (stages_input) place(input, in, in_);
    if (stages_output) place(output, out, out_);
  }
  if (used_ == 0) return used;
  if (auto s = reserve(used_); !s) return std::move(s.error());
  for (Address* offset : offsets) *offset += memory_.back()->at();
  for (const Copy& c : in_)
    if (auto s = check(driver_, driver_.copy(memory_.back()->at() + c.staged, c.users, c.bytes, stream), "cuMemcpyAsync"); !s)
      return std::move(s.error());
  return used;
}

Status Staged::leave(StreamHandle stream) {
  for (const Copy& c : out_)
    if (auto s = check(driver_, driver_.copy(c.users, memory_.back()->at() + c.staged, c.bytes, stream), "cuMemcpyAsync"); !s)
      return s;
  return {};
}

std::uint64_t Staged::memory_bytes() const noexcept {
  return std::accumulate(memory_.begin(), memory_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& memory) { return sum + memory->bytes(); });
}

}  // namespace tutti::gpu
