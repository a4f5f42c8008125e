// What reduction kernels compute: a ReduceKind on a DataType, brought down to fewer operations on fewer types. For kernels of
// every kind, so of constexpr functions that nvcc compiles, too.
#pragma once

#include <cstdint>

#include "tutti/types.h"

namespace tutti {

enum class Operation : std::uint8_t {
  sum,
  prod,
  min,
  max,
  band,
  bor,
  bxor,
  land,
  lor,
  lxor,
  mean,   // the sum divided by a number
  scale,  // one input multiplied by a number
  none,
};

// avg and premul_sum are sums here. `none`: only the user knows.
constexpr Operation operation_of(ReduceKind kind) {
  switch (kind) {
    case ReduceKind::sum:
    case ReduceKind::avg:
    case ReduceKind::premul_sum:
      return Operation::sum;
    case ReduceKind::prod:
      return Operation::prod;
    case ReduceKind::min:
      return Operation::min;
    case ReduceKind::max:
      return Operation::max;
    case ReduceKind::band:
      return Operation::band;
    case ReduceKind::bor:
      return Operation::bor;
    case ReduceKind::bxor:
      return Operation::bxor;
    case ReduceKind::land:
      return Operation::land;
    case ReduceKind::lor:
      return Operation::lor;
    case ReduceKind::lxor:
      return Operation::lxor;
    case ReduceKind::user:
      return Operation::none;
  }
  return Operation::none;
}

// On truth values every operator is a logical one.
constexpr Operation logical(Operation operation) {
  switch (operation) {
    case Operation::prod:
    case Operation::min:
    case Operation::band:
      return Operation::land;
    case Operation::sum:
    case Operation::max:
    case Operation::bor:
      return Operation::lor;
    case Operation::bxor:
      return Operation::lxor;
    default:
      return operation;
  }
}

// What serves an operation on a type, and on how many of its elements per element of the type.
struct Route {
  Operation operation = Operation::none;
  DataType lanes = DataType::u8;
  std::uint32_t lanes_per_element = 1;
};

constexpr Route route_of(Operation operation, DataType type) {
  const bool product = operation == Operation::prod;
  if (type == DataType::boolean) return {logical(operation), DataType::u8};
  if (type == DataType::c64 && !product) return {operation, DataType::f32, 2};
  if (type == DataType::c128 && !product) return {operation, DataType::f64, 2};
  return {operation, type};
}

}  // namespace tutti
