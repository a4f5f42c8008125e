"""nccl_torch_test.py: unmodified PyTorch's init_process_group("nccl") on libnccl.so.2, ranks as processes. The CUDA below is a stand-in whose
device memory lies on the host: copies, streams, events and graphs are real, kernels do nothing. So data is made and checked on the CPU, and
whatever torch does with kernels is out of reach: arithmetic and comparisons on the device, fill_, reductions, thus object collectives (they
take the maximum of sizes on the device), DistributedDataParallel and FSDP.

TORCH_DIST_USE_NCCL2=0 in the environment takes torch's older engine; BACKEND=tutti takes the backend of that name instead (src/dropin/torch).
"""

import datetime
import faulthandler
import gc
import os
import pathlib
import signal
import sys
import tempfile
import warnings

import torch
import torch.distributed as dist

import job

warnings.filterwarnings("ignore")
COUNT, SECONDS = 1003, 150
BACKEND = os.environ.get("BACKEND", "nccl")
DEVICE = torch.device("cuda:0")  # all ranks share it
SUM, PRODUCT, MIN, MAX, AVG = dist.ReduceOp.SUM, dist.ReduceOp.PRODUCT, dist.ReduceOp.MIN, dist.ReduceOp.MAX, dist.ReduceOp.AVG
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
EIGHT_BITS = [torch.float8_e4m3fn, torch.float8_e5m2]
INTEGERS = [torch.uint8, torch.int8, torch.int32, torch.int64]
COMPLEX = [torch.complex64, torch.complex128]
ALL = FLOATS + EIGHT_BITS + INTEGERS + COMPLEX + [torch.bool]


def data(rank, count=COUNT, dtype=torch.float32):
    """Small whole numbers, of which sums and products are exact in all types."""
    numbers = (torch.arange(count) * 5 + rank * 3) % 7 % 3
    return (numbers % 2 if dtype == torch.bool else numbers).to(dtype)


def on_device(tensor):
    return tensor.cuda()


def nothing(count=COUNT, dtype=torch.float32):
    """Memory on the device with numbers that no call gives."""
    return on_device(torch.full((count,), 99).to(dtype))


def equal(got, wanted, what):
    assert got.dtype == wanted.dtype and got.shape == wanted.shape, f"{what}: {got.dtype} {got.shape}, not {wanted.dtype} {wanted.shape}"
    got = got.cpu()
    if not torch.equal(got.view(torch.uint8), wanted.contiguous().view(torch.uint8)):
        places = (got.to(torch.complex128) != wanted.to(torch.complex128)).nonzero().flatten()
        assert places.numel() == 0, f"{what}: differs at {places[:5].tolist()}: {got[places][:5]}, not {wanted[places][:5]}"


def those_of_this_torch(*names):
    return [getattr(dist, name) for name in names if hasattr(dist, name)]


def part(tensor, rank, ranks):
    return tensor.chunk(ranks)[rank]


def together(tensors):
    return torch.cat(list(tensors))


def divisible(tensor, number):
    return (tensor.to(torch.complex128 if tensor.is_complex() else torch.float64) * number).to(tensor.dtype)


def raises(what, *words):
    """Runs what(), which must raise an error with all the words."""
    try:
        what()
    except Exception as error:
        assert all(word in str(error) for word in words), f"{words} not in: {error}"
        return
    raise AssertionError(f"nothing was raised, which should say {words}")


def combined(op, tensors):
    """What `op` makes of the ranks' tensors, in their type."""
    dtype = tensors[0].dtype
    wide = torch.stack([t.to(torch.complex128 if dtype.is_complex else torch.float64) for t in tensors])
    if op in (SUM, AVG):
        result = wide.sum(0)
        return (result > 0) if dtype == torch.bool else (result / len(tensors) if op == AVG else result).to(dtype)
    return {PRODUCT: wide.prod, MIN: wide.amin, MAX: wide.amax}[op](0).to(dtype)


def ops_of(dtype):
    if dtype.is_complex or dtype == torch.bool:
        return [SUM]
    return [SUM, PRODUCT, MIN, MAX, AVG]


