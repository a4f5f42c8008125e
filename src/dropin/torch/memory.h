// Tensors in memory that the other ranks of the host can read and write in place (tutti/memory.h).
#pragma once

#include <ATen/ATen.h>

namespace tutti_torch {

[[nodiscard]] at::Tensor empty(at::IntArrayRef sizes, at::ScalarType type);
// Whether PyTorch takes memory for new tensors of the CPU from there, on all threads. What it was before.
bool share_all(bool share);

}  // namespace tutti_torch
