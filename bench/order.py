#!/usr/bin/env python3
"""What it costs to promise more of the bits of an all_reduce of f32: each order class, and sums in f64, beside `fast` (bench/order_ranks.cpp).

All take turns in one job. Ratios are to `fast` in the same round, medians over the rounds. Where there are more ranks than cores, what is
measured is mostly the turns that they take.

    ./bench/record.sh order ./dev bench order
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 3, 4, 8])
    parser.add_argument("--rounds", type=int, default=21)
    options, others = parser.parse_known_args()
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    for ranks in options.ranks:
        own_cores = ranks <= len(os.sched_getaffinity(0))
        place = ["--bind-to", "core"] if own_cores else ["--oversubscribe", "--bind-to", "none"]
        command = ["mpirun.openmpi", *root, *place, "-n", str(ranks), ROOT / "build/release/bin/order_ranks", "--rounds", str(options.rounds), *others]
        job = subprocess.run(command)
        if job.returncode != 0:
            sys.exit(job.returncode)
        print(flush=True)


if __name__ == "__main__":
    main()
