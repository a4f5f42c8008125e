"""Our libnccl.so.2 by ctypes: prototypes, numbers of types and operators, communicators, and an exception that says what went wrong."""

import contextlib
import ctypes
import functools
import os
import pathlib

import torch
from torch.distributed import ReduceOp

TYPES = {
    torch.int8: 0,
    torch.uint8: 1,
    torch.int32: 2,
    torch.uint32: 3,
    torch.int64: 4,
    torch.uint64: 5,
    torch.float16: 6,
    torch.float32: 7,
    torch.float64: 8,
    torch.bfloat16: 9,
    torch.float8_e4m3fn: 10,
    torch.float8_e5m2: 11,
}
BYTES = TYPES[torch.uint8]
_Op = ReduceOp.RedOpType
OPERATORS = {_Op.SUM: 0, _Op.PRODUCT: 1, _Op.MAX: 2, _Op.MIN: 3, _Op.AVG: 4}
INVALID_ARGUMENT, REMOTE_ERROR = 4, 6
READ_AT_ONCE = 1  # ncclScalarHostImmediate


class UniqueId(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 128)]


class Error(Exception):
    """What a function of the library has returned, and the library's sentence about it."""

    def __init__(self, result, text):
        super().__init__(text)
        self.result = result


_POINTER, _NUMBER, _COUNT = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_PROTOTYPES = {
    "ncclGetUniqueId": [ctypes.POINTER(UniqueId)],
    "ncclCommInitRank": [_POINTER, _NUMBER, UniqueId, _NUMBER],
    "ncclCommAbort": [_POINTER],
    "ncclCommDestroy": [_POINTER],
    "ncclMemAlloc": [_POINTER, _COUNT],
    "ncclMemFree": [_POINTER],
    "ncclGroupStart": [],
    "ncclGroupEnd": [],
    "ncclRedOpCreatePreMulSum": [_POINTER, _POINTER, _NUMBER, _NUMBER, _POINTER],
    "ncclRedOpDestroy": [_NUMBER, _POINTER],
    # What moves data ends with a communicator and a stream.
    "ncclAllReduce": [_POINTER, _POINTER, _COUNT, _NUMBER, _NUMBER, _POINTER, _POINTER],
    "ncclReduce": [_POINTER, _POINTER, _COUNT, _NUMBER, _NUMBER, _NUMBER, _POINTER, _POINTER],
    "ncclReduceScatter": [_POINTER, _POINTER, _COUNT, _NUMBER, _NUMBER, _POINTER, _POINTER],
    "ncclBroadcast": [_POINTER, _POINTER, _COUNT, _NUMBER, _NUMBER, _POINTER, _POINTER],
    "ncclGather": [_POINTER, _POINTER, _COUNT, _NUMBER, _NUMBER, _POINTER, _POINTER],
    "ncclScatter": [_POINTER, _POINTER, _COUNT, _NUMBER, _NUMBER, _POINTER, _POINTER],
    "ncclAllGather": [_POINTER, _POINTER, _COUNT, _NUMBER, _POINTER, _POINTER],
    "ncclAlltoAll": [_POINTER, _POINTER, _COUNT, _NUMBER, _POINTER, _POINTER],
    "ncclSend": [_POINTER, _COUNT, _NUMBER, _NUMBER, _POINTER, _POINTER],
    "ncclRecv": [_POINTER, _COUNT, _NUMBER, _NUMBER, _POINTER, _POINTER],
}


def _open():
    # By its path, so that it is this one: PyTorch may have loaded another library of that name, whose functions ours does not see either.
    path = str(pathlib.Path(__file__).parent.parent / "libnccl.so.2")
    library = ctypes.CDLL(path, mode=ctypes.RTLD_LOCAL)
    for name, arguments in _PROTOTYPES.items():
        getattr(library, name).argtypes = arguments
    # Keeps Python's lock, so that no other thread of Python fails in between.
    last_error = ctypes.PyDLL(path, mode=ctypes.RTLD_LOCAL).ncclGetLastError
    last_error.argtypes, last_error.restype = [_POINTER], ctypes.c_char_p
    return library, last_error


