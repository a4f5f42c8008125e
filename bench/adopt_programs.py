#!/usr/bin/env python3
"""What adopting buffers is worth to whole programs: the wall time of each, as it is with TUTTI_ADOPT=off and with auto, in turns.

- HPCC (Debian's) on an MPI library with tutti preloaded: its random matrices, FFTs and transpositions give ordinary buffers to MPI.
- LAMMPS' melt (Debian's): small buffers, which never pay.
- a training of 200 steps by PyTorch's DistributedDataParallel on ordinary tensors, with the model of bench/torch that mostly communicates.
- buffers that come back too seldom to be adopted: all_reduce of 512 KB, in turn in a thousand of them.

A ratio is the median of the time without by that with adoption in the same round: above 1 it pays.

    ./bench/record.sh adopt_programs ./dev bench adopt_programs
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "peers"))
import run as peers  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
MELT = "/usr/share/lammps/examples/melt/in.melt"
HPCC = "/usr/share/doc/hpcc/examples/_hpccinf.txt"
DEBIAN_MPIRUN = ["mpirun.openmpi", "--oversubscribe", "--bind-to", "none"]


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", nargs="+", default=list(PROGRAMS), choices=list(PROGRAMS))
    return parser.parse_args()


def preloaded(ranks, *program):
    return [*DEBIAN_MPIRUN, "-n", str(ranks), "-x", f"LD_PRELOAD={peers.PRELOAD}", *program]


def hpcc(ranks, folder):
    size = "\n".join(line.replace("1000", "3000", 1) if line.endswith("Ns") else line for line in Path(HPCC).read_text().splitlines())
    (folder / "hpccinf.txt").write_text(size + "\n")
    return preloaded(ranks, "hpcc")


def lammps(ranks, _folder):
    return preloaded(ranks, "lmp", "-in", MELT, "-log", "none")


def seldom(ranks, _folder):
    return [*DEBIAN_MPIRUN, "-n", str(ranks), peers.DIRECT, "allreduce", "--min-bytes=524288", "--max-bytes=524288", "--milliseconds=1500",
            "--caches=cold", "--cold-bytes=1073741824"]


def training(ranks, _folder):
    return [ROOT / "bench/torch/run.sh", ROOT / "build/peers/torch/bin/python", ROOT / "build/release", "-m", "torch.distributed.run", "--standalone",
            f"--nproc-per-node={ranks}", ROOT / "bench/torch/train.py"]


PROGRAMS = {"HPCC": hpcc, "LAMMPS": lammps, "training": training, "seldom back": seldom}


def seconds_of(command, folder, adopt):
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    start = time.perf_counter()
    job = subprocess.run([str(word) for word in command], cwd=folder, env={**os.environ, **root, "TUTTI_ADOPT": adopt}, capture_output=True, text=True)
    if job.returncode != 0:  # what a rank has said comes before what its launcher says of it
        sys.exit(f"{' '.join(map(str, command))}\nwith TUTTI_ADOPT={adopt} ended with {job.returncode}:\n{job.stdout}{job.stderr}")
    own = [line.split()[0] for line in job.stdout.splitlines() if line.endswith("seconds of training")]
    return float(own[0]) if own else time.perf_counter() - start


def main():
    options = parse_options()
    print(f"{options.ranks} ranks: seconds, medians of {options.rounds} rounds\n{'':<14}{'off':>10}{'auto':>10}{'off / auto':>12}")
    for name in options.programs:
        times = {"off": [], "auto": []}
        for number in range(options.rounds):
            print(f"{name}: round {number + 1} of {options.rounds}", file=sys.stderr)
            for adopt in ("off", "auto") if number % 2 == 0 else ("auto", "off"):
                with tempfile.TemporaryDirectory() as folder:
                    times[adopt].append(seconds_of(PROGRAMS[name](options.ranks, Path(folder)), folder, adopt))
        ratio = statistics.median(off / auto for off, auto in zip(times["off"], times["auto"]))
        print(f"{name:<14}{statistics.median(times['off']):>10.3f}{statistics.median(times['auto']):>10.3f}{ratio:>12.3f}", flush=True)


if __name__ == "__main__":
    main()
