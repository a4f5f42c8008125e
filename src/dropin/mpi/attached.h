// What this library keeps for each communicator of the program: made at its first collective, freed with it.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "mpi/check.h"
#include "mpi/device.h"
#include "mpi/layout.h"
#include "runtime/runner.h"
#include "tutti/communicator.h"

namespace tutti::mpi {

// What a user's function for tutti needs to call MPI's operator.
struct Combiner {
  Handle type = 0, op = 0, comm = 0;
  Layout layout;
  std::vector<std::byte> in, inout;  // elements in their own layout
};

struct Attached {
  Handle handle = 0;
  int rank = 0, size = 1;
  std::optional<Communicator> communicator;  // none: all calls are left to the MPI library,
  std::string left_because;                  // for this reason, which all ranks share
  bool failed = false;
  bool checked = false;  // TUTTI_MPI_CHECK on all ranks
  int number = 0;        // that all ranks know it by

  // Of the call under way
  std::vector<Block> input_blocks, output_blocks;
  std::vector<std::uint64_t> input_counts, input_displacements, output_counts, output_displacements;
  Place input, output, aside;
  Combiner combiner;
  Count bytes = 0;  // that its largest side holds
  Check check;
};

// Collective: whether all ranks say so.
[[nodiscard]] bool all_agree(bool mine, Handle comm);

// nullptr: the call is MPI's business alone (no such communicator, an unknown MPI library, MPI is being finalized). Collective
// over the communicator when it is first used.
[[nodiscard]] Attached* find_attached(Handle comm);

// Whether MPI is there, and this process lets tutti serve anything (TUTTI_MPI).
[[nodiscard]] bool willing();

// MPI_Finalize is to print the report and end what this library holds. Local.
void watch_finalize();

extern std::atomic<std::uint64_t> attachments_deleted;

[[nodiscard]] inline Attached* attached(Handle comm) {
  struct Memo {
    Handle comm = 0;
    std::uint64_t deleted = 0;
    Attached* found = nullptr;
  };
  static thread_local Memo memo;
  const std::uint64_t deleted = attachments_deleted.load(std::memory_order_acquire);
  if (memo.comm == comm && memo.deleted == deleted && memo.found != nullptr) [[likely]]
    return memo.found;
  memo = {comm, deleted, find_attached(comm)};
  return memo.found;
}

}  // namespace tutti::mpi