def case_all_reduce(rank, ranks):
    for dtype in ALL:
        for op in ops_of(dtype):
            inputs = [divisible(data(r, dtype=dtype), ranks if op == AVG else 1) for r in range(ranks)]
            tensor = on_device(inputs[rank])
            dist.all_reduce(tensor, op)
            equal(tensor, combined(op, inputs), f"all_reduce {op} {dtype}")
    for count in (1, 2, 3_000_000):
        tensor = on_device(data(rank, count))
        dist.all_reduce(tensor)
        equal(tensor, combined(SUM, [data(r, count) for r in range(ranks)]), f"all_reduce of {count}")


def case_premul_sum(rank, ranks):
    for dtype in [torch.float16, torch.float32, torch.float64]:
        for factor in (2.0, on_device(torch.tensor([0.5], dtype=dtype))):
            inputs = [data(r, dtype=dtype) for r in range(ranks)]
            tensor = on_device(inputs[rank])
            dist.all_reduce(tensor, dist._make_nccl_premul_sum(factor))
            number = factor if isinstance(factor, float) else 0.5
            equal(tensor, combined(SUM, [i * number for i in inputs]), f"pre-multiplied sum {dtype} {number}")
    out = nothing(3)
    dist.reduce_scatter_tensor(out, on_device(data(rank, 3 * ranks)), dist._make_nccl_premul_sum(3.0))
    equal(out, 3 * part(combined(SUM, [data(r, 3 * ranks) for r in range(ranks)]), rank, ranks), "pre-multiplied reduce_scatter")


def case_broadcast(rank, ranks):
    for root in range(ranks):
        for dtype in ALL:
            tensor = on_device(data(rank, dtype=dtype))
            dist.broadcast(tensor, src=root)
            equal(tensor, data(root, dtype=dtype), f"broadcast {dtype} from {root}")


def case_reduce(rank, ranks):
    for root in range(ranks):
        for op in (SUM, MAX, AVG):
            inputs = [divisible(data(r), ranks) for r in range(ranks)]
            tensor = on_device(inputs[rank])
            dist.reduce(tensor, dst=root, op=op)
            if rank == root:
                equal(tensor, combined(op, inputs), f"reduce {op} to {root}")


def case_all_gather(rank, ranks):
    for dtype in ALL:
        outs = [nothing(dtype=dtype) for _ in range(ranks)]
        dist.all_gather(outs, on_device(data(rank, dtype=dtype)))
        for r in range(ranks):
            equal(outs[r], data(r, dtype=dtype), f"all_gather {dtype}")
    outs = [nothing(r + 2) for r in range(ranks)]
    dist.all_gather(outs, on_device(data(rank, rank + 2)))
    for r in range(ranks):
        equal(outs[r], data(r, r + 2), "uneven all_gather")


def case_all_gather_single(rank, ranks):
    for gather in those_of_this_torch("all_gather_into_tensor", "all_gather_single"):
        for dtype in ALL:
            out = nothing(ranks * COUNT, dtype)
            gather(out, on_device(data(rank, dtype=dtype)))
            equal(out, together(data(r, dtype=dtype) for r in range(ranks)), f"all_gather_into_tensor {dtype}")
    out = nothing(ranks * 5)
    mine = out[rank * 5 : (rank + 1) * 5]
    mine.copy_(data(rank, 5))
    dist.all_gather_into_tensor(out, mine)
    equal(out, together(data(r, 5) for r in range(ranks)), "all_gather_into_tensor in place")


def case_reduce_scatter(rank, ranks):
    for op in (SUM, MIN, AVG):
        inputs = [divisible(data(r, ranks * COUNT), ranks) for r in range(ranks)]
        out = nothing()
        dist.reduce_scatter(out, [on_device(part(inputs[rank], r, ranks)) for r in range(ranks)], op)
        equal(out, part(combined(op, inputs), rank, ranks), f"reduce_scatter {op}")
    uneven = [[data(r + p, p + 2) for p in range(ranks)] for r in range(ranks)]  # what rank r has for rank p
    out = nothing(rank + 2)
    dist.reduce_scatter(out, [on_device(t) for t in uneven[rank]])
    equal(out, combined(SUM, [uneven[r][rank] for r in range(ranks)]), "uneven reduce_scatter")


