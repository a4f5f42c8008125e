"""nccl_bindings_test.py BINDING RANKS: libnccl.so.2 under CuPy's `cupy.cuda.nccl` or NVIDIA's `nccl.bindings.nccl` (nccl4py), with arrays in
host memory and ranks as processes.
"""

import ctypes
import sys

import numpy

import job

FLOAT, SUM = 7, 0
COUNT = 1000


def address(array):
    return array.ctypes.data


def equal(got, wanted, what):
    if not numpy.array_equal(got, wanted):
        raise AssertionError(f"{what}: {got[:8]}, not {wanted[:8]}")


def with_cupy(rank, ranks, pipes):
    from cupy.cuda import nccl

    assert nccl.get_version() == 23007
    identifier = job.from_rank_0(nccl.get_unique_id() if rank == 0 else None, rank, pipes)
    comm = nccl.NcclCommunicator(ranks, identifier, rank)
    assert (comm.size(), comm.rank_id()) == (ranks, rank)
    mine = numpy.arange(COUNT, dtype=numpy.float32) + rank
    out = numpy.zeros_like(mine)
    total = ranks * numpy.arange(COUNT) + ranks * (ranks - 1) // 2
    comm.allReduce(address(mine), address(out), COUNT, FLOAT, SUM, 0)
    equal(out, total, "allReduce")
    everything = numpy.zeros(COUNT * ranks, dtype=numpy.float32)
    comm.allGather(address(mine), address(everything), COUNT, FLOAT, 0)
    equal(everything, numpy.concatenate([numpy.arange(COUNT) + r for r in range(ranks)]), "allGather")
    comm.reduceScatter(address(everything), address(out), COUNT, FLOAT, SUM, 0)
    equal(out, ranks * (numpy.arange(COUNT) + rank), "reduceScatter")
    comm.bcast(address(out), COUNT, FLOAT, 0, 0)
    equal(out, ranks * numpy.arange(COUNT), "bcast")
    comm.reduce(address(mine), address(out), COUNT, FLOAT, SUM, 0, 0)
    nccl.groupStart()
    comm.send(address(mine), COUNT, FLOAT, (rank + 1) % ranks, 0)
    comm.recv(address(out), COUNT, FLOAT, (rank - 1) % ranks, 0)
    nccl.groupEnd()
    equal(out, numpy.arange(COUNT) + (rank - 1) % ranks, "send and recv")
    half = comm.commSplit(rank % 2, rank, nccl.NcclConfig())
    assert half.rank_id() == rank // 2
    try:
        comm.allReduce(address(mine), address(out), COUNT, 99, SUM, 0)
        raise AssertionError("data type 99 was taken")
    except nccl.NcclError as error:
        assert "INVALID_ARGUMENT" in str(error), error
    comm.check_async_error()
    half.destroy()
    comm.destroy()


def with_nccl4py(rank, ranks, pipes):
    from nccl.bindings import nccl

    assert nccl.get_version() == 23007
    made = nccl.get_unique_id() if rank == 0 else None
    raw = job.from_rank_0(ctypes.string_at(made.ptr, 128) if rank == 0 else None, rank, pipes)
    kept = ctypes.create_string_buffer(raw, 128)
    identifier = nccl.UniqueId.from_ptr(ctypes.addressof(kept))
    if ranks > 2:
        comm = nccl.comm_init_rank_scalable(ranks, rank, 1, identifier.ptr, 0)
    else:
        comm = nccl.comm_init_rank(ranks, identifier, rank)
    assert (nccl.comm_count(comm), nccl.comm_user_rank(comm)) == (ranks, rank)
    mine = numpy.arange(COUNT, dtype=numpy.float32) + rank
    out = numpy.zeros_like(mine)
    total = ranks * numpy.arange(COUNT) + ranks * (ranks - 1) // 2
    nccl.all_reduce(address(mine), address(out), COUNT, FLOAT, SUM, comm, 0)
    equal(out, total, "all_reduce")
    scalar = numpy.array([2], dtype=numpy.float32)
    twice = nccl.red_op_create_pre_mul_sum(address(scalar), FLOAT, 1, comm)
    nccl.all_reduce(address(mine), address(out), COUNT, FLOAT, twice, comm, 0)
    equal(out, 2 * total, "all_reduce of twice")
    nccl.red_op_destroy(twice, comm)
    everything = numpy.zeros(COUNT * ranks, dtype=numpy.float32)
    nccl.all_gather(address(mine), address(everything), COUNT, FLOAT, comm, 0)
    equal(everything, numpy.concatenate([numpy.arange(COUNT) + r for r in range(ranks)]), "all_gather")
    nccl.group_start()
    nccl.send(address(mine), COUNT, FLOAT, (rank + 1) % ranks, comm, 0)
    nccl.recv(address(out), COUNT, FLOAT, (rank - 1) % ranks, comm, 0)
    nccl.group_end()
    equal(out, numpy.arange(COUNT) + (rank - 1) % ranks, "send and recv")
    memory = nccl.mem_alloc(4096)
    nccl.comm_deregister(comm, nccl.comm_register(comm, memory, 4096))
    nccl.mem_free(memory)
    properties = nccl.comm_query_properties(comm)  # of 2.32, larger than ours
    assert (properties.rank, properties.n_ranks, bool(properties.device_api_support)) == (rank, ranks, False)
    config = nccl.Config()  # of 2.32, larger than ours
    half = nccl.comm_split(comm, rank % 2, rank, config.ptr)
    assert nccl.comm_user_rank(half) == rank // 2
    try:
        nccl.all_reduce(address(mine), address(out), COUNT, 99, SUM, comm, 0)
        raise AssertionError("data type 99 was taken")
    except nccl.NCCLError as error:
        assert "invalid argument" in str(error).lower(), error
    assert nccl.comm_get_async_error(comm) == 0
    nccl.comm_destroy(half)
    nccl.comm_destroy(comm)


if __name__ == "__main__":
    binding = sys.argv[1]
    job.run(binding, {"cupy": with_cupy, "nccl4py": with_nccl4py}[binding], int(sys.argv[2]))
