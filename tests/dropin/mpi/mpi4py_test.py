"""Collectives as mpi4py makes them: of Python objects and of buffers, with derived types and an operator of our own."""

import os

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
me, size = comm.rank, comm.size

# Objects: pickled, sizes differ from rank to rank.
thing = {"rank": me, "text": "x" * (100 * me + 1), "list": list(range(me))}
things = [{"rank": r, "text": "x" * (100 * r + 1), "list": list(range(r))} for r in range(size)]
for root in range(size):
    assert comm.bcast(thing if me == root else None, root) == things[root]
    assert comm.gather(thing, root) == (things if me == root else None)
    assert comm.scatter(things if me == root else None, root) == thing
    assert comm.reduce([me], root=root) == (list(range(size)) if me == root else None)
assert comm.allgather(thing) == things
assert comm.alltoall([(me, r) for r in range(size)]) == [(r, me) for r in range(size)]
assert comm.allreduce([me]) == list(range(size))  # concatenation: in order
assert comm.allreduce(me + 1, op=MPI.PROD) == np.prod(np.arange(1, size + 1))
assert comm.scan(me) == me * (me + 1) // 2
assert comm.exscan(me) == (me * (me - 1) // 2 if me > 0 else None)

# Buffers.
for n in (0, 1, 7, 1000, 300_000):
    mine = np.arange(n, dtype="d") + me
    total = np.empty_like(mine)
    comm.Allreduce(mine, total)
    assert np.array_equal(total, size * np.arange(n) + size * (size - 1) / 2)
    comm.Allreduce(MPI.IN_PLACE, mine, op=MPI.MAX)
    assert np.array_equal(mine, np.arange(n) + size - 1)
    everyone = np.empty((size, n), dtype="i")
    comm.Allgather(np.full(n, me, dtype="i"), everyone)
    assert all((everyone[r] == r).all() for r in range(size))
    part = np.empty(n, dtype="f")
    comm.Reduce_scatter_block(np.repeat(np.arange(size, dtype="f"), n), part)
    assert (part == size * me).all()
    swapped = np.empty((size, n), dtype="i")
    comm.Alltoall(np.repeat(np.arange(size, dtype="i") * 10 + me, n), swapped)
    assert all((swapped[r] == me * 10 + r).all() for r in range(size))
    comm.Bcast(mine if me == 0 else total, root=0)

counts = [r + 1 for r in range(size)]
ragged = np.empty(sum(counts), dtype="l")
comm.Allgatherv(np.full(me + 1, me, dtype="l"), (ragged, counts))
assert ragged.tolist() == [r for r in range(size) for _ in range(r + 1)]

# Every second element of a buffer, to a dense one.
column = MPI.INT.Create_vector(5, 1, 2).Commit()
spread = np.full(10, -1, dtype="i")
if me == 0:
    spread[:] = np.arange(10)
    comm.Bcast((spread, 1, column), root=0)
else:
    dense = np.empty(5, dtype="i")
    comm.Bcast(dense, root=0)
    assert dense.tolist() == [0, 2, 4, 6, 8]
column.Free()


def matrix_product(a, b, _type):
    left, right = (np.frombuffer(x, dtype="d").reshape(-1, 2, 2) for x in (a, b))
    right[:] = left @ right


matrix = MPI.DOUBLE.Create_contiguous(4).Commit()
product = MPI.Op.Create(matrix_product, commute=False)
factor = lambda r: np.array([[1.0, r + 1], [0.5 * r, 2.0]])
result = np.empty((2, 2))
comm.Allreduce((factor(me), 1, matrix), (result, 1, matrix), op=product)
expected = factor(0)
for r in range(1, size):
    expected = expected @ factor(r)
assert np.array_equal(result, expected) or np.allclose(result, expected, rtol=1e-14)
product.Free()
matrix.Free()

half = comm.Split(me % 2, -me)
assert half.allreduce(1) == (size + 1 - me % 2) // 2
half.Free()
comm.Barrier()
library = MPI.Get_library_version().split(",")[0].split("\n")[0].strip()
os.write(2, f"mpi4py of {library}: rank {me} of {size}: ok\n".encode())  # in one piece
