// What operations demand of tensors, and several tensors as one.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/Stream.h>

#include <optional>
#include <vector>

namespace tutti_torch {

using Tensors = std::vector<at::Tensor>;
using TensorsRef = c10::ArrayRef<at::Tensor>;

// The stream that their device is on now, if one of them lies on a device.
[[nodiscard]] std::optional<c10::Stream> stream_of(TensorsRef inputs, TensorsRef outputs);
// The only tensor of a list.
[[nodiscard]] const at::Tensor& only(const char* operation, const Tensors& tensors);
// Throws unless its elements lie one behind the other.
void check_contiguous(const char* operation, const at::Tensor& tensor);

// What an operation works on instead of a tensor whose elements do not lie one behind the other: a copy that is read, or room
// that is written, or both, and then put back.
[[nodiscard]] at::Tensor to_read(const char* operation, const at::Tensor& tensor);
[[nodiscard]] at::Tensor to_write(const char* operation, const at::Tensor& tensor);
// Here any order of the dimensions will do, as long as all ranks have the same.
[[nodiscard]] at::Tensor to_change(const char* operation, const at::Tensor& tensor);
void put_back(const at::Tensor& worked_on, const at::Tensor& tensor);
void check_same_type(const char* operation, const at::Tensor& a, const at::Tensor& b);
void check_count(const char* operation, const char* what, std::int64_t given, std::int64_t expected);

// Tensors of one type one behind the other: a view where they lie so in memory, otherwise memory of its own.
struct Flat {
  at::Tensor whole;                   // one dimension
  bool apart = false;                 // has memory of its own
  std::vector<std::uint64_t> counts;  // elements of each
  bool equal = true;                  // all counts are equal
};
[[nodiscard]] Flat flat(const char* operation, const Tensors& tensors, bool written);
// To be called before the call that reads it, or after the one that writes it, where it has memory of its own.
void fill(const Flat& flat, const Tensors& from);
void spread(const Flat& flat, const Tensors& to);

}  // namespace tutti_torch
