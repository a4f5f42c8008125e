#!/usr/bin/env python3
"""Times torch.distributed over the backend "tutti" beside Gloo, in the same processes and in turns; every result is checked.

- Collectives that are waited for at once, on ordinary tensors and (alloc) on those of tutti_torch.empty(), 8 bytes to 64 MiB.
- A step of DistributedDataParallel with two models: one that mostly communicates, one that computes about as long.
- What a call costs before the library has it: all_reduce of 2 floats in a group of one rank.

Ranks are processes of this machine, or with --hosts two of hosts made of network namespaces (needs root), which talk over TCP. A figure is the
median over the rounds, each the mean of many calls; a ratio is the median of Gloo's figure by tutti's in the same round. Of others there is
nothing to install: oneCCL's binding has no release for this PyTorch, whose wheels come without MPI.

    ./bench/record.sh torch ./dev bench torch
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOSTS = ROOT / "tests/end_to_end/hosts.sh"
SIZES = [8, 1024, 65536, 1 << 20, 16 << 20, 64 << 20]
OPERATIONS = ["all_reduce", "all_gather_into_tensor", "reduce_scatter_tensor", "all_to_all_single"]
MODELS = {"communicates": (1024, 4, 8), "balanced": (512, 4, 256)}  # width, layers, rows of a batch


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--hosts", action="store_true", help="two ranks, each on a host of its own")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--milliseconds", type=float, default=60, help="of one figure (60)")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="BYTES")
    parser.add_argument("--operations", nargs="*", default=OPERATIONS, choices=OPERATIONS, metavar="OPERATION")
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


# ---- A rank


class Bench:
    def __init__(self, options):
        import torch
        import torch.distributed as dist

        self.torch, self.dist, self.options = torch, dist, options
        torch.set_num_threads(1)
        rank, self.ranks, address, port = options.worker
        self.rank, self.ranks = int(rank), int(self.ranks)
        store = dist.TCPStore(address, int(port), is_master=self.rank == 0, wait_for_workers=False)
        dist.init_process_group("gloo", store=store, rank=self.rank, world_size=self.ranks)
        self.groups = {"gloo": dist.group.WORLD, "tutti": dist.new_group(backend="tutti")}

    def say(self, text=""):
        if self.rank == 0:
            print(text, flush=True)

    def tensors(self, operation, bytes, empty):
        """Input, output, and what the output must be: elements are what rank they are of, plus 1."""
        torch, ranks, count = self.torch, self.ranks, max(bytes // 4, self.ranks)
        count = count // ranks * ranks
        total = ranks * (ranks + 1) / 2
        of_all = torch.arange(1, ranks + 1, dtype=torch.float32).repeat_interleave(count // ranks)
        sizes = {"all_reduce": (count, count), "all_gather_into_tensor": (count // ranks, count), "reduce_scatter_tensor": (count, count // ranks)}
        inputs, outputs = sizes.get(operation, (count, count))
        wanted = {"all_reduce": torch.full((count,), total), "reduce_scatter_tensor": torch.full((outputs,), total)}.get(operation, of_all)
        tensor = empty(inputs).fill_(self.rank + 1.0)
        return tensor, tensor if operation == "all_reduce" else empty(outputs), wanted

    def call(self, operation, group, tensor, output):
        call = getattr(self.dist, operation)
        return call(tensor, group=group) if operation == "all_reduce" else call(output, tensor, group=group)

    def check(self, operation, name, bytes, empty):
        tensor, output, wanted = self.tensors(operation, bytes, empty)
        self.call(operation, self.groups[name], tensor, output)
        if not self.torch.equal(output, wanted):
            sys.exit(f"{operation} of {bytes} bytes over {name} has a wrong result")

    def times(self, name, milliseconds, once):
        """How often to do it, the same on all ranks."""
        once()
        begin = time.perf_counter()
        once()
        times = self.torch.tensor([milliseconds * 1e-3 / (time.perf_counter() - begin)])
        self.dist.all_reduce(times, op=self.dist.ReduceOp.MIN)
        return max(1, min(2000, int(times.item())))

    def figure(self, name, times, once):
        self.dist.barrier(group=self.groups[name])
        begin = time.perf_counter()
        for _ in range(times):
            once()
        return (time.perf_counter() - begin) / times * 1e6

    def compare(self, title, contenders):
        """Figures of contenders (name and what to do once), in turns, and a line of them."""
        times = {name: self.times(name, self.options.milliseconds, once) for name, once in contenders.items()}
        figures = {name: [] for name in contenders}
        for _ in range(self.options.rounds):
            for name, once in contenders.items():
                figures[name].append(self.figure(name.split()[0], times[name], once))
        line = f"{title:<34}" + "".join(f"{statistics.median(f):>14.1f}" for f in figures.values())
        for name in list(contenders)[1:]:
            line += f"{statistics.median(a / b for a, b in zip(figures['gloo'], figures[name])):>9.2f}"
        self.say(line)

    def collectives(self):
        import tutti_torch

        kinds = {"gloo": self.torch.empty, "tutti": self.torch.empty, "tutti alloc": tutti_torch.empty}
        self.say(f"\n{self.ranks} ranks: us{'':<23}" + "".join(f"{kind:>14}" for kind in kinds) + f"{'ratio':>9}{'alloc':>9}")
        for operation in self.options.operations:
            for bytes in self.options.sizes:
                contenders = {}
                for kind, empty in kinds.items():
                    name = kind.split()[0]
                    self.check(operation, name, bytes, empty)
                    tensor, output, _ = self.tensors(operation, bytes, empty)
                    tensor.zero_()  # sums stay finite
                    contenders[kind] = lambda o=operation, g=self.groups[name], t=tensor, out=output: self.call(o, g, t, out)
                self.compare(f"{operation} {bytes}", contenders)

    def training(self):
        import tutti_torch
        from torch.nn.parallel import DistributedDataParallel

        nn = self.torch.nn
        for title, (width, layers, rows) in MODELS.items():
            steps, alone = {}, None
            data = self.torch.randn(rows, width)
            for kind in ("gloo", "tutti", "tutti alloc"):
                before = tutti_torch._C.share_all(kind.endswith("alloc"))
                self.torch.manual_seed(1)
                model = nn.Sequential(*(layer for _ in range(layers) for layer in (nn.Linear(width, width), nn.ReLU())))
                optimizer = self.torch.optim.SGD(model.parameters(), lr=1e-3)
                parallel = DistributedDataParallel(model, process_group=self.groups[kind.split()[0]])

                def step(model=parallel, optimizer=optimizer):
                    optimizer.zero_grad()
                    model(data).square().mean().backward()
                    optimizer.step()

                for _ in range(3):
                    step()
                tutti_torch._C.share_all(before)
                steps[kind] = step
                alone = alone or (lambda: step(model, optimizer))
            megabytes = sum(p.numel() for p in model.parameters()) * 4 / 1e6
            self.say(f"\nDistributedDataParallel, {title}: {megabytes:.1f} MB of gradients, {rows} rows of {width}; without others a step takes "
                     f"{self.figure('gloo', 10, alone):.0f} us")
            self.compare("step", steps)

    def overhead(self):
        one = self.dist.new_group([0], backend="tutti"), self.dist.new_group([0], backend="gloo")
        if self.rank == 0:
            for group, name in zip(one, ("tutti", "gloo")):
                tensor = self.torch.ones(2)
                figures = []
                for _ in range(20):
                    begin = time.perf_counter()
                    for _ in range(1000):
                        self.dist.all_reduce(tensor, group=group)
                    figures.append((time.perf_counter() - begin) / 1000 * 1e6)
                print(f"all_reduce in a group of one rank, {name}: {min(figures):.1f} us", flush=True)
        self.dist.barrier()

    def run(self):
        self.collectives()
        if not self.options.no_training:
            self.training()
        if self.ranks == 2 and not self.options.hosts:
            self.say()
            self.overhead()
        self.dist.barrier()
        self.dist.destroy_process_group()


# ---- Starting them


def inside_hosts():
    """Makes two hosts and starts this program anew beside them."""
    script = f'''. "{HOSTS}"
        hosts_or_skip
        make_hosts 2
        trap remove_hosts EXIT
        "$@"'''
    os.execvp("bash", ["bash", "-c", script, "hosts", sys.executable, *sys.argv])


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(options, ranks):
    address, port = ("127.0.0.1", free_port()) if not options.hosts else (os.environ["hosts_subnet"] + ".1", 29500)
    processes = []
    for rank in range(ranks):
        command = [sys.executable, "-W", "ignore", *sys.argv, "--worker", str(rank), str(ranks), address, str(port)]
        environment = dict(os.environ)
        if options.hosts:
            command = [os.environ["hosts_work"] + "/on", f"h{rank + 1}", *command]
            environment["GLOO_SOCKET_IFNAME"] = "eth0"
        processes.append(subprocess.Popen(command, env=environment))
    for process in processes:
        if process.wait() != 0:
            for other in processes:
                other.kill()
            sys.exit(f"a rank has ended with {process.returncode}")


def main():
    options = parse_options()
    if options.worker:
        return Bench(options).run()
    if options.hosts and "hosts_work" not in os.environ:
        inside_hosts()
    for ranks in [2] if options.hosts else options.ranks:
        start(options, ranks)


if __name__ == "__main__":
    main()
