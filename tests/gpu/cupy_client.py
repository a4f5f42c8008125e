"""cupy_client.py RANKS: CuPy's cupy.cuda.nccl with arrays of one GPU that all ranks, which are processes, share."""

import pathlib
import sys

import cupy
from cupy.cuda import nccl

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "dropin/nccl"))
import job

COUNT, FLOAT, SUM, AVG = 100_003, 7, 0, 4


def rank_main(rank, ranks, pipes):
    identifier = job.from_rank_0(nccl.get_unique_id() if rank == 0 else None, rank, pipes)
    comm = nccl.NcclCommunicator(ranks, identifier, rank)
    mine = cupy.arange(COUNT, dtype=cupy.float32) + rank
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.get_current_stream().synchronize()
    with stream:
        out, everything = cupy.zeros_like(mine), cupy.zeros(COUNT * ranks, dtype=cupy.float32)
        # Kernels before, between and after, all in the stream's order.
        comm.allReduce((mine * 2).data.ptr, out.data.ptr, COUNT, FLOAT, SUM, stream.ptr)
        wanted = 2 * (ranks * cupy.arange(COUNT) + ranks * (ranks - 1) // 2)
        assert bool((out == wanted).all()), "allReduce"
        out += rank
        comm.allGather(out.data.ptr, everything.data.ptr, COUNT, FLOAT, stream.ptr)
        assert bool((everything.reshape(ranks, COUNT) == wanted[None, :] + cupy.arange(ranks)[:, None]).all()), "allGather"
        comm.reduceScatter(everything.data.ptr, out.data.ptr, COUNT, FLOAT, AVG, stream.ptr)
        assert bool((out == wanted + rank).all()), "reduceScatter"
        nccl.groupStart()
        comm.send(mine.data.ptr, COUNT, FLOAT, (rank + 1) % ranks, stream.ptr)
        comm.recv(out.data.ptr, COUNT, FLOAT, (rank - 1) % ranks, stream.ptr)
        nccl.groupEnd()
        assert bool((out == cupy.arange(COUNT) + (rank - 1) % ranks).all()), "send and recv"
    stream.synchronize()
    comm.check_async_error()
    comm.destroy()


if __name__ == "__main__":
    job.run("cupy", rank_main, int(sys.argv[1]))
