#!/usr/bin/env python3
"""Times what runs over RDMA devices in the virtual machine of tests/verbs, whose devices are made of software and whose processor is
mostly emulated: times mean nothing by themselves there, but contenders that take turns in it can be compared.

- A message of 8 bytes to another process and one back, half of it: this library's transports, beside perftest's ib_send_lat
  and ib_write_lat (which are told where to write and look at the last byte of it, without a message's order, size and credits).
- Messages of 1 MiB, several under way, beside ib_write_bw.
- Counts, once, of which the processor's speed is no part: what an all_reduce hands to the device, sends and copies (counts.cpp), and
  its system calls.
- all_reduce of 8 bytes, 64 KiB and 4 MiB of floats by two processes, beside Open MPI over UCX; every result is checked (peers.c).

A figure is the median over the rounds; a ratio is that of the rounds' ratios to the first contender.

    ./bench/record.sh verbs ./dev bench verbs
"""

import argparse
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VM = ROOT / "build/verbs/vm"
PEERS = ROOT / "build/verbs/peers"
CASES = ["counts", "pingpong", "stream", "all_reduce"]
KINDS = {"8 bytes one way": "us", "1 MiB, many": "MB/s"}  # others: us


def run_rounds(o):
    """Figures by case and contender, one of each round (or fewer, where one has not been through)."""
    subprocess.run(["mpicc.openmpi", "-O2", "-o", PEERS, ROOT / "bench/peers/peers.c"], check=True)
    command = [ROOT / "tests/verbs/vm/run.sh", "--vm", VM, "--pin", "--timeout", str(o.minutes * 60), ROOT / "bench/verbs/rounds.sh",
               str(o.rounds), ROOT / "build/release", PEERS, *o.cases]
    figures = defaultdict(lambda: defaultdict(list))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as vm:
        for line in vm.stdout:
            parts = line.rstrip("\n").split("\t")
            try:
                case, contender, figure = parts[0], parts[1], float(parts[2])
            except (IndexError, ValueError):  # counts
                print(line, end="", flush=True)
                continue
            figures[case][contender].append(figure)
    if vm.returncode == 124:
        print(f"(stopped after {o.minutes} minutes, before all rounds were through)")
    if vm.returncode not in (0, 124):
        sys.exit(f"run.py: the virtual machine's job has ended with {vm.returncode}")
    return figures


def ratios(figures, reference):
    """Of the rounds, as far as both were through in all of them."""
    if len(figures) == len(reference):
        return [a / b for a, b in zip(figures, reference)]
    return [statistics.median(figures) / statistics.median(reference)]


def show(case, contenders):
    unit = KINDS.get(case, "us")
    print(f"\n{case} ({unit})\n{'':<16}{'median':>12}{'from':>12}{'to':>12}{'rounds':>8}{'ratio':>8}")
    reference = next(iter(contenders.values()))
    for name, figures in contenders.items():
        print(f"{name:<16}{statistics.median(figures):>12.2f}{min(figures):>12.2f}{max(figures):>12.2f}{len(figures):>8}"
              f"{statistics.median(ratios(figures, reference)):>8.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, metavar="CASE", help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--rounds", type=int, default=7, help="(7)")
    parser.add_argument("--minutes", type=int, default=20, help="after so long the virtual machine is stopped, and what there is counts (20)")
    o = parser.parse_args()
    if unknown := set(o.cases) - set(CASES):
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    for case, contenders in run_rounds(o).items():
        show(case, contenders)


if __name__ == "__main__":
    main()
