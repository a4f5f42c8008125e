// The program's own MPI library: its functions, by the names that stay with it (PMPI_*).
//
// Handles are integers or pointers of at most 8 bytes, and every argument is passed in a register or an 8-byte slot of the stack
// (System V x86-64, AAPCS64). So one declaration with `Handle` serves every MPI library; nothing here includes an mpi.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tutti::mpi {

using Handle = std::uintptr_t;
using Aint = std::int64_t;
using Count = std::int64_t;

inline constexpr int kSuccess = 0;

// For attributes that stay with the communicator or type that they were given to.
inline int do_not_copy(Handle /*from*/, int /*keyval*/, void* /*extra*/, void* /*in*/, void* /*out*/, int* flag) {
  *flag = 0;
  return kSuccess;
}

// Who implements MPI in this process.
enum class Family : std::uint8_t { open_mpi, mpich, standard, unknown };
struct Library {
  Family family = Family::unknown;
  void* object = nullptr;  // nullptr: whatever comes after this library
};
// Found at the first call, when the program has loaded it.
[[nodiscard]] const Library& library();

// A variable of the MPI library; nullptr when it has none of that name.
[[nodiscard]] void* find_variable(const char* name);
// PMPI_Bcast for "MPI_Bcast"; in an unknown library the next MPI_Bcast.
[[nodiscard]] void* find_function(const char* name);

template <std::size_t N>
struct Name {
  char text[N];
  consteval Name(const char (&t)[N]) { std::copy_n(t, N, text); }  // NOLINT(google-explicit-constructor)
};

template <Name kName, class... Args>
struct Function {
  int operator()(Args... args) const { return pointer()(args...); }
  [[nodiscard]] explicit operator bool() const { return pointer() != nullptr; }

 private:
  static auto pointer() {
    static const auto found = reinterpret_cast<int (*)(Args...)>(find_function(kName.text));
    return found;
  }
};

