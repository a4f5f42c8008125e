// Prints the table of predefined types and operators, for table_test.sh.
#include <fmt/format.h>

#include "mpi/abi.h"

int main() {
  const auto print = [](const auto& rows, const char* kind) {
    for (const auto& row : rows) fmt::print("{} {} {} {:#x} {:#x}\n", kind, row.name, row.open_mpi, row.mpich, row.standard);
  };
  print(tutti::mpi::type_table(), "datatype");
  print(tutti::mpi::op_table(), "op");
}
