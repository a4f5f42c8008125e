// GPUs, in PTX: what device code asks of a machine. nvcc only.
#pragma once

#include "device/fold.h"

namespace tutti::device {

struct CudaMachine {
  static constexpr float half_to_float(std::uint16_t half) {
    float value = 0;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
  }
  static constexpr std::uint16_t float_to_half(float value) {
    std::uint16_t half = 0;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
  }
  static constexpr Word load(const std::byte* from) {
    const uint4 v = *reinterpret_cast<const uint4*>(from);
    return {v.x, v.y, v.z, v.w};
  }
  static constexpr void store(std::byte* to, Word word) {
    *reinterpret_cast<uint4*>(to) = {word.part[0], word.part[1], word.part[2], word.part[3]};
  }
};

}  // namespace tutti::device