namespace pmpi {

inline constexpr Function<"MPI_Initialized", int*> initialized;

// Memory
inline constexpr Function<"MPI_Alloc_mem", Aint, Handle, void*> alloc_mem;
inline constexpr Function<"MPI_Free_mem", void*> free_mem;

// Communicators
inline constexpr Function<"MPI_Comm_rank", Handle, int*> comm_rank;
inline constexpr Function<"MPI_Comm_size", Handle, int*> comm_size;
inline constexpr Function<"MPI_Comm_test_inter", Handle, int*> comm_test_inter;
inline constexpr Function<"MPI_Comm_remote_size", Handle, int*> comm_remote_size;
inline constexpr Function<"MPI_Comm_create_keyval", void*, void*, int*, void*> comm_create_keyval;
inline constexpr Function<"MPI_Comm_get_attr", Handle, int, void*, int*> comm_get_attr;
inline constexpr Function<"MPI_Comm_set_attr", Handle, int, void*> comm_set_attr;
inline constexpr Function<"MPI_Comm_call_errhandler", Handle, int> comm_call_errhandler;
inline constexpr Function<"MPI_Comm_dup", Handle, Handle*> comm_dup;
inline constexpr Function<"MPI_Comm_free", Handle*> comm_free;

// Their topologies
inline constexpr Function<"MPI_Topo_test", Handle, int*> topo_test;
inline constexpr Function<"MPI_Cartdim_get", Handle, int*> cartdim_get;
inline constexpr Function<"MPI_Graph_neighbors_count", Handle, int, int*> graph_neighbors_count;
inline constexpr Function<"MPI_Dist_graph_neighbors_count", Handle, int*, int*, int*> dist_graph_neighbors_count;

// Requests
inline constexpr Function<"MPI_Irecv", void*, int, Handle, int, int, Handle, Handle*> irecv;
inline constexpr Function<"MPI_Test", Handle*, int*, void*> test;
inline constexpr Function<"MPI_Cancel", Handle*> cancel;
inline constexpr Function<"MPI_Wait", Handle*, void*> wait;

// Types and operators
inline constexpr Function<"MPI_Type_size_x", Handle, Count*> type_size;
inline constexpr Function<"MPI_Type_get_extent", Handle, Aint*, Aint*> type_get_extent;
inline constexpr Function<"MPI_Type_get_true_extent", Handle, Aint*, Aint*> type_get_true_extent;
inline constexpr Function<"MPI_Type_create_keyval", void*, void*, int*, void*> type_create_keyval;
inline constexpr Function<"MPI_Type_get_attr", Handle, int, void*, int*> type_get_attr;
inline constexpr Function<"MPI_Type_set_attr", Handle, int, void*> type_set_attr;
inline constexpr Function<"MPI_Pack", const void*, int, Handle, void*, int, int*, Handle> pack;
inline constexpr Function<"MPI_Unpack", const void*, int, int*, void*, int, Handle, Handle> unpack;
inline constexpr Function<"MPI_Op_commutative", Handle, int*> op_commutative;
inline constexpr Function<"MPI_Reduce_local", const void*, void*, int, Handle, Handle> reduce_local;

// Collectives, with 32-bit and with 64-bit counts
inline constexpr Function<"MPI_Barrier", Handle> barrier;
inline constexpr Function<"MPI_Bcast", void*, int, Handle, int, Handle> bcast;
inline constexpr Function<"MPI_Bcast_c", void*, Count, Handle, int, Handle> bcast_c;
inline constexpr Function<"MPI_Gather", const void*, int, Handle, void*, int, Handle, int, Handle> gather;
inline constexpr Function<"MPI_Gather_c", const void*, Count, Handle, void*, Count, Handle, int, Handle> gather_c;
inline constexpr Function<"MPI_Gatherv", const void*, int, Handle, void*, const int*, const int*, Handle, int, Handle> gatherv;
inline constexpr Function<"MPI_Gatherv_c", const void*, Count, Handle, void*, const Count*, const Aint*, Handle, int, Handle>
    gatherv_c;
inline constexpr Function<"MPI_Scatter", const void*, int, Handle, void*, int, Handle, int, Handle> scatter;
inline constexpr Function<"MPI_Scatter_c", const void*, Count, Handle, void*, Count, Handle, int, Handle> scatter_c;
inline constexpr Function<"MPI_Scatterv", const void*, const int*, const int*, Handle, void*, int, Handle, int, Handle> scatterv;
inline constexpr Function<"MPI_Scatterv_c", const void*, const Count*, const Aint*, Handle, void*, Count, Handle, int, Handle>
    scatterv_c;
inline constexpr Function<"MPI_Allgather", const void*, int, Handle, void*, int, Handle, Handle> allgather;
inline constexpr Function<"MPI_Allgather_c", const void*, Count, Handle, void*, Count, Handle, Handle> allgather_c;
inline constexpr Function<"MPI_Allgatherv", const void*, int, Handle, void*, const int*, const int*, Handle, Handle> allgatherv;
inline constexpr Function<"MPI_Allgatherv_c", const void*, Count, Handle, void*, const Count*, const Aint*, Handle, Handle>
    allgatherv_c;
inline constexpr Function<"MPI_Alltoall", const void*, int, Handle, void*, int, Handle, Handle> alltoall;
inline constexpr Function<"MPI_Alltoall_c", const void*, Count, Handle, void*, Count, Handle, Handle> alltoall_c;
inline constexpr Function<"MPI_Alltoallv", const void*, const int*, const int*, Handle, void*, const int*, const int*, Handle,
                          Handle>
    alltoallv;
inline constexpr Function<"MPI_Alltoallv_c", const void*, const Count*, const Aint*, Handle, void*, const Count*, const Aint*,
                          Handle, Handle>
    alltoallv_c;
inline constexpr Function<"MPI_Alltoallw", const void*, const int*, const int*, const void*, void*, const int*, const int*,
                          const void*, Handle>
    alltoallw;
inline constexpr Function<"MPI_Alltoallw_c", const void*, const Count*, const Aint*, const void*, void*, const Count*,
                          const Aint*, const void*, Handle>
    alltoallw_c;
inline constexpr Function<"MPI_Reduce", const void*, void*, int, Handle, Handle, int, Handle> reduce;
inline constexpr Function<"MPI_Reduce_c", const void*, void*, Count, Handle, Handle, int, Handle> reduce_c;
inline constexpr Function<"MPI_Allreduce", const void*, void*, int, Handle, Handle, Handle> allreduce;
inline constexpr Function<"MPI_Allreduce_c", const void*, void*, Count, Handle, Handle, Handle> allreduce_c;
inline constexpr Function<"MPI_Reduce_scatter_block", const void*, void*, int, Handle, Handle, Handle> reduce_scatter_block;
inline constexpr Function<"MPI_Reduce_scatter_block_c", const void*, void*, Count, Handle, Handle, Handle> reduce_scatter_block_c;
inline constexpr Function<"MPI_Reduce_scatter", const void*, void*, const int*, Handle, Handle, Handle> reduce_scatter;
inline constexpr Function<"MPI_Reduce_scatter_c", const void*, void*, const Count*, Handle, Handle, Handle> reduce_scatter_c;
inline constexpr Function<"MPI_Scan", const void*, void*, int, Handle, Handle, Handle> scan;
inline constexpr Function<"MPI_Scan_c", const void*, void*, Count, Handle, Handle, Handle> scan_c;
inline constexpr Function<"MPI_Exscan", const void*, void*, int, Handle, Handle, Handle> exscan;
inline constexpr Function<"MPI_Exscan_c", const void*, void*, Count, Handle, Handle, Handle> exscan_c;

}  // namespace pmpi
}  // namespace tutti::mpi
