// PyTorch's tensors and operators in this library's terms.
#pragma once

#include <ATen/ATen.h>

#include <torch/csrc/distributed/c10d/Types.hpp>

#include "tutti/communicator.h"

namespace tutti_torch {

// What a call moves: the elements of a tensor, or bytes of them where the library does not know their type.
struct Elements {
  tutti::DataType type = tutti::DataType::u8;
  std::uint64_t each = 1;  // of these make one element of the tensor
};
[[nodiscard]] Elements elements_of(at::ScalarType type);
// The type to reduce; throws where the library has none.
[[nodiscard]] tutti::DataType reduced_type(const char* operation, at::ScalarType type);

// `holder` keeps a factor that has to be read when the call runs.
[[nodiscard]] tutti::ReduceOp reduce_op(const char* operation, const c10d::ReduceOp& op, at::ScalarType type, at::Tensor& holder);

// Throws the exception of PyTorch's that says so, in the name of the operation.
[[noreturn]] void fail(const std::string& operation, const tutti::Error& error);
[[nodiscard]] std::exception_ptr exception_of(const std::string& operation, const tutti::Error& error);

}  // namespace tutti_torch
