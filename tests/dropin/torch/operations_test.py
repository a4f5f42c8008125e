"""operations_test.py [--ranks N] [CASE...]: every operation of torch.distributed over the backend "tutti", ranks as processes. Results are
compared with what PyTorch computes on one rank, or with what they must be. With N, each case runs on so many ranks only.
"""

import argparse
import datetime
import os
import sys
import threading
import time
import warnings

import torch
import torch.distributed as dist

import job

if tuple(int(n) for n in torch.__version__.split(".")[:2]) < (2, 15):
    import tutti_torch  # noqa: F401  PyTorch finds it by itself since then

warnings.filterwarnings("ignore")
COUNT, SECONDS = 1003, 60
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64]
COMPLEX = [torch.complex64, torch.complex128]
EIGHT_BITS = [torch.float8_e4m3fn, torch.float8_e5m2]
ONLY_MOVED = [torch.float8_e4m3fnuz, torch.float8_e5m2fnuz, torch.float8_e8m0fnu, torch.complex32]
SUM, PRODUCT, MIN, MAX, AVG = dist.ReduceOp.SUM, dist.ReduceOp.PRODUCT, dist.ReduceOp.MIN, dist.ReduceOp.MAX, dist.ReduceOp.AVG
BITS = {dist.ReduceOp.BAND: torch.bitwise_and, dist.ReduceOp.BOR: torch.bitwise_or, dist.ReduceOp.BXOR: torch.bitwise_xor}


def data(rank, count=COUNT, dtype=torch.float32):
    """Small whole numbers, of which sums and products are exact in all types."""
    numbers = (torch.arange(count) * 5 + rank * 3) % 7 % 3
    return (numbers % 2 if dtype == torch.bool else numbers.to(torch.float32 if dtype.is_floating_point or dtype.is_complex else numbers.dtype)).to(dtype)


def equal(got, wanted, what):
    assert got.dtype == wanted.dtype and got.shape == wanted.shape, f"{what}: {got.dtype} {got.shape}, not {wanted.dtype} {wanted.shape}"
    same = got.contiguous().view(torch.uint8) == wanted.contiguous().view(torch.uint8)
    assert bool(same.all()), f"{what}: {got.flatten()[:5]}, not {wanted.flatten()[:5]}"


def close(got, wanted, what):
    torch.testing.assert_close(got, wanted, msg=lambda text: f"{what}: {text}")


def fails(what, call, *words):
    try:
        call()
    except Exception as error:
        for word in words:
            assert word in str(error), f"{what}: the error does not say '{word}': {error}"
        return error
    raise AssertionError(f"{what}: nothing is said against it")


def both_ways(call):
    """As an operation that is waited for, and as one that goes on by itself."""
    call(lambda operation, *args, **more: operation(*args, **more))
    call(lambda operation, *args, **more: operation(*args, async_op=True, **more).wait())


# ---- Collectives