def case_reduce_scatter_single(rank, ranks):
    for scatter in those_of_this_torch("reduce_scatter_tensor", "reduce_scatter_single"):
        for dtype in FLOATS + EIGHT_BITS + INTEGERS:
            for op in ops_of(dtype):
                inputs = [divisible(data(r, ranks * 33, dtype), ranks if op == AVG else 1) for r in range(ranks)]
                out = nothing(33, dtype)
                scatter(out, on_device(inputs[rank]), op)
                equal(out, part(combined(op, inputs), rank, ranks), f"reduce_scatter_tensor {op} {dtype}")


def case_all_to_all(rank, ranks):
    for dtype in ALL:
        out = nothing(ranks * 11, dtype)
        dist.all_to_all_single(out, on_device(data(rank, ranks * 11, dtype)))
        equal(out, together(part(data(r, ranks * 11, dtype), rank, ranks) for r in range(ranks)), f"all_to_all_single {dtype}")
    sizes = [[(r + 2 * p) % 4 for p in range(ranks)] for r in range(ranks)]  # what rank r has for rank p; nothing for some
    pieces = [list(data(r, sum(sizes[r])).split(sizes[r])) for r in range(ranks)]
    takes = [sizes[r][rank] for r in range(ranks)]
    out = nothing(sum(takes))
    dist.all_to_all_single(out, on_device(together(pieces[rank])), takes, sizes[rank])
    equal(out, together(pieces[r][rank] for r in range(ranks)), "unequal all_to_all_single")
    outs = [nothing(take) for take in takes]
    dist.all_to_all(outs, [on_device(t) for t in pieces[rank]])
    for r in range(ranks):
        equal(outs[r], pieces[r][rank], "all_to_all")


def case_gather_and_scatter(rank, ranks):
    for root in range(ranks):
        outs = [nothing() for _ in range(ranks)] if rank == root else None
        dist.gather(on_device(data(rank)), outs, dst=root)
        for r in range(ranks if rank == root else 0):
            equal(outs[r], data(r), f"gather to {root}")
        out = nothing()
        dist.scatter(out, [on_device(data(r)) for r in range(ranks)] if rank == root else None, src=root)
        equal(out, data(rank), f"scatter from {root}")
    for gather in those_of_this_torch("gather_single"):
        out = nothing(ranks * COUNT) if rank == 0 else None
        gather(on_device(data(rank)), out, dst=0)
        if rank == 0:
            equal(out, together(data(r) for r in range(ranks)), "gather_single")


def case_send_and_recv(rank, ranks):
    right, left = (rank + 1) % ranks, (rank - 1) % ranks
    for dtype in ALL:
        out = nothing(dtype=dtype)
        if rank == 0:
            dist.send(on_device(data(0, dtype=dtype)), right)
            dist.recv(out, left)
        else:
            dist.recv(out, left)
            dist.send(on_device(data(rank, dtype=dtype)), right)
        equal(out, data(left, dtype=dtype), f"recv {dtype}")
    outs = [nothing(), nothing(7)]
    ins = [on_device(data(rank)), on_device(data(rank + 1, 7))]
    ops = [dist.P2POp(dist.isend, t, right) for t in ins] + [dist.P2POp(dist.irecv, t, left) for t in outs]
    for work in dist.batch_isend_irecv(ops):
        work.wait()
    equal(outs[0], data(left), "batch_isend_irecv")
    equal(outs[1], data(left + 1, 7), "batch_isend_irecv")
    if rank < 2:
        out = nothing()
        work = dist.isend(on_device(data(0)), 1) if rank == 0 else dist.irecv(out, 0)
        work.wait()
        if rank == 1:
            equal(out, data(0), "irecv")


