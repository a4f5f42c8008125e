// The host, for what device code asks of a machine: the stand-in for GPUs in tests.
#pragma once

#include "device/fold.h"

namespace tutti::device {

struct HostMachine {
  static constexpr float half_to_float(std::uint16_t half) { return Half::decode(half); }
  static constexpr std::uint16_t float_to_half(float value) { return static_cast<std::uint16_t>(Half::encode(value)); }
  static Word load(const std::byte* from) { return *reinterpret_cast<const Word*>(from); }
  static void store(std::byte* to, Word word) { *reinterpret_cast<Word*>(to) = word; }
};

}  // namespace tutti::device
