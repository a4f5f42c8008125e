// What the program's MPI library calls its constants, types and operators: an ABI is a value, chosen when the program runs.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "mpi/pmpi.h"
#include "tutti/types.h"

namespace tutti::mpi {

struct Abi {
  unsigned handle_bytes;
  const void* in_place;
  int root;
  int err_truncate, err_other, err_count, err_no_mem, err_proc_failed, err_unsupported;
  int graph, cart, dist_graph;  // topologies
  Handle comm_null, comm_world, comm_self, type_null, op_null, info_null;
  Handle byte = 0, integer = 0, float32 = 0, float64 = 0, long_double = 0, min = 0, sum = 0;  // some types and operators

  // Callers leave the upper half of a register undefined where handles are integers.
  [[nodiscard]] Handle cut(Handle handle) const noexcept {
    return handle_bytes == 4 ? static_cast<std::uint32_t>(handle) : handle;
  }
  // An element of an array of handles.
  [[nodiscard]] Handle read(const void* handles, std::size_t i) const noexcept {
    return handle_bytes == 4 ? static_cast<const std::uint32_t*>(handles)[i] : static_cast<const Handle*>(handles)[i];
  }
};
// Of this process. Only where the family is known.
[[nodiscard]] const Abi& abi();

// What MPI lets operators do with a predefined type.
enum class TypeClass : std::uint8_t { c_integer, fortran_integer, address, floating, complex, logical, byte, pair, text };

struct TypeRow {
  std::string_view name;
  TypeClass type_class;
  std::optional<DataType> native;  // tutti's own type, where it has one
  const char* open_mpi;            // the variable that the handle points to
  std::uint32_t mpich, standard;   // 0: this ABI has no such type
};
struct OpRow {
  std::string_view name;
  std::optional<ReduceKind> native;
  const char* open_mpi;
  std::uint32_t mpich, standard;
};
[[nodiscard]] std::span<const TypeRow> type_table() noexcept;
[[nodiscard]] std::span<const OpRow> op_table() noexcept;
// The handle of a row in this process; 0 where there is none.
[[nodiscard]] Handle handle_of(const TypeRow& row);
[[nodiscard]] Handle handle_of(const OpRow& row);

// The row of a predefined handle; nullptr for any other handle.
[[nodiscard]] const TypeRow* find_type(Handle type);
[[nodiscard]] const OpRow* find_op(Handle op);
// Whether MPI defines a predefined operator for a type.
[[nodiscard]] bool defined(const OpRow& op, const TypeRow& type) noexcept;

}  // namespace tutti::mpi
