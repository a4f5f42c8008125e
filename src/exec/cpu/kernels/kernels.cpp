#include "kernels/kernels.h"

#include <fmt/format.h>
#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/job.h"
#include "kernels/scalar.h"

namespace tutti::kernels {
namespace {

constexpr std::size_t kTileBytes = 8192;  // two tiles and their sources stay in any first-level cache

std::byte* advance(void* p, std::size_t bytes) { return static_cast<std::byte*>(p) + bytes; }
const std::byte* advance(const void* p, std::size_t bytes) { return static_cast<const std::byte*>(p) + bytes; }

bool is_integer(DataType type) { return type <= DataType::u64; }

template <class T>
void divide(void* data, std::size_t count, std::int64_t divisor) {
  using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, advance(data, i * sizeof(T)), sizeof(T));
    value = static_cast<T>(static_cast<Wide>(value) / static_cast<Wide>(divisor));
    std::memcpy(advance(data, i * sizeof(T)), &value, sizeof(T));
  }
}

void divide_integers(DataType type, void* data, std::size_t count, std::int64_t divisor) {
  switch (type) {
    case DataType::i8:
      return divide<std::int8_t>(data, count, divisor);
    case DataType::u8:
      return divide<std::uint8_t>(data, count, divisor);
    case DataType::i16:
      return divide<std::int16_t>(data, count, divisor);
    case DataType::u16:
      return divide<std::uint16_t>(data, count, divisor);
    case DataType::i32:
      return divide<std::int32_t>(data, count, divisor);
    case DataType::u32:
      return divide<std::uint32_t>(data, count, divisor);
    case DataType::i64:
      return divide<std::int64_t>(data, count, divisor);
    case DataType::u64:
      return divide<std::uint64_t>(data, count, divisor);
    default:
      return;
  }
}

std::uint64_t truncated(double factor) {
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (std::isnan(factor)) return 0;
  if (factor >= kLimit) return static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (factor <= -kLimit) return static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::min());
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(factor));
}

// The job is in the lanes of its route.
void run(const Route& way, const Job& job) {
  if (const Kernel kernel = find(way.operation, way.lanes)) kernel(job);
}

// Calls visit(first element, elements) for one cache-sized piece after the other.
template <class Visit>
void for_each_tile(std::size_t count, std::size_t element_bytes, Visit visit) {
  const std::size_t tile = std::max<std::size_t>(kTileBytes / std::max<std::size_t>(element_bytes, 1), 1);
  for (std::size_t at = 0; at < count; at += tile) visit(at, std::min(tile, count - at));
}

// The piece [at, at + count) of a whole reduction, into `out`, where the piece begins.
Job piece_of(const Job& whole, std::size_t at, std::size_t count, void* out) {
  Job piece = whole;
  piece.first += at;
  piece.count = count;
  piece.out = out;
  return piece;
}

// Vectors do not divide integers: each piece is divided while it is still in the cache.
void fold_integer_mean(DataType type, const Job& job, int ranks) {
  const std::size_t size = size_of(type);
  for_each_tile(job.count, size, [&](std::size_t at, std::size_t count) {
    void* out = advance(job.out, at * size);
    run({Operation::sum, type}, piece_of(job, at, count, out));
    divide_integers(type, out, count, ranks);
  });
}

// A user's function accumulates into its second argument: the right half of the inputs, in a tile, because `out` may be any of
// them. The left half needs a tile of its own where it is more than one.
class UserFold {
 public:
  UserFold(const UserFunction& user, DataType type, std::size_t size, std::span<const void* const> inputs)
      : user_(user), type_(type), size_(size), tile_bytes_(std::max(kTileBytes, size)), inputs_(inputs) {
    const auto tiles = static_cast<std::size_t>(std::bit_width(inputs.size() - 1));
    if (tiles * tile_bytes_ > sizeof few_) many_.resize(tiles * tile_bytes_);
    tiles_ = many_.empty() ? few_ : many_.data();
  }

  void run(void* out, std::size_t count) {
    for_each_tile(count, size_, [&](std::size_t at, std::size_t elements) {
      at_ = at * size_;
      elements_ = elements;
      fold(inputs_, tiles_);
      std::memcpy(advance(out, at_), tiles_, elements * size_);
    });
  }

 private:
  // Into a tile; those behind it are free.
  void fold(std::span<const void* const> inputs, std::byte* tile) {
    if (inputs.size() == 1) {
      std::memcpy(tile, advance(inputs[0], at_), elements_ * size_);
      return;
    }
    const auto split = canonical_split(inputs.size());
    fold(inputs.subspan(split), tile);
    const std::byte* left = advance(inputs[0], at_);
    if (split > 1) {
      fold(inputs.first(split), tile + tile_bytes_);
      left = tile + tile_bytes_;
    }
    user_.apply(left, tile, elements_, type_, user_.context);
  }

