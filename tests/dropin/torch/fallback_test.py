"""What the backend without a compiled module does in ways of its own: reductions that the C interface does not have, memory, its library, and what
a work tells of itself.
"""

import ctypes
import datetime
import gc
import os
import sys

import torch
import torch.distributed as dist

import job
from operations_test import fails

SMALL = [torch.int16, torch.uint16, torch.bool, torch.complex64]
WHOLE = [torch.int8, torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64, torch.uint64, torch.bool]
OPS = dist.ReduceOp


def folded(rank, ranks):
    """Operators on bits, in every kind of call."""
    for op, fold in {OPS.BAND: torch.bitwise_and, OPS.BOR: torch.bitwise_or, OPS.BXOR: torch.bitwise_xor}.items():
        for dtype in WHOLE:
            each = [(torch.arange(ranks * 8) * 5 + r * 3).remainder(2 if dtype == torch.bool else 100) for r in range(ranks)]
            wanted = each[0]
            for other in each[1:]:
                wanted = fold(wanted, other)
            tensor = each[rank].to(dtype)
            dist.all_reduce(tensor, op=op)
            assert torch.equal(tensor.long(), wanted), (op, dtype)
            tensor = each[rank].to(dtype)
            dist.reduce(tensor, dst=ranks - 1, op=op)
            assert rank < ranks - 1 or torch.equal(tensor.long(), wanted), (op, dtype)
            part = torch.zeros(8).to(dtype)
            dist.reduce_scatter_tensor(part, each[rank].to(dtype), op=op)
            assert torch.equal(part.long(), wanted.chunk(ranks)[rank]), (op, dtype)
            part = torch.zeros(rank + 1).to(dtype)
            dist.reduce_scatter(part, [torch.full((r + 1,), 1).to(dtype) for r in range(ranks)], op=op)
            assert (part.long() == (ranks % 2 if op == OPS.BXOR else 1)).all(), (op, dtype)


def other_types(rank, ranks):
    """Of types that the C interface does not have."""
    for dtype in SMALL:
        part = torch.zeros(rank + 1).to(dtype)
        dist.reduce_scatter(part, [torch.ones(r + 1).to(dtype) for r in range(ranks)])
        assert (part.to(torch.complex64) == (1 if dtype == torch.bool else ranks)).all(), part
    wraps = torch.full((3,), 30_000, dtype=torch.int16)
    dist.all_reduce(wraps)
    assert (wraps == torch.tensor(30_000 * ranks).to(torch.int16)).all(), wraps
    turned = torch.full((3, 4), 1 + 2j).t()
    dist.all_reduce(turned, op=dist._make_nccl_premul_sum(0.5))
    assert torch.equal(turned, torch.full((4, 3), (1 + 2j) * ranks / 2)), turned


def in_shared_memory(address):
    maps = [line.split()[0].split("-") for line in open("/proc/self/maps") if "memfd:tutti" in line]
    return any(int(begin, 16) <= address < int(end, 16) for begin, end in maps)


def memory(rank, ranks):
    import tutti_torch

    tensor = tutti_torch.empty(100, 200)
    address = tensor.data_ptr()
    assert in_shared_memory(address) and tensor.dtype == torch.float32
    tensor.fill_(1)
    dist.all_reduce(tensor)
    rows = tensor[3:5]
    del tensor
    gc.collect()
    assert (rows == ranks).all() and in_shared_memory(address)
    del rows
    gc.collect()
    assert not in_shared_memory(address)
    assert tutti_torch.empty((0, 3)).shape == (0, 3)
    fails("all of it", lambda: tutti_torch.shared_memory().__enter__(), "compiled module", "empty()")


def library(rank, ranks):
    """Ours, beside the one that PyTorch has loaded; and no variable is left in the environment."""
    loaded = {line.split()[-1] for line in open("/proc/self/maps") if "libnccl.so.2" in line}
    import tutti_torch

    mine = os.path.join(os.path.dirname(tutti_torch.__file__), "libnccl.so.2")
    assert mine in loaded and len(loaded) == 2, loaded
    assert not hasattr(ctypes.CDLL(None), "pncclGetUniqueId") or "LD_PRELOAD" in os.environ
    assert "TUTTI_CUDA" not in os.environ


def works(rank, ranks):
    work = dist.all_reduce(torch.ones(3), async_op=True)
    work.wait()
    assert work.is_completed() and work.is_success() and work.exception() is None and work.result()[0][0] == ranks
    fails("not from anyone", lambda: work._source_rank(), "from any rank")
    store = dist.distributed_c10d._get_default_store()
    part = dist.group.WORLD._get_backend(torch.device("cpu")).split(dist.PrefixStore("split", store), list(range(ranks)), None)
    assert (part.rank(), part.size()) == (rank, ranks)


def refused(rank, ranks):
    backend = dist.group.WORLD._get_backend(torch.device("cpu"))
    elsewhere = torch.zeros(1, device="meta")
    fails("another device", lambda: backend.broadcast([elsewhere], dist.BroadcastOptions()), "tensors of the CPU only, not of meta", "nccl")


def left_behind(rank, ranks, store):
    """The store still holds where the ranks of an earlier group met, and others come before rank 0 has said where they meet now."""
    from tutti_torch import fallback

    if rank == 0:
        store.wait([str(other) for other in range(1, ranks)])
    else:
        assert store.check(["tutti/group"])
        store.set(str(rank), "has come")
    group = fallback.Backend(store, rank, ranks, 60)
    group.barrier(dist.BarrierOptions())
    group.shutdown()
    fails("afterwards", lambda: group.broadcast([torch.zeros(1)], now(dist.BroadcastOptions())), "failed before", "shut down")


def now(options):
    options.asyncOp = False
    return options


def leave_behind(store):
    if os.fork() == 0:
        from tutti_torch.fallback import c_interface

        store.set("tutti/group", c_interface.new_id().hex())
        os._exit(0)
    assert os.wait()[1] == 0


def failed(rank, ranks):
    """The last one: the group can do no more."""
    if ranks == 1:
        return
    work = dist.all_reduce(torch.zeros(3 + rank), async_op=True)
    future = work.get_future().then(lambda done: done.value())
    error = fails("sizes", work.wait, "count 3")
    assert isinstance(error, dist.DistBackendError) and work.is_completed() and not work.is_success() and "count" in str(work.exception())
    fails("a future", future.wait, "count 3")


def store_of(purpose, port):
    return dist.PrefixStore(purpose, dist.TCPStore("127.0.0.1", port, is_master=False))


def rank_main(rank, ranks, port):
    store = store_of(f"group of {ranks}", port)
    dist.init_process_group("tutti", store=store, rank=rank, world_size=ranks, timeout=datetime.timedelta(seconds=60))
    for case in (folded, other_types, memory, library, works, refused):
        case(rank, ranks)
    left_behind(rank, ranks, store_of(f"left behind for {ranks}", port))
    dist.barrier()
    failed(rank, ranks)


def main():
    port = job.torch_store()
    for ranks in (1, 3):
        leave_behind(store_of(f"left behind for {ranks}", port))
        statuses = job.forked(rank_main, ranks, port)
        if any(statuses):
            sys.exit(f"on {ranks} ranks: {statuses}")
        print(f"on {ranks} ranks: ok", flush=True)


if __name__ == "__main__":
    main()
