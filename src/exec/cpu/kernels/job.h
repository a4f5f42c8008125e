// What one vector kernel is asked to do, and where the kernels are found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/numerics.h"
#include "core/operation.h"

namespace tutti::kernels {

struct Job {
  const void* const* inputs;
  std::size_t streams;  // number of inputs, at least 1
  std::size_t first;    // where in the inputs the job begins, in elements
  void* out;            // where its results begin
  std::size_t count;
  double factor = 1.0;  // of Operation::mean and scale
  std::uint64_t integer_factor = 1;
  DataType type = DataType::u8;  // of the elements
};

using Kernel = void (*)(const Job&);

// The kernel for the machine at hand, or null where the operation is none of this type, or not accumulated like that.
// Signed integers share the unsigned kernels but for min and max; c64 and c128 have only a product of their own.
[[nodiscard]] Kernel find(Operation operation, DataType type, Accumulation accumulation = Accumulation::usual);

// The sums of these elements of a job's inputs, each computed without an error and then rounded: to f32, or to f64.
void sum_exactly(const Job& job, std::span<const std::size_t> elements, bool to_f32, double* sums);

// A kernel for jobs of exactly two inputs of f16 that computes in f16, or null where the processor, or the operation, does not.
[[nodiscard]] Kernel find_half_of_two(Operation operation, DataType type);

// Store past the caches; when they return, others may be told that the bytes are there.
void stream_copy(void* to, const void* from, std::size_t bytes);
void stream_fold(Kernel kernel, std::size_t element_bytes, const Job& job);

// The bit of the target that the kernels run on now, in Highway's numbering.
[[nodiscard]] std::int64_t instruction_set_bit();

}  // namespace tutti::kernels
