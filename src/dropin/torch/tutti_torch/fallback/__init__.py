"""The backend where no compiled module fits: another Python, another PyTorch, no compiler. It is written in Python over the C interface of NCCL
that our libnccl.so.2 has, and serves tensors of the CPU. It needs PyTorch 2.15 or newer, the first one that lets Python be a backend.
"""

from .backend import Backend
from .memory import empty
from .work import stand_behind_holders

__all__ = ["Backend", "empty", "stand_behind_holders"]
