// Copies past the caches.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/copy.cpp"
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/job.h"

HWY_BEFORE_NAMESPACE();
namespace tutti::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void stream_copy_here(void* to, const void* from, std::size_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  constexpr std::size_t step = hn::MaxLanes(d);
  constexpr std::size_t line = 64;  // non-temporal stores want whole, aligned lines
  auto* out = static_cast<std::uint8_t*>(to);
  const auto* in = static_cast<const std::uint8_t*>(from);
  const std::size_t head = std::min(bytes, (line - reinterpret_cast<std::uintptr_t>(out) % line) % line);
  std::memcpy(out, in, head);
  std::size_t at = head;
  for (; at + line <= bytes; at += line)
    for (std::size_t part = 0; part < line; part += step) hn::Stream(hn::LoadU(d, in + at + part), d, out + at + part);
  std::memcpy(out + at, in + at, bytes - at);
}

std::int64_t instruction_set_bit_here() { return HWY_TARGET; }

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tutti::kernels {

HWY_EXPORT(stream_copy_here);
HWY_EXPORT(instruction_set_bit_here);

void stream_copy(void* to, const void* from, std::size_t bytes) { HWY_DYNAMIC_DISPATCH(stream_copy_here)(to, from, bytes); }
void stream_fence() { hwy::FlushStream(); }

std::int64_t instruction_set_bit() { return HWY_DYNAMIC_DISPATCH(instruction_set_bit_here)(); }

}  // namespace tutti::kernels
#endif
