#include "cli/perf_data.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "cli/sizes.h"
#include "kernels/kernels.h"

namespace tutti {
namespace {

constexpr std::uint64_t kPeriod = 4099;  // elements, prime

std::uint64_t mix(std::uint64_t x) {  // splitmix64's finalizer
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

struct FloatFormat {
  int mantissa_bits, bias;
};

// A small number in a floating point format of any width.
std::uint64_t encode(unsigned value, FloatFormat f) {
  if (value == 0) return 0;
  const int exponent = std::bit_width(value) - 1;
  const std::uint64_t mantissa =
      (std::uint64_t{value} << f.mantissa_bits >> exponent) & ((std::uint64_t{1} << f.mantissa_bits) - 1);
  return static_cast<std::uint64_t>(exponent + f.bias) << f.mantissa_bits | mantissa;
}

void store(DataType type, unsigned value, std::byte* to) {
  std::uint64_t bits = value;
  switch (type) {
    case DataType::i8:
    case DataType::u8:
    case DataType::i16:
    case DataType::u16:
    case DataType::i32:
    case DataType::u32:
    case DataType::i64:
    case DataType::u64:
      break;
    case DataType::boolean:
      bits = value != 0;
      break;
    case DataType::f16:
      bits = encode(value, {10, 15});
      break;
    case DataType::bf16:
      bits = encode(value, {7, 127});
      break;
    case DataType::c64:
    case DataType::f32:
      bits = encode(value, {23, 127});
      break;
    case DataType::c128:
    case DataType::f64:
      bits = encode(value, {52, 1023});
      break;
    case DataType::f8e4m3:
      bits = encode(value, {3, 7});
      break;
    case DataType::f8e5m2:
      bits = encode(value, {2, 15});
      break;
  }
  std::memset(to, 0, size_of(type));  // imaginary parts are 0
  std::memcpy(to, &bits, std::min<std::size_t>(size_of(type), 8));
}

// At most eight ranks contribute a one to a sum, and at most three a two to a product: exact even in eight bits.
unsigned operand(const PerfCase& c, Rank rank, std::uint64_t index) {
  const auto r = static_cast<std::uint64_t>(rank), p = static_cast<std::uint64_t>(c.ranks);
  const std::uint64_t turn = (mix(index) + r) % p;
  if (c.op.kind == ReduceKind::prod) return turn < 3 ? 2 : 1;
  if (c.op.kind == ReduceKind::sum || c.op.kind == ReduceKind::avg || c.op.kind == ReduceKind::premul_sum)
    return turn < 8 ? static_cast<unsigned>(mix(index * p + r) & 1) : 0;
  return static_cast<unsigned>(mix(index * p + r) % 8);
}

// The first period of a block of a rank's input; all of it where it is shorter.
std::vector<std::byte> input_pattern(const PerfCase& c, Rank rank, Rank block) {
  const std::size_t size = size_of(c.type);
  const std::uint64_t n = std::min(c.count, kPeriod), begin = static_cast<std::uint64_t>(block) * kPeriod;
  std::vector<std::byte> pattern(n * size);
  for (std::uint64_t i = 0; i < n; ++i) {
    if (reduces(c.collective)) {
      store(c.type, operand(c, rank, begin + i), &pattern[i * size]);
    } else {
      const std::uint64_t words[2] = {mix((begin + i) * 1315423911 + static_cast<std::uint64_t>(rank)), begin + i};
      std::memcpy(&pattern[i * size], words, size);
    }
  }
  return pattern;
}

// Ranks 0 to until - 1 combined.
std::vector<std::byte> combined_pattern(const PerfCase& c, Rank block, Rank until) {
  std::vector<std::byte> sum;
  const std::uint64_t n = std::min(c.count, kPeriod);
  for (Rank r = 0; r < until; ++r) {
    auto next = input_pattern(c, r, block);
    if (c.op.kind == ReduceKind::premul_sum) kernels::prepare(c.op, c.type, next.data(), next.data(), n);
    if (r == 0)
      sum = std::move(next);
    else
      kernels::reduce2(c.op, c.type, sum.data(), next.data(), sum.data(), n);
  }
  kernels::finish(c.op, c.type, sum.data(), n, c.ranks);
  return sum;
}

// The first period of what a block of this rank's output must be.
std::vector<std::byte> output_pattern(const PerfCase& c, Rank block) {
  switch (c.collective) {
    case Collective::broadcast:
      return input_pattern(c, c.root, 0);
    case Collective::scatter:
      return input_pattern(c, c.root, c.me);
    case Collective::all_gather:
    case Collective::gather:
      return input_pattern(c, block, 0);
    case Collective::all_to_all:
      return input_pattern(c, block, c.me);
    case Collective::send_recv:
      return input_pattern(c, (c.me + c.ranks - 1) % c.ranks, 0);
    case Collective::barrier:
      return {};
    case Collective::all_reduce:
    case Collective::reduce:
      return combined_pattern(c, 0, c.ranks);
    case Collective::reduce_scatter:
      return combined_pattern(c, c.me, c.ranks);
    case Collective::scan:
      return combined_pattern(c, 0, c.me + 1);
    case Collective::exscan:
      return combined_pattern(c, 0, c.me);
  }
  return {};
}

// Elements that differ from the pattern, repeated.
std::uint64_t count_differing(const std::vector<std::byte>& pattern, const std::byte* data, std::uint64_t bytes,
                              std::size_t size) {
  std::uint64_t differing = 0;
  for (std::uint64_t at = 0; at < bytes; at += pattern.size()) {
    const std::uint64_t n = std::min<std::uint64_t>(pattern.size(), bytes - at);
    if (std::memcmp(pattern.data(), data + at, n) == 0) continue;
    for (std::uint64_t i = 0; i < n; i += size) differing += std::memcmp(&pattern[i], data + at + i, size) != 0;
  }
  return differing;
}

}  // namespace

std::uint64_t PerfCase::bytes() const {
  return count * (has_blocks(collective) ? static_cast<std::uint64_t>(ranks) : 1) * size_of(type);
}

std::uint64_t PerfCase::input_count() const {
  const bool many =
      collective == Collective::reduce_scatter || collective == Collective::scatter || collective == Collective::all_to_all;
  const bool none = (collective == Collective::scatter || collective == Collective::broadcast) && me != root;
  return none ? 0 : many ? count * static_cast<std::uint64_t>(ranks) : count;
}

std::uint64_t PerfCase::output_count() const {
  const bool many =
      collective == Collective::all_gather || collective == Collective::gather || collective == Collective::all_to_all;
  const bool none = ((collective == Collective::gather || collective == Collective::reduce) && me != root) ||
                    (collective == Collective::exscan && me == 0);
  return none ? 0 : many ? count * static_cast<std::uint64_t>(ranks) : count;
}

void fill_input(const PerfCase& c, std::byte* input) {
  const std::uint64_t block_bytes = c.count * size_of(c.type), total = c.input_count() * size_of(c.type);
  for (Rank block = 0; static_cast<std::uint64_t>(block) * block_bytes < total; ++block) {
    const auto pattern = input_pattern(c, c.me, block);
    std::byte* to = input + static_cast<std::uint64_t>(block) * block_bytes;
    for (std::uint64_t at = 0; at < block_bytes; at += pattern.size())
      std::memcpy(to + at, pattern.data(), std::min<std::uint64_t>(pattern.size(), block_bytes - at));
  }
}

std::uint64_t count_wrong(const PerfCase& c, const std::byte* output) {
  const std::uint64_t block_bytes = c.count * size_of(c.type), total = c.output_count() * size_of(c.type);
  std::uint64_t wrong = 0;
  for (Rank block = 0; static_cast<std::uint64_t>(block) * block_bytes < total; ++block)
    wrong += count_differing(output_pattern(c, block), output + static_cast<std::uint64_t>(block) * block_bytes, block_bytes,
                             size_of(c.type));
  return wrong;
}

}  // namespace tutti
