// Copies and reductions whose results pass by the caches (non-temporal stores).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/past_caches.cpp"
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

constexpr std::size_t kLine = 64;  // non-temporal stores want whole, aligned lines

std::size_t bytes_to_line(const void* p) { return (kLine - reinterpret_cast<std::uintptr_t>(p) % kLine) % kLine; }

// `out` begins a line. Returns how many bytes were whole lines.
HWY_INLINE std::size_t stream_lines(std::uint8_t* HWY_RESTRICT out, const std::uint8_t* HWY_RESTRICT in, std::size_t bytes) {
  const hn::ScalableTag<std::uint8_t> d;
  constexpr std::size_t step = hn::MaxLanes(d);
  std::size_t at = 0;
  for (; at + kLine <= bytes; at += kLine)
    for (std::size_t part = 0; part < kLine; part += step) hn::Stream(hn::LoadU(d, in + at + part), d, out + at + part);
  return at;
}

void stream_copy_here(void* to, const void* from, std::size_t bytes) {
  auto* out = static_cast<std::uint8_t*>(to);
  const auto* in = static_cast<const std::uint8_t*>(from);
  const std::size_t head = std::min(bytes, bytes_to_line(out));
  std::memcpy(out, in, head);
  const std::size_t end = head + stream_lines(out + head, in + head, bytes - head);
  std::memcpy(out + end, in + end, bytes - end);
  hwy::FlushStream();
}

// Reduces into a tile and streams that out, so that kernels need not know about lines. The tile is so small that the core already
// reads the inputs of the next one while it stores this one.
void stream_fold_here(Kernel kernel, std::size_t element_bytes, const Job& job) {
  constexpr std::size_t kTile = 512;
  alignas(kLine) std::uint8_t tile[kTile];
  const std::size_t to_line = bytes_to_line(job.out);
  const bool never = to_line % element_bytes != 0;  // no element begins a line
  const std::size_t head = never ? job.count : std::min(job.count, to_line / element_bytes);
  const std::size_t tiled = (job.count - head) * element_bytes / kTile * kTile / element_bytes;
  auto* out = static_cast<std::uint8_t*>(job.out) + head * element_bytes;

  Job piece = job;
  piece.count = head;
  kernel(piece);
  piece.first += head;
  piece.count = kTile / element_bytes;
  piece.out = tile;
  for (const std::uint8_t* end = out + tiled * element_bytes; out != end; out += kTile) {
    kernel(piece);
    stream_lines(out, tile, kTile);
    piece.first += piece.count;
  }
  piece.count = job.count - head - tiled;
  piece.out = out;
  kernel(piece);
  hwy::FlushStream();
}

std::int64_t instruction_set_bit_here() { return HWY_TARGET; }

}  // namespace HWY_NAMESPACE
}  // namespace tutti::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tutti::kernels {

HWY_EXPORT(stream_copy_here);
HWY_EXPORT(stream_fold_here);
HWY_EXPORT(instruction_set_bit_here);

void stream_copy(void* to, const void* from, std::size_t bytes) { HWY_DYNAMIC_DISPATCH(stream_copy_here)(to, from, bytes); }
void stream_fold(Kernel kernel, std::size_t element_bytes, const Job& job) {
  HWY_DYNAMIC_DISPATCH(stream_fold_here)(kernel, element_bytes, job);
}
std::int64_t instruction_set_bit() { return HWY_DYNAMIC_DISPATCH(instruction_set_bit_here)(); }

}  // namespace tutti::kernels
#endif
