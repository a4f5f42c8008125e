// The vocabulary of a collective call: ranks, element types, reduction operators, collectives.
//
// Everything here is a plain value; none of the functions allocates or fails by throwing.
#pragma once

#if __cplusplus <= 201703L
#error "tutti needs C++20: compile with -std=c++20 (g++ 12, clang++ 14, or newer)"
#endif

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tutti {

using Rank = std::int32_t;
inline constexpr Rank kNoRank = -1;

// Element types. The 16- and 8-bit floats are reduced in float32 and rounded once per reduction step.
// f8e4m3 and f8e5m2 follow the OCP 8-bit floating point specification (e4m3 has no infinity).
enum class DataType : std::uint8_t {
  i8,
  u8,
  i16,
  u16,
  i32,
  u32,
  i64,
  u64,
  f16,
  bf16,
  f32,
  f64,
  f8e4m3,
  f8e5m2,
  boolean,  // one byte, 0 or 1; sum means "or", prod means "and"
  c64,      // complex of two f32
  c128,     // complex of two f64
};
inline constexpr int kDataTypes = 17;

// Size of one element in bytes.
[[nodiscard]] constexpr std::size_t size_of(DataType type) noexcept {
  constexpr unsigned char kSizes[kDataTypes] = {1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8, 1, 1, 1, 8, 16};
  const auto row = static_cast<std::size_t>(type);
  return row < kDataTypes ? kSizes[row] : 0;
}
// "f32", "bf16", ...; parse accepts these and the common aliases ("float", "half", "int", "uint8", ...).
[[nodiscard]] std::string_view name(DataType type) noexcept;
[[nodiscard]] std::optional<DataType> parse_data_type(std::string_view text) noexcept;

enum class ReduceKind : std::uint8_t {
  sum,
  prod,
  min,
  max,
  avg,
  band,
  bor,
  bxor,  // integers and bool
  land,
  lor,
  lxor,        // any real type; the result is 0 or 1
  premul_sum,  // sum of scalar * input, the scalar of each rank being its own
  user,
};
inline constexpr int kReduceKinds = 13;

// A user's reduction: inout[i] = op(in[i], inout[i]) for count elements, where `in` holds the
// contribution of the lower ranks (the same convention as MPI_User_function). The elements are of the call's type, or, where
// element_bytes is given, blocks of that many bytes (structs, pairs): then the call's type means nothing, its counts and
// displacements count such blocks, and no block is ever split. It must not throw: like any noexcept function, it would end the
// process. The pointers are aligned to 8 bytes, not more.
struct UserFunction {
  void (*apply)(const void* in, void* inout, std::size_t count, DataType type, void* context) noexcept = nullptr;
  void* context = nullptr;
  std::size_t element_bytes = 0;

  friend bool operator==(const UserFunction&, const UserFunction&) = default;
};

struct ReduceOp {
  ReduceKind kind = ReduceKind::sum;
  bool commutative = true;  // only a user's op may say false
  double scalar = 1.0;      // premul_sum: this rank's factor
  UserFunction user = {};   // kind == user
  // premul_sum: where this rank's factor lies instead, a number of the call's type (of its parts, if that is complex), which is
  // read when the call runs; of calls in streams also memory of the device.
  const void* scalar_at = nullptr;

  friend bool operator==(const ReduceOp& a, const ReduceOp& b) noexcept {
    return a.kind == b.kind && a.commutative == b.commutative && a.scalar == b.scalar && a.user == b.user &&
           a.scalar_at == b.scalar_at;
  }
};

// Size of what the operator combines.
[[nodiscard]] constexpr std::size_t element_bytes(DataType type, const ReduceOp& op) noexcept {
  return op.kind == ReduceKind::user && op.user.element_bytes > 0 ? op.user.element_bytes : size_of(type);
}

[[nodiscard]] std::string_view name(ReduceKind kind) noexcept;
[[nodiscard]] std::optional<ReduceKind> parse_reduce_kind(std::string_view text) noexcept;
// Whether the pair makes sense (no band on floats, no min on complex numbers, ...).
[[nodiscard]] bool supports(ReduceKind kind, DataType type) noexcept;

// What a reduction promises about the bits of its result, where the order of operands can change them: sums and products of
// floats, and users' operators. NaNs are NaNs, whatever their payloads. All ranks get the same bits in any case.
enum class OrderClass : std::uint8_t {
  fast,            // nothing more: what is measured when a communicator starts may change the algorithm, and with it the order
  same_layout,     // the same in every run with the same calls, ranks at the same places, and settings
  placement_free,  // the same whatever the algorithm, its pieces, the transports and the places of ranks: the contributions are
                   // combined in a tree that depends on their number alone
  size_free,       // sums are exact and rounded in the end, so that not even their number matters
};
inline constexpr int kOrderClasses = 4;

[[nodiscard]] std::string_view name(OrderClass order) noexcept;
[[nodiscard]] std::optional<OrderClass> parse_order_class(std::string_view text) noexcept;

enum class Collective : std::uint8_t {
  all_reduce,
  reduce,
  broadcast,
  all_gather,
  reduce_scatter,
  gather,
  scatter,
  all_to_all,
  barrier,
  scan,
  exscan,
  send_recv,  // send, recv and sendrecv: point to point between the named ranks only
};
inline constexpr int kCollectives = 12;

[[nodiscard]] std::string_view name(Collective collective) noexcept;
[[nodiscard]] std::optional<Collective> parse_collective(std::string_view text) noexcept;
[[nodiscard]] constexpr bool has_root(Collective c) noexcept {
  return c == Collective::reduce || c == Collective::broadcast || c == Collective::gather || c == Collective::scatter;
}
[[nodiscard]] constexpr bool reduces(Collective c) noexcept {
  return c == Collective::all_reduce || c == Collective::reduce || c == Collective::reduce_scatter || c == Collective::scan ||
         c == Collective::exscan;
}

enum class MemoryKind : std::uint8_t { host, pinned_host, cuda_device, symmetric };

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

}  // namespace tutti
