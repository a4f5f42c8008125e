#include "cli/perf_data.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "cli/sizes.h"
#include "kernels/kernels.h"

namespace tutti {
namespace {

constexpr std::uint64_t kTile = 4096;  // elements compared at a time

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

// Elements [begin, begin + n) of a rank's input, counted over all its blocks.
void generate(const PerfCase& c, Rank rank, std::uint64_t begin, std::uint64_t n, std::byte* to) {
  const std::size_t size = size_of(c.type);
  for (std::uint64_t i = 0; i < n; ++i) {
    if (reduces(c.collective)) {
      store(c.type, operand(c, rank, begin + i), to + i * size);
    } else {
      const std::uint64_t words[2] = {mix((begin + i) * 1315423911 + static_cast<std::uint64_t>(rank)), begin + i};
      std::memcpy(to + i * size, words, size);
    }
  }
}

// What elements [begin, begin + n) of this rank's output must be.
void expect(const PerfCase& c, std::uint64_t begin, std::uint64_t n, std::vector<std::byte>& tile) {
  const std::size_t size = size_of(c.type);
  tile.resize(n * size);
  const std::uint64_t block = c.count == 0 ? 0 : begin / c.count, within = c.count == 0 ? 0 : begin % c.count;
  const auto mine = static_cast<std::uint64_t>(c.me);
  switch (c.collective) {
    case Collective::broadcast:
      return generate(c, c.root, begin, n, tile.data());
    case Collective::scatter:
      return generate(c, c.root, mine * c.count + begin, n, tile.data());
    case Collective::all_gather:
    case Collective::gather:
      return generate(c, static_cast<Rank>(block), within, n, tile.data());
    case Collective::all_to_all:
      return generate(c, static_cast<Rank>(block), mine * c.count + within, n, tile.data());
    case Collective::send_recv:
      return generate(c, (c.me + c.ranks - 1) % c.ranks, begin, n, tile.data());
    case Collective::barrier:
      return;
    case Collective::all_reduce:
    case Collective::reduce:
    case Collective::reduce_scatter:
    case Collective::scan:
    case Collective::exscan:
      break;
  }
  const Rank until = c.collective == Collective::scan ? c.me + 1 : c.collective == Collective::exscan ? c.me : c.ranks;
  const std::uint64_t from = c.collective == Collective::reduce_scatter ? mine * c.count + begin : begin;
  std::vector<std::byte> next(tile.size());
  for (Rank r = 0; r < until; ++r) {
    std::byte* to = r == 0 ? tile.data() : next.data();
    generate(c, r, from, n, to);
    ReduceOp op = c.op;
    op.scalar = 2;
    if (c.op.kind == ReduceKind::premul_sum) kernels::prepare(op, c.type, to, to, n);
    if (r > 0) kernels::reduce2(c.op, c.type, tile.data(), next.data(), tile.data(), n);
  }
  kernels::finish(c.op, c.type, tile.data(), n, c.ranks);
}

}  // namespace

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

void fill_input(const PerfCase& c, std::byte* input) { generate(c, c.me, 0, c.input_count(), input); }

std::uint64_t count_wrong(const PerfCase& c, const std::byte* output) {
  const std::size_t size = size_of(c.type);
  std::uint64_t wrong = 0;
  std::vector<std::byte> expected;
  const std::uint64_t total = c.output_count();
  for (std::uint64_t at = 0; at < total;) {
    // A tile stays inside one block.
    const std::uint64_t n = std::min({kTile, total - at, c.count - at % c.count});
    expect(c, at, n, expected);
    if (std::memcmp(expected.data(), output + at * size, n * size) != 0)
      for (std::uint64_t i = 0; i < n; ++i) wrong += std::memcmp(&expected[i * size], output + (at + i) * size, size) != 0;
    at += n;
  }
  return wrong;
}

}  // namespace tutti