def reductions(rank, ranks):
    def check(call):
        for dtype in FLOATS + INTEGERS + COMPLEX:
            for op, whole in {SUM: lambda all: all.sum(0), PRODUCT: lambda all: all.prod(0), MIN: lambda all: all.amin(0), MAX: lambda all: all.amax(0)}.items():
                if dtype.is_complex and op != SUM:  # PyTorch itself refuses them
                    continue
                each = torch.stack([data(r, dtype=dtype).to(torch.complex128 if dtype.is_complex else torch.float64) for r in range(ranks)])
                tensor = data(rank, dtype=dtype)
                call(dist.all_reduce, tensor, op=op)
                equal(tensor, whole(each).to(dtype), f"all_reduce {op} {dtype}")
                for root in {0, ranks - 1}:
                    tensor = data(rank, dtype=dtype)
                    call(dist.reduce, tensor, dst=root, op=op)
                    if rank == root:
                        equal(tensor, whole(each).to(dtype), f"reduce {op} {dtype}")
        for dtype in [torch.float32, torch.float64, torch.bfloat16]:
            tensor = data(rank, dtype=dtype)
            call(dist.all_reduce, tensor, op=AVG)
            close(tensor, torch.stack([data(r, dtype=dtype) for r in range(ranks)]).mean(0), f"average {dtype}")
        for op, bits in BITS.items():
            for dtype in [torch.int32, torch.uint8, torch.bool]:
                tensor, wanted = data(rank, dtype=dtype), data(0, dtype=dtype)
                for r in range(1, ranks):
                    wanted = bits(wanted, data(r, dtype=dtype))
                call(dist.all_reduce, tensor, op=op)
                equal(tensor, wanted, f"{op} {dtype}")
        for factor in (0.5, torch.tensor([0.5])):
            tensor = data(rank)
            call(dist.all_reduce, tensor, op=dist._make_nccl_premul_sum(factor))
            equal(tensor, torch.stack([data(r) for r in range(ranks)]).sum(0) * 0.5, "premultiplied sum")

    both_ways(check)
    for count in (0, 1, 2, 100_000):
        tensor = data(rank, count)
        dist.all_reduce(tensor)
        equal(tensor, torch.stack([data(r, count) for r in range(ranks)]).sum(0), f"{count} elements")
    # In memory of another order, and as numbers of no dimension.
    turned = data(rank, 60).view(5, 12).t()
    dist.all_reduce(turned)
    equal(turned, torch.stack([data(r, 60).view(5, 12).t() for r in range(ranks)]).sum(0), "a transposed tensor")
    number = torch.tensor(rank + 1)
    dist.all_reduce(number)
    assert number.item() == ranks * (ranks + 1) // 2, "a number"
    several = [data(rank, count) for count in (3, 1000, 70_000)]
    dist.all_reduce_coalesced(several)
    for tensor in several:
        equal(tensor, torch.stack([data(r, tensor.numel()) for r in range(ranks)]).sum(0), "coalesced")


def movements(rank, ranks):
    def check(call):
        for dtype in FLOATS + INTEGERS + COMPLEX + EIGHT_BITS + ONLY_MOVED + [torch.bool]:
            each = [data(r, dtype=dtype) for r in range(ranks)]
            for root in {0, ranks - 1}:
                tensor = each[rank].clone()
                call(dist.broadcast, tensor, src=root)
                equal(tensor, each[root], f"broadcast {dtype}")
                outputs = [torch.zeros(COUNT).to(dtype) for _ in range(ranks)] if rank == root else None
                call(dist.gather, each[rank], outputs, dst=root)
                for got, wanted in zip(outputs or [], each):
                    equal(got, wanted, f"gather {dtype}")
                output = torch.zeros(COUNT).to(dtype)
                call(dist.scatter, output, each if rank == root else None, src=root)
                equal(output, each[rank], f"scatter {dtype}")
            outputs = [torch.zeros(COUNT).to(dtype) for _ in range(ranks)]
            call(dist.all_gather, outputs, each[rank])
            for got, wanted in zip(outputs, each):
                equal(got, wanted, f"all_gather {dtype}")
            output = torch.zeros(ranks * COUNT).to(dtype)
            call(dist.all_gather_into_tensor, output, each[rank])
            equal(output, torch.cat(each), f"all_gather_into_tensor {dtype}")
        uneven = [torch.zeros(r + 1) for r in range(ranks)]
        call(dist.all_gather, uneven, torch.full((rank + 1,), float(rank)))
        for r, got in enumerate(uneven):
            equal(got, torch.full((r + 1,), float(r)), "uneven all_gather")
        wanted = [torch.zeros(3, requires_grad=True) for _ in range(ranks)]
        call(dist.all_gather, wanted, torch.full((3,), float(rank)))
        assert [tensor[0].item() for tensor in wanted] == list(range(ranks)) and not any(tensor.grad_fn for tensor in wanted)
        parts = torch.zeros(ranks * 5).chunk(ranks)  # one behind the other already
        call(dist.all_gather, list(parts), torch.full((5,), float(rank)))
        equal(torch.cat(parts), torch.arange(ranks).repeat_interleave(5).float(), "all_gather into one tensor's parts")

    both_ways(check)


