// Reductions and copies of host memory, by the best vector instructions this machine has.
//
// Semantics shared by all functions:
//  - Results do not depend on the machine: every instruction set gives the same bits (but for the payload of a NaN).
//  - Integers wrap around. f16, bf16 and the 8-bit floats are computed in f32 and rounded once, to nearest even, when stored;
//    what Options::accumulation asks for goes further.
//  - min and max return NaN when any input is NaN, and order -0 before +0.
//  - f8e4m3 has no infinity: what is rounded beyond 448 becomes NaN. f8e5m2 overflows to infinity. (OCP 8-bit floating point
//    specification, the conversion without saturation.)
//  - Logical operators take any value but zero (NaN, too) as true and give 0 or 1 of the type. A boolean may hold any byte;
//    a reduction of two or more stores 0 or 1.
//  - A complex product is the textbook one: (ac - bd) + (ad + bc)i, each operation rounded, infinities not repaired.
//  - avg and premul_sum add; `prepare` multiplies before, `finish` or Options::average_over divides after.
//
// Pointers need no alignment (a user's function sees them as the caller gave them). `out` may be exactly one of the inputs;
// otherwise nothing overlaps. All functions are thread safe and allocate nothing (but for a user's operator on more than four
// inputs, or on elements of more than 8 KiB).
// The pair of operator and type must have passed `check`; a pair that has not leaves `out` untouched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/numerics.h"
#include "tutti/result.h"
#include "tutti/types.h"

namespace tutti::kernels {

struct Options {
  // Store the result past the caches (non-temporal stores). Worth it where the caches cannot hold the whole call and the result
  // is not read soon: who calls knows both. A hint; where `out` is one of the inputs nothing would be gained.
  bool past_caches = false;
  // avg only: when positive, divide by this many ranks before the one rounding; the caller then does not call `finish`.
  int average_over = 0;
  Accumulation accumulation = Accumulation::usual;
};

struct Job;

// An operator on a type, with the kernel that serves it on this machine looked up: what a plan keeps.
class Reduction {
 public:
  Reduction() noexcept = default;  // of nothing
  // As in Options. The operator must support the type, and so must the accumulation (accumulates()).
  Reduction(const ReduceOp& op, DataType type, int average_over = 0, Accumulation accumulation = Accumulation::usual);

  // As the functions of these names below.
  void fold(std::span<const void* const> inputs, void* out, std::size_t count, bool past_caches = false) const;
  void reduce2(const void* left, const void* right, void* out, std::size_t count, bool past_caches = false) const {
    const std::array<const void*, 2> inputs{left, right};
    fold(inputs, out, count, past_caches);
  }
  [[nodiscard]] std::size_t element_bytes() const noexcept { return element_bytes_; }
  [[nodiscard]] int average_over() const noexcept { return average_over_; }

 private:
  void (*kernel_)(const Job&) = nullptr;  // none for a user's operator, and for means of integers
  void (*kernel_of_two_)(const Job&) = nullptr;
  std::size_t lanes_per_element_ = 1, lane_bytes_ = 1, element_bytes_ = 1;
  ReduceOp op_;
  DataType type_ = DataType::u8;
  int average_over_ = 0;
  DataType lanes_ = DataType::u8;
};

// Whether there are kernels that accumulate like that.
[[nodiscard]] bool accumulates(ReduceKind kind, DataType type, Accumulation accumulation);

// Whether the operator can reduce the type; the error names both.
[[nodiscard]] Status check(ReduceKind kind, DataType type);

// out[i] = left[i] (+) right[i].
void reduce2(const ReduceOp& op, DataType type, const void* left, const void* right, void* out, std::size_t count,
             const Options& options = {});

// out = inputs[0] (+) inputs[1] (+) ... in one pass over memory, in the canonical tree (core/numerics.h). One input is copied;
// none leaves `out` untouched.
void fold(const ReduceOp& op, DataType type, std::span<const void* const> inputs, void* out, std::size_t count,
          const Options& options = {});

// premul_sum: out[i] = scalar * in[i], before anything is reduced; other operators copy. The factor is rounded to the type the
// product is computed in; for integers it is truncated toward zero to 64 bits (NaN counts as 0) and the product wraps.
void prepare(const ReduceOp& op, DataType type, const void* in, void* out, std::size_t count);

// avg: data[i] /= ranks, integers truncating toward zero as NCCL does; nothing for other operators.
void finish(const ReduceOp& op, DataType type, void* data, std::size_t count, int ranks);

// Copies bytes between buffers that do not overlap (or are the same).
void copy(void* to, const void* from, std::size_t bytes, bool past_caches = false);

// The instruction set in use, as Highway names it: "AVX3", "NEON", ...
[[nodiscard]] std::string_view instruction_set();

}  // namespace tutti::kernels