def case_barrier(rank, ranks):
    dist.barrier()
    dist.barrier(device_ids=[0])
    dist.barrier(async_op=True).wait()


def case_asynchronous(rank, ranks):
    inputs = [[data(r + i, 50 + i) for r in range(ranks)] for i in range(20)]
    tensors = [on_device(of_all[rank]) for of_all in inputs]
    works = [dist.all_reduce(t, async_op=True) for t in tensors]
    for i, work in enumerate(works):
        work.wait()
        equal(tensors[i], combined(SUM, inputs[i]), "asynchronous all_reduce")
        assert work.is_completed()
    # Buffers and handles that nobody holds any more while the calls are under way.
    for _ in range(10):
        dist.all_reduce(on_device(data(rank)), async_op=True)
        dist.all_gather_into_tensor(nothing(ranks * COUNT), on_device(data(rank)), async_op=True)
    gc.collect()
    torch.cuda.synchronize()


def case_streams(rank, ranks):
    stream, tensor = torch.cuda.Stream(), on_device(data(rank))
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        dist.all_reduce(tensor)
        copy = nothing()
        copy.copy_(tensor)
    stream.synchronize()
    equal(copy, combined(SUM, [data(r) for r in range(ranks)]), "all_reduce on a stream")


def case_graph(rank, ranks):
    tensor, out = nothing(), nothing(ranks * COUNT)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        dist.all_reduce(tensor)
        dist.all_gather_into_tensor(out, tensor)
    for i in range(3):
        tensor.copy_(data(rank + i))
        graph.replay()
        total = combined(SUM, [data(r + i) for r in range(ranks)])
        equal(out, together([total] * ranks), "calls in a graph")


def case_coalescing(rank, ranks):
    inputs = [[data(r + i, 10 + i) for r in range(ranks)] for i in range(4)]
    for asynchronous in (False, True):
        tensors = [on_device(of_all[rank]) for of_all in inputs]
        with dist._coalescing_manager(async_ops=asynchronous) as manager:
            for tensor in tensors:
                dist.all_reduce(tensor)
        if asynchronous:
            manager.wait()
        for i, tensor in enumerate(tensors):
            equal(tensor, combined(SUM, inputs[i]), "coalesced all_reduce")
        outs = [nothing(ranks * t.numel()) for t in tensors]
        with dist._coalescing_manager(async_ops=asynchronous) as manager:
            for i, out in enumerate(outs):
                dist.all_gather_into_tensor(out, on_device(inputs[i][rank]))
        if asynchronous:
            manager.wait()
        for i, out in enumerate(outs):
            equal(out, together(inputs[i]), "coalesced all_gather_into_tensor")
    whole = [data(r, 6 * ranks) for r in range(ranks)]
    outs = [nothing(6) for _ in range(3)]
    with dist._coalescing_manager():
        for out in outs:
            dist.reduce_scatter_tensor(out, on_device(whole[rank]))
    for out in outs:
        equal(out, part(combined(SUM, whole), rank, ranks), "coalesced reduce_scatter_tensor")
    first, second, out = on_device(data(rank)), on_device(data(rank, 9)), nothing(ranks * 9)
    with dist._coalescing_manager(device=torch.device("cuda:0")):  # calls of several kinds in one group
        dist.broadcast(first, src=ranks - 1)
        dist.all_gather_into_tensor(out, second)
    equal(first, data(ranks - 1), "broadcast in a group")
    equal(out, together(data(r, 9) for r in range(ranks)), "all_gather_into_tensor in a group")


def case_nothing(rank, ranks):
    empty = on_device(torch.empty(0))
    dist.all_reduce(empty)
    dist.broadcast(empty, src=0)
    dist.all_gather_into_tensor(nothing(0), empty)
    dist.reduce_scatter_tensor(nothing(0), empty)
    dist.all_to_all_single(nothing(0), empty)
    case_barrier(rank, ranks)


