"""tutti as a backend of torch.distributed:

    import torch.distributed as dist
    dist.init_process_group("tutti")

"tutti" serves tensors of the CPU and of CUDA devices; "cpu:tutti,cuda:nccl" takes it for those of the CPU only. Importing this package makes the
name known; where the package is installed, PyTorch 2.15 and newer find it without an import.
"""

import torch
import torch.distributed as dist

from . import _C

__all__ = ["register"]


def _create(options, _backend_options=None):
    timeout = options.timeout
    seconds = timeout.total_seconds() if hasattr(timeout, "total_seconds") else float(timeout)
    return _C.create(options.store, options.group_rank, options.group_size, seconds)


def register():
    """Makes the backend known to torch.distributed. Any number of times."""
    if "tutti" not in dist.Backend.backend_list:
        dist.Backend.register_backend("tutti", _create, extended_api=True, devices=["cpu", "cuda"])


register()
