/* As much of MPI's interface as peers.c uses, served by tutti's C++ interface with nothing between (mpi.cpp): what peers.c
   measures with it is what libtutti_mpi.so adds to. */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum { MPI_BYTE, MPI_CHAR, MPI_FLOAT } MPI_Datatype;
typedef enum { MPI_SUM } MPI_Op;
typedef enum { MPI_COMM_WORLD } MPI_Comm;
typedef enum { MPI_INFO_NULL } MPI_Info;
typedef long MPI_Aint;
enum { MPI_SUCCESS = 0, MPI_ERR_OTHER = 1 };
extern const void* const MPI_IN_PLACE;

int MPI_Init(int* argc, char*** argv);
int MPI_Finalize(void);
int MPI_Abort(MPI_Comm comm, int status);
int MPI_Alloc_mem(MPI_Aint size, MPI_Info info, void* pointer);
int MPI_Free_mem(void* memory);
int MPI_Comm_rank(MPI_Comm comm, int* rank);
int MPI_Comm_size(MPI_Comm comm, int* size);
int MPI_Barrier(MPI_Comm comm);
int MPI_Bcast(void* data, int count, MPI_Datatype type, int root, MPI_Comm comm);
int MPI_Reduce(const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm);
int MPI_Allreduce(const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm);
int MPI_Reduce_scatter_block(const void* in, void* out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm);
int MPI_Allgather(const void* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type, MPI_Comm comm);
int MPI_Alltoall(const void* in, int count, MPI_Datatype type, void* out, int out_count, MPI_Datatype out_type, MPI_Comm comm);

#ifdef __cplusplus
}
#endif
