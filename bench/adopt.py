#!/usr/bin/env python3
"""Times collectives between processes on buffers of malloc: through the arena (and by process_vm_readv, where that was measured to be faster), with
their pages adopted, and on memory of tutti::allocate(), over tutti's C++ interface; beside MPI libraries, in the same run.

Where another core has read a buffer in place, writing there anew may take the program longer: so there are two tables, of the calls alone,
and of calls together with rank 0's writing of its next input.

Every round runs each contender once, in random order, as a job of its own, which writes its data before every call and checks all results
(bench/peers/peers.c); a figure is the median over the rounds, a ratio the best MPI library's figure by that with adoption. Adopting happens at
the first call, which is not timed. A third table tells after how many calls, with the writing, adopting has paid: by what the first calls took
longer than without it, and what later ones take less; beside it what tutti says it expects (tutti explain). Open MPI's large messages go by
process_vm_readv (CMA) where it has room for nothing better.

    ./bench/record.sh adopt ./dev bench adopt
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import run as peers  # noqa: E402

COLLECTIVES = ["allreduce", "allgather", "reduce_scatter", "alltoall", "bcast"]
OURS = {"arena": ("off", "malloc"), "adopted": ("eager", "malloc"), "allocate": ("off", "alloc_mem")}


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collectives", nargs="+", default=COLLECTIVES, choices=COLLECTIVES)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--min-bytes", type=int, default=16 << 10, help="that a rank gives (16384)")
    parser.add_argument("--max-bytes", type=int, default=16 << 20, help="(16777216)")
    parser.add_argument("--factor", type=int, default=4, help="from a size to the next (4)")
    parser.add_argument("--milliseconds", type=int, default=40, help="that a job spends on each size (40)")
    return parser.parse_args()


def measure(library, program, preloaded, ranks, collective, options, memory="malloc", adopt="off"):
    words = {"min-bytes": options.min_bytes, "max-bytes": options.max_bytes, "milliseconds": options.milliseconds, "factor": options.factor,
             "memory": memory}
    command = [*library.command(ranks, preloaded), program, collective, *(f"--{name}={value}" for name, value in words.items())]
    job = subprocess.run([str(c) for c in command], env={**os.environ, **library.env, "TUTTI_ADOPT": adopt}, capture_output=True, text=True)
    rows = [json.loads(line) for line in job.stdout.splitlines() if line.startswith("{")]
    if job.returncode != 0 or not rows:
        sys.exit(f"{' '.join(map(str, command))}\nended with {job.returncode}:\n{job.stdout[-2000:]}{job.stderr[-2000:]}")
    return {row["bytes"]: (row["median_us"], row["median_us"] + row["write_us"], row["beginning_us"]) for row in rows}


def contenders(options):
    """By name: what runs it, given ranks and collective."""
    libraries = peers.libraries(hosts=None)
    first = libraries[0]
    direct = peers.Library(peers.CPLUSPLUS, None, first.launcher, first.alone, first.shared, [], first.env)
    jobs = {name: lambda ranks, collective, adopt=adopt, memory=memory: measure(direct, peers.DIRECT, True, ranks, collective, options, memory, adopt)
            for name, (adopt, memory) in OURS.items()}
    for library in libraries:
        jobs[library.name] = lambda ranks, collective, library=library, program=library.build(): measure(library, program, False, ranks, collective, options)
    return jobs


def show(collective, size, times, which):
    """A line: medians over the rounds, of calls (which = 0), or of calls and the writing of what the next one gives (1)."""
    median = {name: statistics.median(value[which] for value in values) for name, values in times.items()}
    best = min(us for name, us in median.items() if name not in OURS)
    print(f"{collective + ' ' + str(size):<26}" + "".join(f"{us:>12.1f}" for us in median.values()) +
          f"{best / median['adopted']:>14.2f}{median['arena'] / median['adopted']:>15.2f}{median['adopted'] / median['allocate']:>15.2f}", flush=True)


def expected_calls(ranks, library):
    """What a job here works out from its calibration: after so many calls a buffer is adopted."""
    command = [*library.command(ranks, False), peers.ROOT / "build/release/bin/tutti", "explain", "all_reduce", "--json"]
    job = subprocess.run([str(c) for c in command], env={**os.environ, **library.env, "TUTTI_ADOPT": "auto"}, capture_output=True, text=True)
    if job.returncode != 0:
        return f"(tutti explain ended with {job.returncode})"
    said = json.loads(job.stdout)["adoption"]
    calls = re.search(r"come (\d+) times", said)
    return calls.group(1) + " calls" if calls else said


def show_break_even(collective, size, times):
    _, arena, begins = (statistics.median(value[i] for value in times["arena"]) for i in range(3))
    _, adopted, adopts = (statistics.median(value[i] for value in times["adopted"]) for i in range(3))
    gain = arena - adopted
    calls = f"{(adopts - begins) / gain:.0f}" if gain > 0.03 * arena else "never"
    print(f"{collective + ' ' + str(size):<26}{adopts - begins:>14.0f}{gain:>14.1f}{calls:>14}")


def main():
    options = parse_options()
    jobs = contenders(options)
    for ranks in options.ranks:
        figures = {}
        for collective in options.collectives:
            for number in range(options.rounds):
                print(f"{collective}, {ranks} ranks: round {number + 1} of {options.rounds}", file=sys.stderr)
                for name in random.sample(list(jobs), len(jobs)):
                    for size, us in jobs[name](ranks, collective).items():
                        figures.setdefault((collective, size), {name: [] for name in jobs})[name].append(us)
        for which, what in enumerate(["us of a call", "us of a call and of writing what the next one gives"]):
            print(f"\n{ranks} ranks: {what}")
            print(f"{'':<26}" + "".join(f"{name:>12}" for name in jobs) + f"{'MPI/adopted':>14}{'arena/adopted':>15}{'adopted/alloc':>15}")
            for (collective, size), times in figures.items():
                show(collective, size, times, which)

        print(f"\n{ranks} ranks: when adopting has paid; tutti expects: {expected_calls(ranks, peers.libraries(hosts=None)[0])}")
        print(f"{'':<26}{'us of it':>14}{'us gained':>14}{'calls':>14}")
        for (collective, size), times in figures.items():
            show_break_even(collective, size, times)


if __name__ == "__main__":
    main()
