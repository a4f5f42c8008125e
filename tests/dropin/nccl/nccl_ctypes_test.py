"""nccl_ctypes_test.py RANKS: NCCL as inference engines call it from Python: the library by ctypes, every function bound at start with its
argument types, ranks as processes that get the id from rank 0. Which library is what CDLL("libnccl.so.2") finds, or NCCL_SO_PATH.
"""

import array
import ctypes
import os
import sys

import job

Comm = Stream = Buffer = Window = ctypes.c_void_p
Enum = ctypes.c_int


class UniqueId(ctypes.Structure):
    _fields_ = [("internal", ctypes.c_byte * 128)]


SIGNATURES = {
    "ncclGetVersion": [ctypes.POINTER(ctypes.c_int)],
    "ncclGetUniqueId": [ctypes.POINTER(UniqueId)],
    "ncclCommInitRank": [ctypes.POINTER(Comm), ctypes.c_int, UniqueId, ctypes.c_int],
    "ncclAllReduce": [Buffer, Buffer, ctypes.c_size_t, Enum, Enum, Comm, Stream],
    "ncclReduce": [Buffer, Buffer, ctypes.c_size_t, Enum, Enum, ctypes.c_int, Comm, Stream],
    "ncclAllGather": [Buffer, Buffer, ctypes.c_size_t, Enum, Comm, Stream],
    "ncclReduceScatter": [Buffer, Buffer, ctypes.c_size_t, Enum, Enum, Comm, Stream],
    "ncclBroadcast": [Buffer, Buffer, ctypes.c_size_t, Enum, ctypes.c_int, Comm, Stream],
    "ncclSend": [Buffer, ctypes.c_size_t, Enum, ctypes.c_int, Comm, Stream],
    "ncclRecv": [Buffer, ctypes.c_size_t, Enum, ctypes.c_int, Comm, Stream],
    "ncclGroupStart": [],
    "ncclGroupEnd": [],
    "ncclCommWindowRegister": [Comm, Buffer, ctypes.c_size_t, ctypes.POINTER(Window), ctypes.c_int],
    "ncclCommWindowDeregister": [Comm, Window],
    "ncclCommDestroy": [Comm],
}
INT32, FLOAT, SUM, MAX = 2, 7, 0, 2


class Nccl:
    def __init__(self):
        self.library = ctypes.CDLL(os.environ.get("NCCL_SO_PATH", "libnccl.so.2"))
        self.library.ncclGetErrorString.restype = ctypes.c_char_p
        self.library.ncclGetErrorString.argtypes = [Enum]
        for name, arguments in SIGNATURES.items():
            function = getattr(self.library, name)
            function.restype, function.argtypes = Enum, arguments

    def __getattr__(self, name):
        function = getattr(self.library, name)

        def checked(*arguments):
            result = function(*arguments)
            if result != 0:
                raise RuntimeError(f"{name}: {self.library.ncclGetErrorString(result).decode()}")

        return checked


class Communicator:
    def __init__(self, nccl, identifier, rank, ranks):
        self.nccl, self.rank, self.ranks, self.handle = nccl, rank, ranks, Comm()
        nccl.ncclCommInitRank(ctypes.byref(self.handle), ranks, identifier, rank)

    def call(self, name, *arguments):
        getattr(self.nccl, name)(*arguments, self.handle, None)


def address(data):
    return data.buffer_info()[0]


def floats(values):
    return array.array("f", values)


def expect(got, wanted, what):
    if list(got) != list(wanted):
        raise AssertionError(f"{what}: {list(got)[:8]}, not {list(wanted)[:8]}")


def rank_main(rank, ranks, pipes):
    nccl = Nccl()
    version = ctypes.c_int()
    nccl.ncclGetVersion(ctypes.byref(version))
    expect([version.value], [23007], "version")
    identifier = UniqueId()
    if rank == 0:
        nccl.ncclGetUniqueId(ctypes.byref(identifier))
    identifier = UniqueId.from_buffer_copy(job.from_rank_0(bytes(identifier), rank, pipes))
    comm = Communicator(nccl, identifier, rank, ranks)
    count = 1000

    mine, out = floats(rank + i % 10 for i in range(count)), floats([0] * count)
    total = [ranks * (ranks - 1) // 2 + ranks * (i % 10) for i in range(count)]
    comm.call("ncclAllReduce", address(mine), address(out), count, FLOAT, SUM)
    expect(out, total, "all_reduce")
    comm.call("ncclReduce", address(mine), address(out), count, FLOAT, MAX, ranks - 1)
    if rank == ranks - 1:
        expect(out, [ranks - 1 + i % 10 for i in range(count)], "reduce")
    everything = floats([0] * (count * ranks))
    comm.call("ncclAllGather", address(mine), address(everything), count, FLOAT)
    expect(everything, [r + i % 10 for r in range(ranks) for i in range(count)], "all_gather")
    comm.call("ncclReduceScatter", address(everything), address(out), count, FLOAT, SUM)
    expect(out, [ranks * (rank + i % 10) for i in range(count)], "reduce_scatter")
    word = array.array("i", [rank + 41])
    comm.call("ncclBroadcast", address(word), address(word), 1, INT32, 0)
    expect(word, [41], "broadcast")

    nccl.ncclGroupStart()
    comm.call("ncclSend", address(mine), count, FLOAT, (rank + 1) % ranks)
    comm.call("ncclRecv", address(out), count, FLOAT, (rank - 1) % ranks)
    nccl.ncclGroupEnd()
    expect(out, [(rank - 1) % ranks + i % 10 for i in range(count)], "send and recv")

    window = Window()
    nccl.ncclCommWindowRegister(comm.handle, address(mine), count * 4, ctypes.byref(window), 1)
    expect([window.value], [None], "windows, which are not there")
    nccl.ncclCommWindowDeregister(comm.handle, window)
    try:
        comm.call("ncclAllReduce", address(mine), address(out), count, 99, SUM)
        raise AssertionError("data type 99 was taken")
    except RuntimeError as error:
        expect(["invalid argument" in str(error)], [True], str(error))
    nccl.ncclCommDestroy(comm.handle)


if __name__ == "__main__":
    job.run("ctypes", rank_main, int(sys.argv[1]))
