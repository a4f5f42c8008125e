"""tutti as a backend of torch.distributed:

    import torch.distributed as dist
    dist.init_process_group("tutti")

"tutti" serves tensors of the CPU and of CUDA devices; "cpu:tutti,cuda:nccl" takes it for those of the CPU only. Importing this package makes the
name known; where the package is installed, PyTorch 2.15 and newer find it without an import.

Tensors made by empty(), or while shared_memory() is entered, lie where the other ranks of the host read and write them in place: large operations
on them copy less. TUTTI_TORCH_SHARED=1 in the environment does that for all tensors of the CPU that are made after this package was imported,
gradients and the buckets of DistributedDataParallel among them.

A package that was made without a compiled module (./dev wheel any) is for any Python and any PyTorch from 2.15 on. It serves tensors of the CPU, more
slowly where they are small, and of shared memory it has only empty().
"""

import contextlib
import os
import warnings

import torch
import torch.distributed as dist

from . import _built

__all__ = ["empty", "register", "shared_memory"]
__version__ = _built.version


def _minor(version):
    return version.split("+")[0].split(".")[:2]


_compiled = _built.torch is not None

# A module that was compiled for another one would crash, or worse.
if _compiled and _minor(torch.__version__) != _minor(_built.torch):
    raise ImportError(
        f"tutti_torch was built for PyTorch {_built.torch}, and this is {torch.__version__}; build it again: "
        "pip install --no-build-isolation --force-reinstall --no-deps FOLDER_OF_TUTTI. Or install the wheel that './dev wheel any' makes there: "
        "it is for any PyTorch from 2.15 on, and for tensors of the CPU"
    )
if not _compiled and [int(n) for n in _minor(torch.__version__)] < [2, 15]:
    raise ImportError(
        f"this tutti_torch was made without a compiled module, and needs PyTorch 2.15 or newer, but this is {torch.__version__}; "
        "one is compiled for it by: pip install --no-build-isolation --force-reinstall --no-deps FOLDER_OF_TUTTI"
    )

if _compiled:
    from . import _C  # noqa: E402
else:
    from . import fallback  # noqa: E402


def empty(*sizes, dtype=None):
    """A tensor of the CPU in memory that other ranks of the host can read and write in place; its values are 0 or anything."""
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        sizes = tuple(sizes[0])
    return (_C if _compiled else fallback).empty(list(sizes), dtype or torch.get_default_dtype())


@contextlib.contextmanager
def shared_memory():
    """While this is entered, all new tensors of the CPU, of all threads, are made as by empty()."""
    if not _compiled:
        raise RuntimeError("tutti_torch.shared_memory() needs a package with a compiled module; tutti_torch.empty() works in this one, too")
    before = _C.share_all(True)
    try:
        yield
    finally:
        _C.share_all(before)


def _create(options, _backend_options=None):
    timeout = options.timeout
    seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else float(timeout)
    create = _C.create if _compiled else fallback.Backend
    return create(options.store, options.group_rank, options.group_size, seconds)


def register():
    """Makes the backend known to torch.distributed. Any number of times."""
    if "tutti" not in dist.Backend.backend_list:
        dist.Backend.register_backend("tutti", _create, extended_api=True, devices=["cpu", "cuda"])
        if not _compiled:
            fallback.stand_behind_holders()


if os.environ.get("TUTTI_TORCH_SHARED", "0") not in ("", "0"):
    if _compiled:
        _C.share_all(True)
    else:
        warnings.warn("TUTTI_TORCH_SHARED has no effect: this tutti_torch was made without a compiled module; tutti_torch.empty() works")
register()