def scattered(rank, ranks):
    whole = [data(r, ranks * COUNT) for r in range(ranks)]
    sum = torch.stack(whole).sum(0)

    def check(call):
        output = torch.zeros(COUNT)
        call(dist.reduce_scatter_tensor, output, whole[rank].clone())
        equal(output, sum.chunk(ranks)[rank], "reduce_scatter_tensor")
        output = torch.zeros(COUNT)
        call(dist.reduce_scatter, output, [part.clone() for part in whole[rank].chunk(ranks)])
        equal(output, sum.chunk(ranks)[rank], "reduce_scatter")
        output = torch.zeros(rank + 1)
        call(dist.reduce_scatter, output, [torch.full((r + 1,), float(rank)) for r in range(ranks)])
        equal(output, torch.full((rank + 1,), float(ranks * (ranks - 1) // 2)), "uneven reduce_scatter")
        output = torch.zeros(ranks * 3, 2)
        call(dist.all_to_all_single, output, torch.full((ranks * 3, 2), float(rank)))
        equal(output, torch.arange(ranks).repeat_interleave(6).float().view(-1, 2), "all_to_all_single")
        # Rank r sends d + 1 rows to rank d.
        output = torch.zeros(ranks * (rank + 1), 2)
        call(dist.all_to_all_single, output, torch.full((ranks * (ranks + 1) // 2, 2), float(rank)), [rank + 1] * ranks, [d + 1 for d in range(ranks)])
        equal(output, torch.arange(ranks).repeat_interleave(2 * (rank + 1)).float().view(-1, 2), "all_to_all_single with splits")
        outputs = [torch.zeros(r + rank + 1) for r in range(ranks)]
        call(dist.all_to_all, outputs, [torch.full((d + rank + 1,), float(rank)) for d in range(ranks)])
        for r, got in enumerate(outputs):
            equal(got, torch.full((r + rank + 1,), float(r)), "all_to_all")

    both_ways(check)
    with dist._coalescing_manager(async_ops=True) as pending:
        outputs = [torch.zeros(ranks * n) for n in (4, 9)]
        for output in outputs:
            dist.all_gather_into_tensor(output, torch.full((output.numel() // ranks,), float(rank)))
    pending.wait()
    for output in outputs:
        equal(output, torch.arange(ranks).repeat_interleave(output.numel() // ranks).float(), "coalesced all_gather_into_tensor")
    with dist._coalescing_manager():
        outputs = [torch.zeros(n) for n in (4, 9)]
        for output in outputs:
            dist.reduce_scatter_tensor(output, torch.full((ranks * output.numel(),), 1.0))
    for output in outputs:
        equal(output, torch.full_like(output, ranks), "coalesced reduce_scatter_tensor")


def layouts(rank, ranks):
    """Tensors whose elements do not lie one behind the other."""
    def numbers(r, *sizes):
        return torch.arange(float(torch.Size(sizes).numel())).view(sizes) + 100 * r

    def turned(r):
        return numbers(r, 4, 6).t()

    def room():
        return torch.full((8, 6), -1.0)[::2].t()

    def check(call):
        each, mine = [turned(r) for r in range(ranks)], turned(rank)
        for outputs in ([room() for _ in range(ranks)], [torch.zeros(6, 4) for _ in range(ranks)]):
            call(dist.all_gather, outputs, mine)
            for r in range(ranks):
                equal(outputs[r], each[r], "all_gather")
        outputs = [room() for _ in range(ranks)]
        call(dist.gather, mine, outputs if rank == 0 else None, dst=0)
        if rank == 0:
            for r in range(ranks):
                equal(outputs[r], each[r], "gather")
        got = room()
        call(dist.scatter, got, each if rank == 0 else None, src=0)
        equal(got, mine, "scatter")
        got = room()
        call(dist.reduce_scatter, got, each)
        equal(got, mine * ranks, "reduce_scatter")
        whole = numbers(0, 5, 6 * ranks).t()
        got = torch.zeros(5, 6).t()
        call(dist.reduce_scatter_tensor, got, whole)
        equal(got, whole.chunk(ranks)[rank] * ranks, "reduce_scatter_tensor")
        got = torch.zeros(4, 6 * ranks).t()
        call(dist.all_gather_into_tensor, got, mine)
        equal(got, torch.cat(each), "all_gather_into_tensor")
        got = torch.zeros(5, 6 * ranks).t()
        call(dist.all_to_all_single, got, whole)
        equal(got, torch.cat([whole.chunk(ranks)[rank]] * ranks), "all_to_all_single")
        outputs = [room() for _ in range(ranks)]
        call(dist.all_to_all, outputs, each)
        for output in outputs:
            equal(output, mine, "all_to_all")
        for change, wanted in ((lambda t: call(dist.all_reduce, t), sum(numbers(r, 8, 6)[::2] for r in range(ranks))),
                               (lambda t: call(dist.broadcast, t, 0), numbers(0, 8, 6)[::2])):
            around = numbers(rank, 8, 6)
            change(around[::2])
            equal(around[::2], wanted, "with gaps")
            equal(around[1::2], numbers(rank, 8, 6)[1::2], "what lies in the gaps")

    both_ways(check)


def functional(rank, ranks):
    """What torch.compile and DTensor call."""
    import torch.distributed._functional_collectives as calls

    group = dist.group.WORLD
    equal(calls.all_reduce(data(rank), "sum", group) + 0, torch.stack([data(r) for r in range(ranks)]).sum(0), "functional all_reduce")
    equal(calls.all_gather_tensor(data(rank), 0, group) + 0, torch.cat([data(r) for r in range(ranks)]), "functional all_gather")
    part = calls.reduce_scatter_tensor(data(rank, ranks * 8), "sum", 0, group) + 0
    equal(part, torch.stack([data(r, ranks * 8) for r in range(ranks)]).sum(0).chunk(ranks)[rank], "functional reduce_scatter")
    both = calls.all_reduce_coalesced([data(rank, 5), data(rank, 9)], "sum", group)
    for tensor in both:
        equal(tensor + 0, torch.stack([data(r, tensor.numel()) for r in range(ranks)]).sum(0), "functional all_reduce_coalesced")
    rows = calls.all_to_all_single(torch.full((ranks,), float(rank)), None, None, group) + 0
    equal(rows, torch.arange(ranks).float(), "functional all_to_all")


def objects(rank, ranks):
    everyone = [None] * ranks
    dist.all_gather_object(everyone, {"rank": rank, "text": "x" * rank * 1000})
    assert everyone == [{"rank": r, "text": "x" * r * 1000} for r in range(ranks)], everyone
    gathered = [None] * ranks if rank == 0 else None
    dist.gather_object((rank,), gathered)
    assert rank > 0 or gathered == [(r,) for r in range(ranks)], gathered
    words = ["a", {"b": 2}] if rank == 0 else [None, None]
    dist.broadcast_object_list(words, src=0)
    assert words == ["a", {"b": 2}], words
    mine = [None]
    dist.scatter_object_list(mine, [f"for {r}" for r in range(ranks)] if rank == 0 else None, src=0)
    assert mine == [f"for {rank}"], mine
    if rank == 0:
        dist.send_object_list(["for 1"], dst=1)
    elif rank == 1:
        received = [None]
        dist.recv_object_list(received, src=0)
        assert received == ["for 1"], received


def messages(rank, ranks):
    next_one, one_before = (rank + 1) % ranks, (rank - 1) % ranks
    for count in (0, 1, COUNT, 300_000):
        sent = dist.isend(data(rank, count), next_one)
        got = torch.zeros(count)
        assert dist.recv(got, one_before) == one_before
        sent.wait()
        equal(got, data(one_before, count), f"a message of {count}")
    # Many at once, the other way around too, and no call in between waits for them.
    received = [torch.zeros(n + 1) for n in range(20)]
    waits = [dist.irecv(tensor, one_before) for tensor in received]
    back = torch.zeros(7)
    waits.append(dist.irecv(back, next_one))
    total = torch.ones(1)
    dist.all_reduce(total)
    assert total.item() == ranks
    waits += [dist.isend(torch.full((n + 1,), float(n)), next_one) for n in range(20)]
    waits.append(dist.isend(torch.full((7,), 7.0), one_before))
    for wait in waits:
        wait.wait()
    for n, tensor in enumerate(received):
        equal(tensor, torch.full((n + 1,), float(n)), "one of many")
    equal(back, torch.full((7,), 7.0), "the other way")
    # By their tags, in another order than they were sent.
    first, second = torch.zeros(3), torch.zeros(3)
    sends = [dist.isend(torch.full((3,), float(tag)), next_one, tag=tag) for tag in (1, 2)]
    dist.recv(second, one_before, tag=2)
    dist.recv(first, one_before, tag=1)
    for wait in sends:
        wait.wait()
    assert first[0] == 1 and second[0] == 2, (first, second)
    incoming, outgoing = torch.zeros(5), data(rank, 5)
    for wait in dist.batch_isend_irecv([dist.P2POp(dist.isend, outgoing, next_one), dist.P2POp(dist.irecv, incoming, one_before)]):
        wait.wait()
    equal(incoming, data(one_before, 5), "batch_isend_irecv")
    fails("to oneself", lambda: dist.send(torch.zeros(1), rank), "")


def from_anyone(rank, ranks):
    for round in range(3):
        if rank == 0:
            seen = set()
            for _ in range(ranks - 1):
                got = torch.zeros(2)
                source = dist.recv(got)
                equal(got, torch.tensor([float(source), float(round)]), "from anyone")
                seen.add(source)
            assert seen == set(range(1, ranks)), seen
        else:
            time.sleep(0.01 * ((rank + round) % ranks))
            dist.send(torch.tensor([float(rank), float(round)]), 0)
        dist.barrier()
    # One that was found, but not taken, is there for whoever asks for it.
    if rank == 0:
        got = torch.zeros(1)
        first = dist.recv(got)
        for r in range(1, ranks):
            if r != first:
                assert dist.recv(got, r) == r and got.item() == r
    else:
        dist.send(torch.full((1,), float(rank)), 0)


# ---- Groups


def groups(rank, ranks):
    pairs = [dist.new_group([r, (r + 1) % ranks]) for r in range(ranks)] if ranks > 2 else [dist.new_group()]
    for r, group in enumerate(pairs):
        if rank in dist.get_process_group_ranks(group):
            tensor = torch.ones(4)
            dist.all_reduce(tensor, group=group)
            assert tensor[0] == dist.get_world_size(group)
    mesh = dist.device_mesh.init_device_mesh("cpu", (ranks,))
    tensor = torch.ones(1)
    dist.all_reduce(tensor, group=mesh.get_group())
    assert tensor.item() == ranks
    others = dist.new_group(backend="gloo")
    dist.all_reduce(tensor, group=others)
    assert tensor.item() == ranks * ranks
    assert dist.get_backend() == "tutti"
    # Each thread has its group, and they do not wait for each other.
    mine = [dist.new_group() for _ in range(3)]

    def many(group, failures):
        try:
            for n in range(200):
                value = torch.full((10,), float(n))
                dist.all_reduce(value, group=group)
                assert value[0] == n * ranks
        except Exception as error:
            failures.append(error)

    failures = []
    threads = [threading.Thread(target=many, args=(group, failures)) for group in mine]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def asynchronous(rank, ranks):
    works = [dist.all_reduce(torch.full((1000,), float(n)), async_op=True) for n in range(50)]
    for n, work in enumerate(works):
        work.wait()
        assert work.is_completed() and work.is_success() and work.result()[0][0] == n * ranks
    future = dist.all_reduce(torch.ones(3), async_op=True).get_future()
    doubled = future.then(lambda done: done.value()[0] * 2)
    equal(doubled.wait(), torch.full((3,), 2.0 * ranks), "then")
    done = dist.all_reduce(torch.ones(3), async_op=True)
    done.wait()
    equal(done.get_future().wait()[0], torch.full((3,), float(ranks)), "a future asked for afterwards")
    # What happens when an operation is over may wait for others of the group.
    chained = dist.all_reduce(torch.ones(3), async_op=True).get_future()
    for _ in range(3):
        chained = chained.then(lambda done: [dist.all_reduce(sum(done.value()) * 1, async_op=True).get_future().wait()[0]])
    equal(chained.wait()[0], torch.full((3,), float(ranks**4)), "calls in callbacks")
    with torch.inference_mode():
        outputs = [torch.zeros(4) for _ in range(ranks)]
        dist.all_gather(outputs, torch.full((4,), float(rank)), async_op=True).wait()
        assert [output[0].item() for output in outputs] == list(range(ranks))
    # Factors of another type than the tensors are copied, one for each.
    several = [torch.ones(n + 1) for n in range(4)]
    dist.all_reduce_coalesced(several, op=dist._make_nccl_premul_sum(torch.tensor([0.5], dtype=torch.float64)))
    for tensor in several:
        equal(tensor, torch.full_like(tensor, ranks / 2), "premultiplied, coalesced")
    # Tensors stay as long as they are needed.
    for _ in range(20):
        work = dist.all_reduce(torch.ones(200_000), async_op=True)
    work.wait()
    dist.barrier()
    dist.barrier(async_op=True).wait()
    dist.monitored_barrier(timeout=datetime.timedelta(seconds=30))
    assert dist.group.WORLD._get_sequence_number_for_group() > 0


def mistakes(rank, ranks):
    full = torch.zeros(4, 4)
    fails("shared elements", lambda: dist.all_reduce(torch.zeros(1).expand(4)), "all_reduce", "share memory", "contiguous")
    fails("gaps in a message", lambda: dist.send(full[:, ::2], 1 - rank), "send", "contiguous")
    fails("negative tag", lambda: dist.send(full, 1 - rank, tag=-1), "send", "tag", "-1")
    fails("sparse", lambda: dist.broadcast(full.to_sparse(), 0), "")
    fails("type", lambda: dist.all_reduce(torch.zeros(3).to(torch.float8_e8m0fnu)), "reduced")
    fails("maximum of complex", lambda: dist.all_reduce(torch.zeros(3, dtype=torch.complex64), op=MAX), "")
    fails("sizes", lambda: dist.all_gather_into_tensor(torch.zeros(ranks * 3 + 1), torch.zeros(3)), "")
    fails("splits", lambda: dist.all_to_all_single(torch.zeros(4), torch.zeros(4), [4] * ranks, [4] * ranks), "split sizes")
    fails("number of splits", lambda: dist.all_to_all_single(torch.zeros(4), torch.zeros(4), [4], [4]), "split sizes")
    fails("types", lambda: dist.all_gather([torch.zeros(2, dtype=torch.float64)] * ranks, torch.zeros(2)), "")
    backend = dist.group.WORLD._get_backend(torch.device("cpu"))
    fails("conjugates", lambda: backend.send([torch.zeros(3, dtype=torch.complex64).conj()], 1 - rank, 0), "resolve_conj")
    fails("no such rank", lambda: backend.send([torch.zeros(1)], ranks, 0), f"no other rank {ranks}")
    fails("to itself", lambda: backend.recv([torch.zeros(1)], rank, 0), f"no other rank {rank}")
    # Nothing of that has hurt.
    dist.all_reduce(full)


def is_shared(tensor):
    """Whether it lies in memory that the library has allocated for ranks to share."""
    for line in open("/proc/self/maps"):
        begin, end = (int(text, 16) for text in line.split()[0].split("-"))
        if begin <= tensor.data_ptr() < end:
            return "memfd:tutti" in line
    return False


def shared_memory(rank, ranks):
    import tutti_torch

    assert not is_shared(torch.ones(100_000))
    with tutti_torch.shared_memory():
        tensor = torch.ones(100_000)
        assert is_shared(tensor) and not is_shared(torch.ones(3))  # so few are copied anyway
    own = tutti_torch.empty(100, 1000, dtype=torch.float64)
    assert is_shared(own) and own.shape == (100, 1000) and own.dtype == torch.float64
    assert not is_shared(torch.ones(100_000))
    for _ in range(3):
        tensor.fill_(1)
        dist.all_reduce(tensor)
        equal(tensor, torch.full_like(tensor, ranks), "shared memory")
    own.fill_(rank)
    everyone = tutti_torch.empty((ranks, 100, 1000), dtype=torch.float64)
    dist.all_gather_into_tensor(everyone, own)
    for r in range(ranks):
        equal(everyone[r], torch.full((100, 1000), float(r), dtype=torch.float64), "shared all_gather")
    everyone.resize_(3)
    assert tutti_torch.empty(0).numel() == 0


def profiled(rank, ranks):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            dist.all_reduce(torch.ones(1000))
        dist.all_gather_into_tensor(torch.zeros(ranks * 10), torch.zeros(10), async_op=True).wait()
    names = [event.name for event in profile.events()]
    algorithm = dist.group.WORLD._get_backend(torch.device("cpu")).last_algorithm()
    assert algorithm and names.count("tutti all_reduce of 4000 bytes") == 1, names
    assert sum(name.startswith("tutti all_reduce of 4000 bytes: ") for name in names) == 2, names
    assert "tutti:all_gather_into_tensor" in names, names


# ---- What goes wrong


def common_store():
    return dist.distributed_c10d._get_default_store()


def tell(word, store=None):
    (store or common_store()).set(word, "")


def wait_to_be_told(word):
    common_store().wait([word], datetime.timedelta(seconds=SECONDS))


def mismatch(rank, ranks):
    error = fails("other sizes", lambda: dist.all_reduce(torch.zeros(4 + rank)), "all_reduce", "count 4", "count 5")
    assert isinstance(error, dist.DistBackendError), type(error)
    fails("afterwards", lambda: dist.all_reduce(torch.zeros(4)), "failed before")


def mismatched_types(rank, ranks):
    fails("other types", lambda: dist.all_reduce(torch.zeros(4, dtype=[torch.float32, torch.int32][rank % 2])), "f32", "i32")


def mismatched_message(rank, ranks):
    if rank == 0:
        dist.send(torch.zeros(5), 1)
        dist.send(torch.ones(6), 1)
    elif rank == 1:
        fails("another size", lambda: dist.recv(torch.zeros(6), 0), "rank 0 has sent 20 bytes", "receives 24")
        got = torch.zeros(6)
        dist.recv(got, 0)
        equal(got, torch.ones(6), "the next one")


def late(rank, ranks):
    """A rank that never calls is named, in time."""
    if rank > 0:
        return wait_to_be_told("over")
    dist.distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=1), dist.group.WORLD)
    fails("no others", lambda: dist.all_reduce(torch.zeros(4)), "all_reduce", "waiting for rank", "1 s")
    tell("over")


def recorded(rank, ranks):
    """PyTorch's flight recorder, since 2.15, is written when a call fails."""
    import pickle

    file = f"{os.environ['TORCH_FR_DUMP_TEMP_FILE']}{rank}"
    for n in range(3):
        dist.all_reduce(torch.zeros(4 + n))
    dist.all_reduce(torch.zeros(9), async_op=True).wait()
    if rank == 0:
        dist.distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=1), dist.group.WORLD)
        fails("no others", lambda: dist.all_reduce(torch.zeros(77)), "all_reduce")
        entries = pickle.load(open(file, "rb"))["entries"]
        states = {tuple(entry["input_sizes"][0]): entry["state"] for entry in entries if "all_reduce" in entry["profiling_name"]}
        assert states[(77,)] != "completed" and states[(4,)] == states[(9,)] == "completed", states
        tell("over")
    else:
        wait_to_be_told("over")


def late_for_barrier(rank, ranks):
    if rank == ranks - 1:
        return wait_to_be_told("over")
    error = fails("no others", lambda: dist.monitored_barrier(timeout=datetime.timedelta(seconds=1), wait_all_ranks=True), f"rank {ranks - 1} did not come")
    assert isinstance(error, dist.DistBackendError)
    tell("over")


def late_message(rank, ranks):
    """Neither that of one rank nor one of any comes; the second is not awaited any more when another one comes, and stays as it is."""
    if rank == 0:
        dist.distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=1), dist.group.WORLD)
        abandoned, wanted = torch.zeros(4), torch.zeros(4)
        fails("nobody sends to anyone", lambda: dist.recv(abandoned, tag=5), "recv")  # whichever limit of a second is seen first
        fails("nobody sends", lambda: dist.recv(torch.zeros(4), 1), "from rank 1 to rank 0", "1 s")
        dist.distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=30), dist.group.WORLD)
        tell("send")
        dist.recv(wanted, 1, tag=5)
        assert wanted[0] == 7 and abandoned[0] == 0
    else:
        wait_to_be_told("send")
        dist.send(torch.full((4,), 7.0), 0, tag=5)


def killed(rank, ranks):
    if rank == ranks - 1:
        os._exit(0)
    error = fails("a rank has died", lambda: [dist.all_reduce(torch.zeros(4)) for _ in range(1000)], f"rank {ranks - 1}")
    assert isinstance(error, dist.DistBackendError)


def dead_partner(rank, ranks):
    """Ranks that wait for a message of one that has died learn it, by its number in the group, whether they have had one from it or not."""
    tensor = torch.zeros(4)
    if rank == 2:
        dist.send(tensor, 1)
        wait_to_be_told("die")
        os._exit(0)
    if rank == 1:
        dist.recv(tensor, 2)
        tell("die")
        error = fails("nobody sends any more", lambda: dist.recv(tensor, 2), "from rank 2 to rank 1", "rank 2 died")
        assert isinstance(error, dist.DistBackendError)
    fails("nobody has ever sent", lambda: dist.recv(tensor, 2, tag=1), f"from rank 2 to rank {rank}", "rank 2", "died")
    fails("nobody receives", lambda: dist.send(tensor, 2, tag=2), f"from rank {rank} to rank 2", "rank 2", "died")


def in_child(rank, ranks):
    """A forked child has no part in its parent's group."""
    child = os.fork()
    if child == 0:
        for call in (lambda: dist.all_reduce(torch.zeros(4)), lambda: dist.send(torch.zeros(4), 1 - rank), lambda: dist.recv(torch.zeros(4))):
            fails("in a child", call, f"belongs to process {os.getppid()}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    dist.all_reduce(torch.zeros(4))


def times(rank, ranks):
    """Timeouts that are no time at all, or longer than clocks can tell."""
    for endless in (datetime.timedelta(days=40_000), datetime.timedelta.max):
        dist.all_reduce(torch.zeros(4), group=dist.new_group(timeout=endless))
    fails("no time", lambda: dist.new_group(timeout=datetime.timedelta(0)), "timeout of 0")


def aborted(rank, ranks):
    if rank == 0:
        store, pending = common_store(), dist.all_reduce(torch.zeros(4), async_op=True)
        time.sleep(0.3)
        dist.distributed_c10d._abort_process_group()
        fails("aborted", pending.wait, "aborted")
        tell("over", store)
    else:
        wait_to_be_told("over")


def ended(rank, ranks):
    """A callback that still runs may need Python, which ends soon after the group."""
    store, started, over = common_store(), threading.Event(), []

    def late(done):
        started.set()
        time.sleep(0.5)
        over.append(done.value()[0])
        return over

    dist.all_reduce(torch.ones(3), async_op=True).get_future().then(late)
    started.wait()
    dist.destroy_process_group()
    equal(over[0], torch.full((3,), float(ranks)), "the callback")
    # One that ends the group itself does not wait for itself.
    dist.init_process_group("tutti", store=dist.PrefixStore("again", store), rank=rank, world_size=ranks)
    dist.all_reduce(torch.ones(3), async_op=True).get_future().then(lambda done: dist.destroy_process_group()).wait()


CASES = {
    reductions: (1, 2, 3),
    movements: (1, 2, 3),
    scattered: (1, 2, 3, 4),
    layouts: (2, 3),
    functional: (2, 3),
    objects: (2, 3),
    messages: (2, 3),
    from_anyone: (2, 4),
    groups: (2, 4),
    asynchronous: (2, 3),
    shared_memory: (2, 3),
    profiled: (2,),
    mistakes: (2,),
    mismatch: (2,),
    mismatched_types: (2,),
    mismatched_message: (2,),
    late: (2, 3),
    recorded: (2,),
    late_for_barrier: (2, 3),
    late_message: (2,),
    killed: (2, 3),
    dead_partner: (3,),
    in_child: (2,),
    times: (2,),
    aborted: (2,),
    ended: (2,),
}
NO_GOODBYE = {mismatch, mismatched_types, late, recorded, late_for_barrier, late_message, killed, dead_partner, aborted, ended}


def rank_main(rank, ranks, port, case):
    if case is not recorded:
        os.environ["TORCH_FR_BUFFER_SIZE"] = "0"  # dumps of the flight recorder take a second each
    store = dist.PrefixStore(f"{case.__name__}/{ranks}", dist.TCPStore("127.0.0.1", port, is_master=False, timeout=datetime.timedelta(seconds=SECONDS)))
    dist.init_process_group("tutti", store=store, rank=rank, world_size=ranks, timeout=datetime.timedelta(seconds=SECONDS))
    case(rank, ranks)
    if case not in NO_GOODBYE:
        dist.barrier()
        dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    asked = parser.parse_args()
    known = {case.__name__: case for case in CASES}
    wanted = [known[name] for name in asked.cases] or CASES
    port = job.torch_store()
    failed = []
    for case in wanted:
        for ranks in [asked.ranks] if asked.ranks else CASES[case]:
            start = time.monotonic()
            statuses = job.forked(rank_main, ranks, port, case)
            ok = not any(statuses)
            print(f"{case.__name__} on {ranks} ranks: {'ok' if ok else statuses} ({time.monotonic() - start:.1f} s)", flush=True)
            if not ok:
                failed.append(case.__name__)
    sys.exit(f"failed: {failed}" if failed else 0)


if __name__ == "__main__":
    main()
