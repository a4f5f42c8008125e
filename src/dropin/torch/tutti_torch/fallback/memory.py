"""Memory that other ranks of the host read and write in place."""

import ctypes
import math
import weakref

import torch

from . import c_interface


def empty(sizes, dtype):
    if min(sizes, default=0) < 0:
        raise ValueError(f"tutti_torch.empty: a size is {min(sizes)}")
    count = math.prod(sizes)
    bytes = count * dtype.itemsize
    if bytes == 0:
        return torch.empty(sizes, dtype=dtype)
    library, data = c_interface.library(), ctypes.c_void_p()
    c_interface.check(library.ncclMemAlloc(ctypes.byref(data), bytes))
    memory = (ctypes.c_char * bytes).from_address(data.value)
    tensor = torch.frombuffer(memory, dtype=torch.uint8).view(dtype).view(sizes)
    # The tensor's storage keeps `memory`, and everything goes anyway when the process ends.
    weakref.finalize(memory, library.ncclMemFree, data).atexit = False
    return tensor
