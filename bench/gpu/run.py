#!/usr/bin/env python3
"""Times tutti's libnccl.so.2 and NVIDIA's between ranks that share one GPU, side by side, with one program (gpu_ranks) that
calls whichever library it is given in the same way.

NCCL runs twice: with its option for several ranks on a GPU, and over sockets, where each rank claims a host of its own. The
contenders take turns; a figure is the best of the rounds that fit into the time. The bound is what a copy within the GPU's memory
reaches, for what a call must read and write there at least.

    ./bench/record.sh gpu bench/gpu/run.py          (after ./dev build; NCCL: ./dev deps)
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RANKS = ROOT / "build/release/bin/gpu_ranks"
OURS = ROOT / "build/release/lib/libnccl.so.2"
WHEEL = "build/peers/nccl/lib/python3*/site-packages/nvidia/nccl/lib/libnccl.so.2"
COLLECTIVES = ["all_reduce", "all_gather", "reduce_scatter"]


def size(bytes_):
    for unit in ("", "K", "M"):
        if bytes_ < 1024:
            return f"{bytes_:.4g}{unit}"
        bytes_ /= 1024
    return f"{bytes_:.4g}G"


class Contender:
    def __init__(self, name, library, flags=(), env=None):
        self.name, self.library, self.flags, self.env = name, library, flags, env or {}
        self.why = None  # it has stopped
        if library is None or not Path(library).exists():
            self.why = "not installed (./dev deps installs NVIDIA's wheel; or --nccl PATH)"

    def run(self, ranks, o, seconds):
        """Its measurements by (collective, bytes, graph), the GPU's name and bandwidth, and what a communicator took of its memory."""
        command = [RANKS, self.library, "--ranks", str(ranks), "--min-bytes", str(o.min_bytes), "--max-bytes", str(o.max_bytes),
                   "--factor", str(o.factor), *self.flags, *(["--threads"] if o.threads else [])]
        rows, device, memory, errors = {}, None, None, ""
        try:
            done = subprocess.run(command, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=seconds)
            output, errors = done.stdout, done.stderr if done.returncode else ""
        except subprocess.TimeoutExpired as slow:
            output, errors = (slow.stdout or b"").decode(), f"not done within {seconds:.0f} s"
        for line in output.splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # what a library prints, or the end of what was cut off
                continue
            if "device" in row:
                device = row
            elif "collective" in row:
                rows[row["collective"], row["bytes"], row["graph"]] = row
            elif "communicator_bytes" in row:
                memory = row["communicator_bytes"]
        reasons = [line for line in errors.splitlines() if line.startswith("rank ")] or errors.splitlines()
        return rows, device, memory, reasons[0] if reasons else ""


def find_nccl():
    found = sorted(ROOT.glob(WHEEL))
    return found[0] if found else None


def measure(contenders, o):
    """Prints what comes as it comes."""
    end = time.monotonic() + o.seconds
    best, device, memory, took = defaultdict(dict), None, {}, {}
    for round_ in range(o.rounds):
        for ranks in o.ranks:
            for c in contenders:
                left = end - time.monotonic()
                if c.why or left < 1.2 * took.get((c, ranks), 5):
                    continue
                start = time.monotonic()
                rows, seen, memory[c, ranks], error = c.run(ranks, o, min(left, o.timeout))
                took[c, ranks] = time.monotonic() - start
                device = device or seen
                wrong = sum(row["wrong"] for row in rows.values())
                for key, row in rows.items():
                    known = best[ranks, *key].get(c)
                    if known is None or row["time_us"] < known["time_us"]:
                        best[ranks, *key][c] = row
                print(f"round {round_ + 1}, {ranks} ranks, {c.name}: {len(rows)} measurements, {wrong} wrong values, "
                      f"{took[c, ranks]:.1f} s{'; ' + error if error else ''}", flush=True)
                if error and not rows:
                    c.why = error
    return best, device, memory


def print_tables(best, device, memory, contenders, o):
    ours, others = contenders[0], contenders[1:]
    if device:
        print(f"\n{device['device']}: a copy in its memory reads and writes {device['memory_gbps']:.0f} GB/s")
    for ranks in o.ranks:
        for collective in COLLECTIVES:
            keys = sorted(k for k in best if k[0] == ranks and k[1] == collective)
            if not keys:
                continue
            print(f"\n{collective}, {ranks} ranks on one GPU: us, busbw in GB/s; over tutti's time; tutti's share of the bound")
            head = "".join(f"{c.name:>24}" for c in contenders) + "".join(f"{'/ ' + c.name:>18}" for c in others)
            print(f"{'bytes':>8} {'':>6}{head}{'of bound':>10}")
            for key in sorted(keys, key=lambda k: (k[3], k[2])):
                row = best[key]
                cells = "".join(f"{row[c]['time_us']:>15.2f}{row[c]['busbw_gbps']:>9.2f}" if c in row else f"{'-':>24}" for c in contenders)
                ratios = "".join(f"{row[c]['time_us'] / row[ours]['time_us']:>18.2f}" if c in row and ours in row else f"{'-':>18}"
                                 for c in others)
                bound = f"{row[ours]['memory_gbps'] / device['memory_gbps']:>10.2f}" if ours in row and device else f"{'-':>10}"
                print(f"{size(key[2]):>8} {'graph' if key[3] else '':>6}{cells}{ratios}{bound}")
    print("\nMemory of the device that a communicator took, with its code, by ranks:")
    for c in contenders:
        of = {ranks: memory.get((c, ranks)) for ranks in o.ranks}
        print(f"{c.name:>14}" + "".join(f"{ranks:>6}: {bytes_ / 2**20:.0f} MiB" for ranks, bytes_ in of.items() if bytes_ is not None))
        if c.why:
            print(f"\n{c.name}: not measured: {c.why}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--min-bytes", type=int, default=8)
    parser.add_argument("--max-bytes", type=int, default=1 << 30)
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--threads", action="store_true", help="ranks are threads of one process, which share a context of the GPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=450, help="for all of it")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one contender with one number of ranks")
    parser.add_argument("--ours", type=Path, default=OURS)
    parser.add_argument("--nccl", type=Path, default=find_nccl(), help="NVIDIA's libnccl.so.2 of 2.30 or newer")
    parser.add_argument("--nccl-sockets", type=Path, help="another of NVIDIA's, to be measured over sockets (default: the same)")
    o = parser.parse_args()
    contenders = [
        Contender("tutti", o.ours),
        Contender("NCCL", o.nccl, env={"NCCL_MULTI_RANK_GPU_ENABLE": "1"}),
        Contender("NCCL sockets", o.nccl_sockets or o.nccl, flags=["--own-hosts"], env={"NCCL_IB_DISABLE": "1"}),
    ]
    if not RANKS.exists():
        sys.exit(f"{RANKS} is not built: ./dev build")
    best, device, memory = measure(contenders, o)
    print_tables(best, device, memory, contenders, o)
    measured = [row for by in best.values() for row in by.values()]
    if contenders[0].why or not measured or any(row["wrong"] for row in measured):
        sys.exit("tutti was not measured, or a value was wrong")


if __name__ == "__main__":
    main()
