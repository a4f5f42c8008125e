"""Runs a function as the ranks of a job, each in a process of its own."""

import multiprocessing
import os
import sys


def from_rank_0(value, rank, pipes):
    """Rank 0's value, on all ranks."""
    if rank > 0:
        return pipes[0].recv()
    for pipe in pipes:
        pipe.send(value)
    return value


def run(name, rank_main, ranks):
    """rank_main(rank, ranks, pipes) on each; ends the program with an error if one of them does."""
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in range(ranks - 1)]
    ends = [[sender for _, sender in pipes]] + [[receiver] for receiver, _ in pipes]
    processes = [context.Process(target=rank_main, args=(r, ranks, ends[r])) for r in range(ranks)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit(f"exit statuses: {[process.exitcode for process in processes]}")
    print(f"{name} on {ranks} ranks: ok")


def forked(rank_main, ranks, *arguments):
    """Exit statuses of rank_main(rank, ranks, *arguments) in copies of this process, which need not import again; each ends as a program does."""
    sys.stdout.flush()
    children = []
    for rank in range(ranks):
        children.append(os.fork())
        if children[-1] == 0:
            rank_main(rank, ranks, *arguments)
            sys.exit(0)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def torch_store():
    """The port of a torch.distributed.TCPStore that outlives all ranks, in a process of its own that ends after them and this one."""
    from torch.distributed import TCPStore

    (port_end, port), (life, life_end) = os.pipe(), os.pipe()
    if os.fork() == 0:
        os.close(life_end)
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        os.write(port, str(store.port).encode())
        os.read(life, 1)  # until no process has the other end
        os._exit(0)
    return int(os.read(port_end, 16))
