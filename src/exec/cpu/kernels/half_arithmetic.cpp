// f16 on processors that calculate in it: sums and products of two.
//
// Their one rounding gives the bits of f32's result rounded to f16, because f32 has 24 bits of mantissa, two more than twice
// f16's 11 (Figueroa, "When is double rounding innocuous?"). A third operand would be rounded twice, so more than two stay in
// f32.
#include <hwy/highway.h>

#include "kernels/job.h"

#if HWY_ARCH_X86_64 && __has_include(<avx512fp16intrin.h>)

#include <immintrin.h>

HWY_PUSH_ATTRIBUTES("avx512fp16,avx512bw")
namespace tutti::kernels {
namespace {

template <Operation operation>
__m512h combine(__m512h a, __m512h b) {
  return operation == Operation::prod ? _mm512_mul_ph(a, b) : _mm512_add_ph(a, b);
}

template <Operation operation>
void fold_two(const Job& job) {
  constexpr std::size_t kStep = 32;
  const std::uint16_t* left = static_cast<const std::uint16_t*>(job.inputs[0]) + job.first;
  const std::uint16_t* right = static_cast<const std::uint16_t*>(job.inputs[1]) + job.first;
  auto* out = static_cast<std::uint16_t*>(job.out);
  std::size_t at = 0;
  for (; at + kStep <= job.count; at += kStep)
    _mm512_storeu_ph(out + at, combine<operation>(_mm512_loadu_ph(left + at), _mm512_loadu_ph(right + at)));
  const __mmask32 rest = (1U << (job.count - at)) - 1;
  if (rest == 0) return;
  const __m512h a = _mm512_castsi512_ph(_mm512_maskz_loadu_epi16(rest, left + at));
  const __m512h b = _mm512_castsi512_ph(_mm512_maskz_loadu_epi16(rest, right + at));
  _mm512_mask_storeu_epi16(out + at, rest, _mm512_castph_si512(combine<operation>(a, b)));
}

}  // namespace
}  // namespace tutti::kernels
HWY_POP_ATTRIBUTES

namespace tutti::kernels {

// Where Highway is kept from AVX-512, so is this.
Kernel find_half_of_two(Operation operation, DataType type) {
  static const bool has_half = __builtin_cpu_supports("avx512fp16");
  if (type != DataType::f16 || !has_half || instruction_set_bit() > HWY_AVX3) return nullptr;
  if (operation == Operation::sum) return &fold_two<Operation::sum>;
  if (operation == Operation::prod) return &fold_two<Operation::prod>;
  return nullptr;
}

}  // namespace tutti::kernels

#else

namespace tutti::kernels {
Kernel find_half_of_two(Operation, DataType) { return nullptr; }
}  // namespace tutti::kernels

#endif