@contextlib.contextmanager
def _variable(name, value):
    """Has it in the environment, unless there is one already."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


@functools.lru_cache(maxsize=None)
def _loaded():
    library, last_error = _open()
    # It looks for a driver once, when it first allocates. There is nothing for it to do on a GPU, and a context would take memory there. Another
    # copy of the library in this process, for CUDA tensors, is to find the variable as it was.
    with _variable("TUTTI_CUDA", "off"):
        memory = ctypes.c_void_p()
        if library.ncclMemAlloc(ctypes.byref(memory), 1) == 0:
            library.ncclMemFree(memory)
    return library, last_error


def library():
    return _loaded()[0]


def check(result):
    if result:
        raise Error(result, (_loaded()[1](None) or b"").decode(errors="replace") or f"the library has returned {result}")


def new_id():
    """Where ranks can meet: bytes, to be given to create() on all of them."""
    id = UniqueId()
    check(library().ncclGetUniqueId(ctypes.byref(id)))
    return bytes(id.bytes)


class Communicator:
    """A communicator: for one thread at a time, but for abort().

    While create() waits for other ranks, another thread may end that by abort(), as it may end a call.
    """

    def __init__(self, rank, size):
        self.rank, self.size = rank, size
        self.library = library()
        self._handle = ctypes.c_void_p()

    @property
    def handle(self):
        return self._handle.value

    def create(self, id):
        check(self.library.ncclCommInitRank(ctypes.byref(self._handle), self.size, UniqueId.from_buffer_copy(id), self.rank))

    def abort(self):
        if self.handle:
            self.library.ncclCommAbort(self.handle)

    def destroy(self):
        if self.handle:
            self.library.ncclCommDestroy(self.handle)

    def all_reduce(self, tensor, op):
        data = tensor.data_ptr()
        check(self.library.ncclAllReduce(data, data, tensor.numel(), TYPES[tensor.dtype], op, self._handle, None))

    def reduce(self, input, output, op, root):
        data = None if output is None else output.data_ptr()
        check(self.library.ncclReduce(input.data_ptr(), data, input.numel(), TYPES[input.dtype], op, root, self._handle, None))

    def reduce_scatter(self, input, output, op):
        check(self.library.ncclReduceScatter(input.data_ptr(), output.data_ptr(), output.numel(), TYPES[output.dtype], op, self._handle, None))

    # What only moves data takes tensors of all types. `input` or `output` is None where the rank has none.

    def broadcast(self, tensor, root):
        type, each = elements(tensor.dtype)
        check(self.library.ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(), tensor.numel() * each, type, root, self._handle, None))

    def all_gather(self, input, output):
        type, each = elements(input.dtype)
        check(self.library.ncclAllGather(input.data_ptr(), output.data_ptr(), input.numel() * each, type, self._handle, None))

    def all_to_all(self, input, output):
        type, each = elements(input.dtype)
        count = input.numel() // self.size * each
        check(self.library.ncclAlltoAll(input.data_ptr(), output.data_ptr(), count, type, self._handle, None))

    def gather(self, input, output, root):
        type, each = elements(input.dtype)
        data = None if output is None else output.data_ptr()
        check(self.library.ncclGather(input.data_ptr(), data, input.numel() * each, type, root, self._handle, None))

    def scatter(self, input, output, root):
        type, each = elements(output.dtype)
        data = None if input is None else input.data_ptr()
        check(self.library.ncclScatter(data, output.data_ptr(), output.numel() * each, type, root, self._handle, None))

    def exchange(self, sent, received):
        """Sends sent[r] to each rank r, and receives received[r] from it. Tensors may have any sizes."""
        received[self.rank].detach().copy_(sent[self.rank].detach().view_as(received[self.rank]))
        with self.together():
            for other in range(self.size):
                if other != self.rank:
                    self.send(sent[other], other)
                    self.receive(received[other], other)

    def send(self, tensor, to):
        type, each = elements(tensor.dtype)
        self.send_memory(tensor.data_ptr(), tensor.numel() * each, to, type)

    def receive(self, tensor, source):
        type, each = elements(tensor.dtype)
        self.receive_memory(tensor.data_ptr(), tensor.numel() * each, source, type)

    def send_memory(self, data, count, to, type=BYTES):
        check(self.library.ncclSend(data, count, type, to, self._handle, None))

    def receive_memory(self, data, count, source, type=BYTES):
        check(self.library.ncclRecv(data, count, type, source, self._handle, None))

    @contextlib.contextmanager
    def together(self):
        """Calls inside are made at once when it ends."""
        check(self.library.ncclGroupStart())
        try:
            yield
        except BaseException:
            self.library.ncclGroupEnd()  # which remembers that a call was wrong, and makes none
            raise
        check(self.library.ncclGroupEnd())

    @contextlib.contextmanager
    def premultiplied_sum(self, factor):
        """The operator that sums factor * element, for tensors of the type of factor, a tensor of one element."""
        op = ctypes.c_int()
        check(self.library.ncclRedOpCreatePreMulSum(ctypes.byref(op), factor.data_ptr(), TYPES[factor.dtype], READ_AT_ONCE, self._handle))
        try:
            yield op.value
        finally:
            self.library.ncclRedOpDestroy(op, self._handle)


@functools.lru_cache(maxsize=None)
def elements(dtype):
    """The type as which elements are moved, and how many of it make one of them."""
    return (TYPES[dtype], 1) if dtype in TYPES else (BYTES, dtype.itemsize)
