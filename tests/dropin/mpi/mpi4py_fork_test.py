"""Children of multiprocessing, made by fork(), read and write copies of arrays whose pages were adopted; the parent's stay its own."""

import multiprocessing
import os
import subprocess

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
me, size = comm.rank, comm.size
n = 1 << 19
mine = np.empty(n)
total = np.empty(n)


def fill_and_reduce(k):
    mine[:] = np.arange(n) + me + k
    comm.Allreduce(mine, total)
    assert_total(k)


def assert_total(k):
    assert np.array_equal(total, size * (np.arange(n) + k) + size * (size - 1) / 2)


def adopted(array):
    """Whether the middle of it lies in pages that are: shared ones (a peer's may be mapped elsewhere; private copies keep the name)."""
    at = array.ctypes.data + array.nbytes // 2
    with open("/proc/self/maps") as maps:
        for line in maps:
            begin, end = (int(x, 16) for x in line.split()[0].split("-"))
            if begin <= at < end:
                return "tutti-adopted" in line and line.split()[1].endswith("s")
    return False


def child(k):
    assert not adopted(mine) and not adopted(total)
    assert mine[0] == me + k and mine[-1] == n - 1 + me + k
    assert_total(k)
    mine[:] = -1
    total[:] = -1
    return float(mine.sum())


forks = multiprocessing.get_context("fork")
for k in range(3):
    fill_and_reduce(k)
    assert adopted(mine) and adopted(total)
    with forks.Pool(2) as pool:
        assert pool.map(child, [k]) == [-float(n)]
    assert mine[0] == me + k
    assert_total(k)
fill_and_reduce(7)
# Another program is started while they are adopted: it gets none of their descriptors.
listing = subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=subprocess.PIPE, check=True, close_fds=False).stdout
assert b"tutti-adopted" not in listing
assert_total(7)
comm.Barrier()
os.write(2, f"rank {me} of {size}: ok\n".encode())  # in one piece
