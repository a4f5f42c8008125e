#include "tensors.h"

#include <ATen/MemoryOverlap.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

namespace tutti_torch {

std::optional<c10::Stream> stream_of(TensorsRef inputs, TensorsRef outputs) {
  for (const TensorsRef tensors : {inputs, outputs})
    for (const at::Tensor& tensor : tensors)
      if (!tensor.is_cpu()) return c10::impl::VirtualGuardImpl(tensor.device().type()).getStream(tensor.device());
  return std::nullopt;
}

const at::Tensor& only(const char* operation, const Tensors& tensors) {
  TORCH_CHECK_VALUE(tensors.size() == 1, "tutti: ", operation, " takes one tensor, not ", tensors.size());
  return tensors.front();
}

namespace {

void check_kind(const char* operation, const at::Tensor& tensor) {
  TORCH_CHECK_VALUE(tensor.layout() == at::kStrided, "tutti: ", operation, " takes dense tensors, not ", tensor.layout());
  TORCH_CHECK_VALUE(tensor.is_cpu() || tensor.is_cuda(), "tutti: ", operation,
                    " takes tensors of the CPU or of CUDA devices, not of ", tensor.device());
  TORCH_CHECK_VALUE(
      !tensor.is_conj() && !tensor.is_neg(), "tutti: ", operation,
      ": the tensor is the conjugate or the negative of what is in its memory; take resolve_conj() or resolve_neg() of it");
}

void check_written(const char* operation, const at::Tensor& tensor) {
  TORCH_CHECK_VALUE(at::has_internal_overlap(tensor) != at::MemOverlap::Yes, "tutti: ", operation, ": a tensor of sizes ",
                    tensor.sizes(), " and strides ", tensor.strides(), " has elements that share memory; make it contiguous()");
}

at::Tensor copy_of(const at::Tensor& tensor) {
  const at::NoGradGuard no_gradients;
  return tensor.contiguous();
}

}  // namespace

void check_contiguous(const char* operation, const at::Tensor& tensor) {
  check_kind(operation, tensor);
  TORCH_CHECK_VALUE(tensor.is_contiguous(), "tutti: ", operation, ": a tensor of sizes ", tensor.sizes(), " and strides ",
                    tensor.strides(), " is not contiguous; make it contiguous()");
}

at::Tensor to_read(const char* operation, const at::Tensor& tensor) {
  check_kind(operation, tensor);
  return tensor.is_contiguous() ? tensor : copy_of(tensor);
}

at::Tensor to_write(const char* operation, const at::Tensor& tensor) {
  check_kind(operation, tensor);
  check_written(operation, tensor);
  return tensor.is_contiguous() ? tensor : at::empty(tensor.sizes(), tensor.options());
}

at::Tensor to_change(const char* operation, const at::Tensor& tensor) {
  check_kind(operation, tensor);
  check_written(operation, tensor);
  return tensor.is_non_overlapping_and_dense() ? tensor : copy_of(tensor);
}

void put_back(const at::Tensor& worked_on, const at::Tensor& tensor) {
  if (!worked_on.is_same(tensor)) tensor.copy_(worked_on, /*non_blocking=*/true);
}

void check_same_type(const char* operation, const at::Tensor& a, const at::Tensor& b) {
  TORCH_CHECK_TYPE(a.scalar_type() == b.scalar_type(), "tutti: ", operation, ": tensors of ", a.scalar_type(), " and ",
                   b.scalar_type(), " in one call");
  TORCH_CHECK_VALUE(a.device() == b.device(), "tutti: ", operation, ": tensors on ", a.device(), " and ", b.device(),
                    " in one call");
}

void check_count(const char* operation, const char* what, std::int64_t given, std::int64_t expected) {
  TORCH_CHECK_VALUE(given == expected, "tutti: ", operation, ": ", given, " ", what, ", expected ", expected);
}

Flat flat(const char* operation, const Tensors& tensors, bool written) {
  Flat flat;
  bool adjacent = true;
  std::int64_t all = 0;
  const at::Tensor& first = tensors.front();
  for (const at::Tensor& tensor : tensors) {
    check_kind(operation, tensor);
    if (written) check_written(operation, tensor);
    check_same_type(operation, first, tensor);
    adjacent &= tensor.is_contiguous() && tensor.is_alias_of(first) && tensor.storage_offset() == first.storage_offset() + all;
    all += tensor.numel();
    flat.counts.push_back(static_cast<std::uint64_t>(tensor.numel()));
    flat.equal &= flat.counts.back() == flat.counts.front();
  }
  flat.apart = !adjacent;
  flat.whole = adjacent ? first.as_strided({all}, {1}) : at::empty({all}, first.options());
  return flat;
}

void fill(const Flat& flat, const Tensors& from) {
  if (!flat.apart) return;
  std::int64_t at = 0;
  for (const at::Tensor& tensor : from) {
    flat.whole.narrow(0, at, tensor.numel()).view(tensor.sizes()).copy_(tensor, /*non_blocking=*/true);
    at += tensor.numel();
  }
}

void spread(const Flat& flat, const Tensors& to) {
  if (!flat.apart) return;
  std::int64_t at = 0;
  for (const at::Tensor& tensor : to) {
    tensor.copy_(flat.whole.narrow(0, at, tensor.numel()).view(tensor.sizes()), /*non_blocking=*/true);
    at += tensor.numel();
  }
}

}  // namespace tutti_torch
