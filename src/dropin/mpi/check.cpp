#include "mpi/check.h"

#include <fmt/format.h>

#include <climits>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "mpi/attached.h"

namespace tutti::mpi {
namespace {

std::vector<std::byte> packed(const Attached& a, const void* buffer, std::span<const Block> blocks) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(total_bytes(blocks)));
  pack(buffer, blocks, bytes.data(), a.handle);
  return bytes;
}

[[nodiscard]] bool is_complex(const Block& block) { return block.layout.row->type_class == TypeClass::complex; }
// Bytes of a real number of the type.
[[nodiscard]] std::size_t real_size(const Block& block) {
  return static_cast<std::size_t>(block.layout.size) / (is_complex(block) ? 2 : 1);
}

template <class T>
void make_absolute(std::vector<std::byte>& numbers) {
  for (std::size_t at = 0; at < numbers.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, numbers.data() + at, sizeof value);
    value = std::abs(value);
    std::memcpy(numbers.data() + at, &value, sizeof value);
  }
}

}  // namespace

void Check::forget() {
  result_.clear();
  held_.clear();
  rounds_ = false;
}

void Check::begin(const Attached& a, void* buffer, const std::vector<Block>& result, const std::vector<Block>& held) {
  buffer_ = buffer;
  result_ = result;
  held_ = held;
  for (auto* blocks : {&result_, &held_}) std::erase_if(*blocks, [](const Block& b) { return b.bytes() == 0; });
  before_ = packed(a, buffer, held_);
}

void Check::allow_rounding(const Attached& a, bool products, const void* input, const Block& block, Count first) {
  rounds_ = true;
  products_ = products;
  first_ = first;
  real_size_ = real_size(block);
  complex_ = is_complex(block);
  magnitudes_ = packed(a, input, {&block, 1});
  switch (real_size_) {
    case sizeof(float):
      return make_absolute<float>(magnitudes_);
    case sizeof(double):
      return make_absolute<double>(magnitudes_);
    default:
      return make_absolute<long double>(magnitudes_);
  }
}

void* Check::shadow(const Attached& a, void* buffer) {
  if (held_.empty()) return buffer;
  Aint low = PTRDIFF_MAX, high = PTRDIFF_MIN;
  for (const Block& b : held_) {
    low = std::min(low, b.offset + b.layout.low(b.count));
    high = std::max(high, b.offset + b.layout.high(b.count));
  }
  shadow_.assign(static_cast<std::size_t>(high - low), std::byte{0});
  shadow_base_ = shadow_.data() - low;
  unpack(before_.data(), shadow_base_, held_, a.handle);
  return shadow_base_;
}

template <class T>
std::string Check::beyond_rounding(const Attached& a, const std::byte* ours, const std::byte* theirs, Count bytes) {
  std::vector<std::byte> sums(magnitudes_.size());
  const Handle type = sizeof(T) == sizeof(float)    ? abi().float32
                      : sizeof(T) == sizeof(double) ? abi().float64
                                                    : abi().long_double;
  const Count numbers = static_cast<Count>(sums.size() / sizeof(T));
  if (numbers > INT_MAX) return "";
  if (!products_) pmpi::allreduce(magnitudes_.data(), sums.data(), static_cast<int>(numbers), type, abi().sum, a.handle);
  const auto read = [](const std::byte* from, Count i) {
    T value;
    std::memcpy(&value, from + i * static_cast<Count>(sizeof(T)), sizeof value);
    return value;
  };
  const T unit = 2 * static_cast<T>(a.size) * std::numeric_limits<T>::epsilon();
  for (Count i = 0; i < bytes / static_cast<Count>(sizeof(T)); ++i) {
    const T x = read(ours, i), y = read(theirs, i);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    T scale = std::abs(y);
    if (!products_)
      scale = read(sums.data(), first_ * (complex_ ? 2 : 1) + i);
    else if (complex_)
      scale = 2 * std::hypot(y, read(theirs, i ^ 1));
    if (std::abs(x - y) <= unit * scale) continue;
    return fmt::format("number {} is {:.17g}; the MPI library has {:.17g}, and rounding explains {:.3g}", i, x, y, unit * scale);
  }
  return "";
}

std::string Check::difference(const Attached& a) {
  const auto ours = packed(a, buffer_, result_);
  const auto theirs = packed(a, shadow_base_, result_);
  const auto bytes = static_cast<Count>(ours.size());
  if (rounds_) {
    switch (real_size_) {
      case sizeof(float):
        return beyond_rounding<float>(a, ours.data(), theirs.data(), bytes);
      case sizeof(double):
        return beyond_rounding<double>(a, ours.data(), theirs.data(), bytes);
      default:
        return beyond_rounding<long double>(a, ours.data(), theirs.data(), bytes);
    }
  }
  for (Count i = 0; i < bytes; ++i)
    if (ours[static_cast<std::size_t>(i)] != theirs[static_cast<std::size_t>(i)])
      return fmt::format("byte {} of {} (packed) is {:#04x}; the MPI library has {:#04x}", i, bytes,
                         static_cast<unsigned>(ours[static_cast<std::size_t>(i)]),
                         static_cast<unsigned>(theirs[static_cast<std::size_t>(i)]));
  return "";
}

}  // namespace tutti::mpi