  const UserFunction& user_;
  DataType type_;
  std::size_t size_, tile_bytes_;
  std::span<const void* const> inputs_;
  alignas(64) std::byte few_[2 * kTileBytes];  // as many as four inputs take
  std::vector<std::byte> many_;
  std::byte* tiles_;
  std::size_t at_ = 0, elements_ = 0;
};

}  // namespace

Status check(ReduceKind kind, DataType type) {
  if (supports(kind, type)) return {};
  return Error(Code::unsupported,
               fmt::format("{} is not defined on {}: choose another operator or type", name(kind), name(type)));
}

bool accumulates(ReduceKind kind, DataType type, Accumulation accumulation) {
  if (accumulation == Accumulation::usual) return supports(kind, type);
  const Route way = route_of(operation_of(kind), type);
  return kind != ReduceKind::user && find(way.operation, way.lanes, accumulation) != nullptr;
}

Reduction::Reduction(const ReduceOp& op, DataType type, int average_over, Accumulation accumulation)
    : element_bytes_(tutti::element_bytes(type, op)),
      op_(op),
      type_(type),
      average_over_(op.kind == ReduceKind::avg ? average_over : 0) {
  if (op.kind == ReduceKind::user || (average_over_ > 0 && is_integer(type))) return;
  const Route way = route_of(average_over_ > 0 ? Operation::mean : operation_of(op.kind), type);
  kernel_ = find(way.operation, way.lanes, accumulation);
  const Kernel half = accumulation == Accumulation::usual ? find_half_of_two(way.operation, way.lanes) : nullptr;
  kernel_of_two_ = half != nullptr ? half : kernel_;
  lanes_ = way.lanes;
  lanes_per_element_ = way.lanes_per_element;
  lane_bytes_ = size_of(way.lanes);
}

void Reduction::fold(std::span<const void* const> inputs, void* out, std::size_t count, bool past_caches) const {
  if (count == 0 || inputs.empty()) return;
  if (inputs.size() == 1 && average_over_ == 0) return copy(out, inputs[0], count * element_bytes_, past_caches);
  if (op_.kind == ReduceKind::user) return UserFold(op_.user, type_, element_bytes_, inputs).run(out, count);
  const Job job{.inputs = inputs.data(),
                .streams = inputs.size(),
                .first = 0,
                .out = out,
                .count = count * lanes_per_element_,
                .factor = static_cast<double>(average_over_),
                .type = lanes_};
  const Kernel kernel = inputs.size() == 2 ? kernel_of_two_ : kernel_;
  if (kernel == nullptr) return fold_integer_mean(type_, job, average_over_);
  if (past_caches && std::ranges::find(inputs, out) == inputs.end()) return stream_fold(kernel, lane_bytes_, job);
  kernel(job);
}

void fold(const ReduceOp& op, DataType type, std::span<const void* const> inputs, void* out, std::size_t count,
          const Options& options) {
  if (supports(op.kind, type))
    Reduction(op, type, options.average_over, options.accumulation).fold(inputs, out, count, options.past_caches);
}

void reduce2(const ReduceOp& op, DataType type, const void* left, const void* right, void* out, std::size_t count,
             const Options& options) {
  const std::array<const void*, 2> inputs{left, right};
  fold(op, type, inputs, out, count, options);
}

void prepare(const ReduceOp& op, DataType type, const void* in, void* out, std::size_t count) {
  if (count == 0) return;
  if (op.kind != ReduceKind::premul_sum || !supports(op.kind, type)) return copy(out, in, count * element_bytes(type, op));
  const Scalar given = op.scalar_at != nullptr ? read_scalar(op.scalar_at, type) : Scalar{op.scalar, truncated(op.scalar)};
  // Of all NaNs only the canonical one is sure to stay NaN when rounded to bf16.
  const double factor = std::isnan(given.value) ? std::numeric_limits<double>::quiet_NaN() : given.value;
  const Route way = route_of(Operation::scale, type);
  run(way, {&in, 1, 0, out, count * way.lanes_per_element, factor, given.integer});
}

void finish(const ReduceOp& op, DataType type, void* data, std::size_t count, int ranks) {
  if (op.kind != ReduceKind::avg) return;
  const void* in = data;
  fold(op, type, {&in, 1}, data, count, {.average_over = ranks});
}

void copy(void* to, const void* from, std::size_t bytes, bool past_caches) {
  if (bytes == 0 || to == from) return;
  if (past_caches) return stream_copy(to, from, bytes);
  std::memcpy(to, from, bytes);
}

std::string_view instruction_set() { return hwy::TargetName(instruction_set_bit()); }

}  // namespace tutti::kernels
