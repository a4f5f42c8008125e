"""tutti as a backend of torch.distributed:

    import torch.distributed as dist
    dist.init_process_group("tutti")

"tutti" serves tensors of the CPU and of CUDA devices; "cpu:tutti,cuda:nccl" takes it for those of the CPU only. Importing this package makes the
name known; where the package is installed, PyTorch 2.15 and newer find it without an import.

Tensors made by empty(), or while shared_memory() is entered, lie where the other ranks of the host read and write them in place: large operations
on them copy less. TUTTI_TORCH_SHARED=1 in the environment does that for all tensors of the CPU that are made after this package was imported,
gradients and the buckets of DistributedDataParallel among them.
"""

import contextlib
import os

import torch
import torch.distributed as dist

from . import _built

__all__ = ["empty", "register", "shared_memory"]


def _minor(version):
    return version.split("+")[0].split(".")[:2]


# A module that was compiled for another one would crash, or worse.
if _minor(torch.__version__) != _minor(_built.torch):
    raise ImportError(
        f"tutti_torch was built for PyTorch {_built.torch}, and this is {torch.__version__}; build it again: "
        "pip install --no-build-isolation --force-reinstall --no-deps FOLDER_OF_TUTTI"
    )

from . import _C  # noqa: E402


def empty(*sizes, dtype=None):
    """A tensor of the CPU in memory that other ranks of the host can read and write in place; its values are 0 or anything."""
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        sizes = tuple(sizes[0])
    return _C.empty(list(sizes), dtype or torch.get_default_dtype())


@contextlib.contextmanager
def shared_memory():
    """While this is entered, all new tensors of the CPU, of all threads, are made as by empty()."""
    before = _C.share_all(True)
    try:
        yield
    finally:
        _C.share_all(before)


def _create(options, _backend_options=None):
    timeout = options.timeout
    seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else float(timeout)
    return _C.create(options.store, options.group_rank, options.group_size, seconds)


def register():
    """Makes the backend known to torch.distributed. Any number of times."""
    if "tutti" not in dist.Backend.backend_list:
        dist.Backend.register_backend("tutti", _create, extended_api=True, devices=["cpu", "cuda"])


if os.environ.get("TUTTI_TORCH_SHARED", "0") not in ("", "0"):
    _C.share_all(True)
register()
