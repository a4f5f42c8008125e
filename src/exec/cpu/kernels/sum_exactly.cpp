#include "kernels/exact_sum.h"
#include "kernels/job.h"
#include "kernels/scalar.h"

namespace tutti::kernels {

void sum_exactly(const Job& job, std::span<const std::size_t> elements, bool to_f32, double* sums) {
  const std::size_t size = size_of(job.type);
  for (const std::size_t element : elements) {
    ExactSum sum;
    for (std::size_t s = 0; s < job.streams; ++s)
      sum.add(read_scalar(static_cast<const std::byte*>(job.inputs[s]) + (job.first + element) * size, job.type).value);
    *sums++ = to_f32 ? static_cast<double>(sum.to_f32()) : sum.to_f64();
  }
}

}  // namespace tutti::kernels