def case_versions(rank, ranks):
    if hasattr(dist, "all_gather_single"):  # torch older than 2.15 says what it was compiled with
        assert torch.cuda.nccl.version() == (2, 30, 7), torch.cuda.nccl.version()
    if hasattr(dist.ProcessGroupNCCL, "get_runtime_nccl_version"):
        assert tuple(dist.ProcessGroupNCCL.get_runtime_nccl_version()) == (2, 30, 7)


def case_wrong(rank, ranks):
    if ranks > 1:
        raises(lambda: dist.broadcast(on_device(data(rank)), src=ranks), "rank")
    raises(lambda: dist.all_reduce(on_device(data(rank).to(torch.int16))), "")
    raises(lambda: dist.all_reduce(on_device(data(rank, dtype=torch.int32)), dist.ReduceOp.BAND), "BAND")
    case_barrier(rank, ranks)


def sum_in(group, tensor, members):
    dist.all_reduce(tensor, group=group)
    equal(tensor, combined(SUM, [data(r) for r in members]), f"all_reduce of {members}")


def case_groups(rank, ranks):
    everybody = list(range(ranks))
    evens = everybody[::2]
    all_again, even = dist.new_group(everybody), dist.new_group(evens)
    for _ in range(2):
        sum_in(all_again, on_device(data(rank)), everybody)
        if rank in evens:
            sum_in(even, on_device(data(rank)), evens)
        sum_in(None, on_device(data(rank)), everybody)
    # Calls of two groups under way at once, on all ranks in the same order.
    tensors = [on_device(data(rank)) for _ in range(6)]
    works = [dist.all_reduce(t, group=all_again if i % 2 else None, async_op=True) for i, t in enumerate(tensors)]
    for work, tensor in zip(works, tensors):
        work.wait()
        equal(tensor, combined(SUM, [data(r) for r in everybody]), "all_reduce in two groups")
    dist.destroy_process_group(all_again)
    sum_in(None, on_device(data(rank)), everybody)
    if rank in evens:
        sum_in(even, on_device(data(rank)), evens)
        dist.destroy_process_group(even)
    for _ in range(3):
        group = dist.new_group(everybody)
        sum_in(group, on_device(data(rank)), everybody)
        dist.destroy_process_group(group)
        del group
    gc.collect()


