#!/usr/bin/env python3
"""Times a collective of several element types (tutti perf), and prints what a byte costs in each beside the first of them.

Every round runs each type once, in random order, as a job of its own. A ratio is between two jobs of one round, since the machine is
faster at some times than at others; the median over the rounds is shown. Calls follow one another on the same buffers; each job
checks a result at each size.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TUTTI = ROOT / "build/release/bin/tutti"


def launcher(ranks):
    own_cores = ranks <= len(os.sched_getaffinity(0))
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    return ["mpirun.openmpi", *root, *(["--bind-to", "core"] if own_cores else ["--oversubscribe", "--bind-to", "none"])]


def measure(element, options):
    """Microseconds by place and size."""
    with tempfile.NamedTemporaryFile() as file:
        command = [*launcher(options.ranks), "-n", options.ranks, TUTTI, "perf", options.collective, "--type", element,
                   "--min-bytes", options.min_bytes, "--max-bytes", options.max_bytes, "--factor", options.factor,
                   "--iterations", options.iterations, "--json", file.name]
        job = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if job.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\nended with {job.returncode}:\n{job.stdout[-2000:]}{job.stderr[-2000:]}")
        rows = json.load(file)["rows"]
    return {(place, row["bytes"]): row[place]["time_us"] for place in ("out_of_place", "in_place") for row in rows if row[place]}


def table(rounds, types):
    """Each type's median time and its ratio to the first type's, by place and size."""
    first, *others = types
    cells = [["place", "bytes", *(f"{name} us" for name in types), *(f"{name} / {first}" for name in others)]]
    for key in rounds[0][first]:
        times = [statistics.median(figures[name][key] for figures in rounds) for name in types]
        ratios = [statistics.median(figures[name][key] / figures[first][key] for figures in rounds) for name in others]
        cells.append([*map(str, key), *(f"{value:.2f}" for value in [*times, *ratios])])
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in cells)


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--types", nargs="+", default=["f32", "f16", "bf16"], help="the others are compared with the first")
    parser.add_argument("--collective", default="all_reduce", help="as tutti perf names it (all_reduce)")
    parser.add_argument("--ranks", type=positive, default=2)
    parser.add_argument("--rounds", type=positive, default=9, help="how often each type runs (9)")
    parser.add_argument("--min-bytes", default="8")
    parser.add_argument("--max-bytes", default="64M")
    parser.add_argument("--factor", default="8", help="from a size to the next (8)")
    parser.add_argument("--iterations", type=positive, default=50, help="calls that a job times for each size (50)")
    return parser.parse_args()


def main():
    options = parse_options()
    if not TUTTI.exists():
        sys.exit(f"{TUTTI} is missing: ./dev build")
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        rounds.append({element: measure(element, options) for element in random.sample(options.types, len(options.types))})
    print(f"{options.collective}, {options.ranks} ranks: microseconds of a call, and the ratio of times for the same bytes; medians")
    print(table(rounds, options.types))


if __name__ == "__main__":
    main()
