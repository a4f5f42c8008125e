// TUTTI_MPI_CHECK: the MPI library does every served call again, and the results are compared: bit by bit, but for sums and
// products of floats, which may differ by what rounding explains.
#pragma once

#include <string>
#include <vector>

#include "mpi/layout.h"

namespace tutti::mpi {

struct Attached;

class Check {
 public:
  // Before the call runs: where its result will lie, and what the buffer holds now that the call may read or must leave alone.
  void begin(const Attached& a, void* buffer, const std::vector<Block>& result, const std::vector<Block>& held);
  // The call adds or multiplies floats: `input` is this rank's part, of which the result begins at element `first`.
  void allow_rounding(const Attached& a, bool products, const void* input, const Block& block, Count first);
  void forget();

  // After it: memory for the MPI library's result, in place of `buffer`.
  [[nodiscard]] void* shadow(const Attached& a, void* buffer);
  // Collective where rounding is allowed. Empty when all is well.
  [[nodiscard]] std::string difference(const Attached& a);

 private:
  template <class T>
  [[nodiscard]] std::string beyond_rounding(const Attached& a, const std::byte* ours, const std::byte* theirs, Count bytes);

  void* buffer_ = nullptr;
  std::vector<Block> result_, held_;
  std::vector<std::byte> before_, shadow_, magnitudes_;
  std::byte* shadow_base_ = nullptr;
  bool rounds_ = false, products_ = false, complex_ = false;
  std::size_t real_size_ = 0;
  Count first_ = 0;
};

}  // namespace tutti::mpi