def case_split_group(rank, ranks):
    halves = [list(range(ranks - ranks // 2)), list(range(ranks - ranks // 2, ranks))]
    mine = halves[0] if rank in halves[0] else halves[1]
    group = dist.split_group(split_ranks=halves)
    sum_in(group, on_device(data(rank)), mine)
    some = dist.split_group(split_ranks=[[0]])  # the others are in none
    if rank == 0:
        sum_in(some, on_device(data(0)), [0])
        dist.destroy_process_group(some)
    dist.destroy_process_group(group)
    sum_in(None, on_device(data(rank)), list(range(ranks)))


def case_memory_pool(rank, ranks):
    backend = dist.group.WORLD._get_backend(torch.device("cuda"))
    pool = torch.cuda.MemPool()
    with torch.cuda.use_mem_pool(pool):
        tensor = torch.empty(COUNT, device="cuda")
    tensor.copy_(data(rank))
    backend.register_mem_pool(pool)
    sum_in(None, tensor, list(range(ranks)))
    backend.deregister_mem_pool(pool)
    sum_in(None, on_device(data(rank)), list(range(ranks)))


def case_suspend(rank, ranks):
    backend = dist.group.WORLD._get_backend(torch.device("cuda"))
    if not hasattr(backend, "memory_stats"):  # torch older than 2.15
        return
    backend.suspend()
    raises(lambda: dist.all_reduce(on_device(data(rank))), "the communicator is suspended")
    backend.resume()
    assert set(backend.memory_stats()) == {"total", "persist", "suspended", "suspend"}
    sum_in(None, on_device(data(rank)), list(range(ranks)))


OF_NCCL = {case_versions, case_wrong, case_memory_pool, case_suspend}  # only
CALLS = [value for name, value in globals().items() if name.startswith("case_") and (BACKEND == "nccl" or value not in OF_NCCL)]


def job_calls(rank, ranks):
    start(rank, ranks)
    for case in CALLS:
        case(rank, ranks)
    dist.destroy_process_group()


def job_unbound(rank, ranks):
    """torch learns from the first call which device is meant; communicators are made when they are needed."""
    start(rank, ranks, device=None)
    for case in (case_send_and_recv, case_broadcast, case_groups, case_barrier):
        case(rank, ranks)
    dist.destroy_process_group()


def job_shrink(rank, ranks):
    start(rank, ranks)
    if rank < ranks - 1:
        group = dist.shrink_group([ranks - 1])
        sum_in(group, on_device(data(rank)), range(ranks - 1))
        dist.destroy_process_group()


def job_abort(rank, ranks):
    start(rank, ranks)
    group = dist.new_group(list(range(ranks)))
    sum_in(group, on_device(data(rank)), range(ranks))
    if rank == 0:
        dist.all_reduce(on_device(data(rank)), group=group, async_op=True)  # which no other rank makes
    dist.distributed_c10d._abort_process_group(group)
    torch.cuda.synchronize()
    sum_in(None, on_device(data(rank)), range(ranks))
    dist.distributed_c10d._abort_process_group()


def job_leave(rank, ranks):
    """Programs end one after the other and destroy nothing."""
    start(rank, ranks)
    sum_in(dist.new_group(list(range(ranks))), on_device(data(rank)), range(ranks))


def job_killed(rank, ranks):
    start(rank, ranks)
    dist.barrier()
    if rank == ranks - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for_failure(on_device(data(rank)))


def job_mismatch(rank, ranks):
    start(rank, ranks)
    wait_for_failure(on_device(data(rank, 10 + rank)))


def wait_for_failure(tensor):
    """The calling thread gets an exception, or torch's watchdog ends the process."""
    while True:
        dist.all_reduce(tensor)
        torch.cuda.synchronize()


def start(rank, ranks, device=DEVICE):
    torch.cuda.set_device(DEVICE)
    store = dist.TCPStore("127.0.0.1", PORT, is_master=False)
    timeout = datetime.timedelta(seconds=SECONDS)
    dist.init_process_group(BACKEND, store=dist.PrefixStore(JOB, store), rank=rank, world_size=ranks, device_id=device, timeout=timeout)


def rank_main(rank, ranks, function, log):
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    os.dup2(os.open(f"{log}{rank}", os.O_CREAT | os.O_WRONLY), 2)
    function(rank, ranks)


def run(name, ranks, fails=False, words="", by="auto"):
    """The job on so many ranks, which all end well, or all fail; those that live so long say `words` to their standard error. `by` is for
    TUTTI_CUDA: whether devices do the calls or the host does.
    """
    global JOB
    JOB, os.environ["TUTTI_CUDA"] = f"{name} on {ranks} ranks", by
    folder = tempfile.mkdtemp()
    statuses = job.forked(rank_main, ranks, globals()[f"job_{name}"], f"{folder}/")
    logs = [pathlib.Path(f"{folder}/{rank}").read_text() for rank in range(ranks)]
    ended_so = all((status != 0) == fails for status in statuses)
    if ended_so and all(words in log for log, status in zip(logs, statuses) if status != -signal.SIGKILL):
        print(f"{JOB}: ok", flush=True)
        return
    for rank, log in enumerate(logs):
        print(f"--- rank {rank}, exit status {statuses[rank]}\n{log[-4000:]}")
    sys.exit(f"{JOB}: failed")


if __name__ == "__main__":
    PORT = job.torch_store()
    run("calls", 2)
    run("calls", 3, by="host")
    if os.environ.get("TORCH_DIST_USE_NCCL2") != "0":
        run("calls", 4)
    run("unbound", 2)
    run("leave", 3)
    if BACKEND == "nccl":
        run("shrink", 3)
        run("abort", 3)
    run("killed", 3, fails=True, words="died or closed its connection")
    run("mismatch", 2, fails=True, words="ranks disagree about the call")
