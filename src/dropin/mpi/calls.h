// MPI's collectives, done with tutti. Each checks what this rank can know to be wrong, brings both sides into the form that tutti
// takes, runs, and brings the result into the program's layout.
//
// No rank may decline what its peers do: only a call that MPI will refuse on this rank, before it communicates, is given back.
#pragma once

#include "mpi/attached.h"

namespace tutti::mpi {

// Besides MPI's codes: the MPI library is to take this call. It knows best what is wrong with it.
inline constexpr int kForward = -1;

// One number per rank: an int in MPI's plain functions, 64 bits in the large ones.
class Numbers {
 public:
  Numbers(const int* narrow) : narrow_(narrow) {}  // NOLINT(google-explicit-constructor)
  Numbers(const Count* wide) : wide_(wide) {}      // NOLINT(google-explicit-constructor)
  [[nodiscard]] Count operator[](std::size_t i) const { return wide_ != nullptr ? wide_[i] : narrow_[i]; }

 private:
  const int* narrow_ = nullptr;
  const Count* wide_ = nullptr;
};

// Displacements count elements; those of alltoallw, whose types are an array of handles, count bytes.
int barrier(Attached& a);
int bcast(Attached& a, void* buffer, Count count, Handle type, int root);
int gather(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, int root);
int gatherv(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Numbers counts, Numbers displacements,
            Handle out_type, int root);
int scatter(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type, int root);
int scatterv(Attached& a, const void* in, Numbers counts, Numbers displacements, Handle in_type, void* out, Count out_count,
             Handle out_type, int root);
int allgather(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type);
int allgatherv(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Numbers counts, Numbers displacements,
               Handle out_type);
int alltoall(Attached& a, const void* in, Count in_count, Handle in_type, void* out, Count out_count, Handle out_type);
int alltoallv(Attached& a, const void* in, Numbers in_counts, Numbers in_displacements, Handle in_type, void* out,
              Numbers out_counts, Numbers out_displacements, Handle out_type);
int alltoallw(Attached& a, const void* in, Numbers in_counts, Numbers in_displacements, const void* in_types, void* out,
              Numbers out_counts, Numbers out_displacements, const void* out_types);
int reduce(Attached& a, const void* in, void* out, Count count, Handle type, Handle op, int root);
int allreduce(Attached& a, const void* in, void* out, Count count, Handle type, Handle op);
int reduce_scatter_block(Attached& a, const void* in, void* out, Count count, Handle type, Handle op);
int reduce_scatter(Attached& a, const void* in, void* out, Numbers counts, Handle type, Handle op);
int scan(Attached& a, const void* in, void* out, Count count, Handle type, Handle op);
int exscan(Attached& a, const void* in, void* out, Count count, Handle type, Handle op);

}  // namespace tutti::mpi
