// The arguments of a large call (`_c`, counts of 64 bits) for an MPI library that has the plain one only.
#pragma once

#include <climits>
#include <vector>

#include "mpi/abi.h"

namespace tutti::mpi {

inline constexpr int kNoRoot = INT_MIN;

// The length of a call's arrays on this rank.
struct Lengths {
  std::size_t in = 0, out = 0;
};
// One element per rank; none at ranks that are not the root.
[[nodiscard]] Lengths per_rank(int root, Handle comm);
// One element per neighbour.
[[nodiscard]] Lengths per_neighbour(Handle comm);

// To be given a call's arguments one after the other.
class Narrow {
 public:
  // `pending`: the MPI library reads the arrays after the call, too.
  Narrow(Lengths lengths, bool pending) : lengths_(lengths), pending_(pending) {}
  int operator()(Count count);
  const int* operator()(const Count* counts);
  const void* operator()(const void* in) {
    in_place_ = in_place_ || in == abi().in_place;
    return in;
  }
  void* operator()(void* out) {
    before_output_ = false;
    return out;
  }
  template <class T>
  T operator()(T other) {
    return other;
  }
  [[nodiscard]] bool fits() const noexcept { return fits_; }

 private:
  // MPI looks at nothing that belongs to an input in place.
  [[nodiscard]] bool ignored() const noexcept { return in_place_ && before_output_; }

  Lengths lengths_;
  bool pending_, in_place_ = false, before_output_ = true, fits_ = true;
  std::vector<std::vector<int>> arrays_;
};

}  // namespace tutti::mpi
