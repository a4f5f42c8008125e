#!/usr/bin/env python3
"""How near simulated times are: hosts made of network namespaces, whose links to each other are cut to a rate (tc tbf), run all_reduce by
several algorithms; `tutti simulate` says beforehand how long that takes, from what one job has measured (tutti explain --json).

With --oracle instead: on described machines, what the selector chooses beside the fastest of all algorithms, both simulated.
With --scaling instead: what a simulation takes, of ever more ranks.
With --here instead: ranks that share this host's memory, one on each core (where ranks share cores, the simulator knows nothing of it).

Needs root, but for --oracle, --scaling and --here. A ratio is the simulated time by the median of what was run (over the rounds, each the mean of many checked calls).

    ./bench/record.sh simulate ./dev bench simulate
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOSTS = ROOT / "tests/end_to_end/hosts.sh"
TUTTI = ROOT / "build/release/bin/tutti"
LAUNCHER = ROOT / "build/peers/openmpi/bin/mpirun"
# With all parameters, so that both do the same.
ALGORITHMS = {"all_reduce": ["ring/pieces=1", "two_shot/pieces=1", "direct/pieces=1", "recursive_doubling/radix=2", "halving_doubling/radix=2",
                             "reduce_broadcast/pieces=4/radix=2"],
              "all_gather": ["ring/pieces=1", "direct", "recursive_doubling/radix=2"],
              "broadcast": ["knomial/radix=2", "scatter_all_gather", "chain/pieces=4"]}
SIZES = [64 << 10, 512 << 10, 4 << 20]
SCALING = [(2, 4), (8, 8), (64, 8), (512, 8), (4096, 8), (12500, 8)]  # hosts, ranks on each


MACHINES = ["core:16", "node:16 core:8", "node:4 numa:2 core:8", "dgx-h100:8", "fat-tree:4x16 oversubscription=4", "torus:4x4x4"]
ORACLE_COLLECTIVES = ["all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all"]
ORACLE_SIZES = [1 << 10, 64 << 10, 1 << 20, 64 << 20]


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--rate", default="100mbit", help="of each host's link, as tc has it (100mbit)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--collectives", nargs="+", default=list(ALGORITHMS), choices=list(ALGORITHMS))
    parser.add_argument("--oracle", action="store_true", help="choices against the fastest in simulation")
    parser.add_argument("--scaling", action="store_true", help="events per second and memory per rank")
    parser.add_argument("--here", action="store_true", help="ranks of one host, one on each core")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def inside_hosts(options, hosts):
    """This program anew, beside so many hosts."""
    script = f'''. "{HOSTS}"
        hosts_or_skip; make_hosts {hosts}
        for ((i = 1; i <= {hosts}; i++)); do
          ip netns exec "$tag-h$i" tc qdisc add dev eth0 root tbf rate {options.rate} burst 16kb latency 400ms || exit 1
        done
        "$@"'''
    subprocess.run(["bash", "-c", script, "hosts", sys.executable, *sys.argv, "--inside", "--hosts", str(hosts)], check=True)


def on_hosts(hosts, *command):
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_ALLOW_RUN_AS_ROOT": "1",
            "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "TUTTI_TUNING": "off"}
    words = ["bash", "-c", f'. "{HOSTS}"; launch "$@"', "launch", "openmpi5", LAUNCHER, ",".join(["1"] * hosts), TUTTI, *command]
    job = subprocess.run([str(w) for w in words], env={**os.environ, **root}, capture_output=True, text=True)
    if job.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {job.returncode}:\n{job.stdout[-2000:]}{job.stderr[-2000:]}")
    return job.stdout


def on_cores(ranks, *command):
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
    words = ["mpirun.openmpi", *root, "--bind-to", "core", "-n", ranks, TUTTI, *command]
    job = subprocess.run([str(w) for w in words], env={**os.environ, "TUTTI_TUNING": "off"}, capture_output=True, text=True)
    if job.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\nended with {job.returncode}:\n{job.stdout[-2000:]}{job.stderr[-2000:]}")
    return job.stdout


def run_us(start, ranks, collective, algorithm, size, folder):
    """The mean of one job's calls."""
    table = Path(folder) / "table.json"
    iterations = max(3, min(50, (8 << 20) // size)) * (20 if start is on_cores else 1)
    start(ranks, "perf", collective, "--algorithm", algorithm, "--min-bytes", size, "--max-bytes", size, "--iterations", iterations,
             "--warmup", 3, "--out-of-place", "--check", "--json", table)
    rows = json.loads(table.read_text())["rows"]
    return rows[0]["out_of_place"]["time_us"]


def simulated_us(topology, collective, algorithm, size, measured):
    job = subprocess.run([TUTTI, "simulate", collective, "--algorithm", algorithm, "--bytes", str(size), "--topology", topology,
                          "--measured", measured, "--json"], capture_output=True, text=True, check=True)
    return json.loads(job.stdout)["simulated_us"]


def compare(options, start, ranks, topology, what):
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder) / "measured.json"
        said = start(ranks, "explain", "all_reduce", "--json")
        measured.write_text(said)
        link = json.loads(said)["links"][-1]
        print(f"\n{what}: measured {link['latency_us']:.1f} us, {1e3 * link['bandwidth_gbps']:.1f} MB/s")
        print(f"{'':<44}{'bytes':>10}{'simulated us':>14}{'run us':>12}{'ratio':>8}")
        ratios = []
        for collective in options.collectives:
            for algorithm in ALGORITHMS[collective]:
                for size in SIZES:
                    predicted = simulated_us(topology, collective, algorithm, size, measured)
                    ran = statistics.median(run_us(start, ranks, collective, algorithm, size, folder) for _ in range(options.rounds))
                    ratios.append(predicted / ran)
                    print(f"{collective + ' ' + algorithm:<44}{size:>10}{predicted:>14.1f}{ran:>12.1f}{predicted / ran:>8.2f}", flush=True)
        errors = sorted(max(r, 1 / r) - 1 for r in ratios)
        print(f"median error {100 * statistics.median(errors):.0f} %, nine of ten below {100 * errors[int(0.9 * (len(errors) - 1))]:.0f} %")


def oracle():
    print("What is chosen, by the time of the fastest algorithm, both simulated: 1 is as good as can be.")
    print(f"{'':<44}" + "".join(f"{size:>10}" for size in ORACLE_SIZES) + "   worst choice")
    every = []
    for machine in MACHINES:
        for collective in ORACLE_COLLECTIVES:
            cells, worst = [], (0, "")
            for size in ORACLE_SIZES:
                job = subprocess.run([TUTTI, "simulate", collective, "--topology", machine, "--bytes", str(size), "--all", "--json"],
                                     capture_output=True, text=True, check=True)
                rows = [row for row in json.loads(job.stdout) if row["simulated_us"] is not None]
                best, chosen = rows[0], next(row for row in rows if row["chosen"])
                ratio = chosen["simulated_us"] / best["simulated_us"]
                if chosen["published"]:  # which is simulated as if it were sent
                    cells.append(f"{'-':>10}")
                    continue
                worst = max(worst, (ratio, f"{chosen['algorithm']} instead of {best['algorithm']} at {size}"))
                cells.append(f"{ratio:>10.2f}")
                every.append(ratio)
            print(f"{machine[:28] + ' ' + collective:<44}" + "".join(cells) + ("   " + worst[1] if worst[0] > 1.1 else ""), flush=True)
    print(f"median {statistics.median(every):.2f}, nine of ten below {sorted(every)[int(0.9 * (len(every) - 1))]:.2f}")


def scaling():
    print("hierarchical all_reduce of 64 MiB, 8 ranks on each host (of 8 ranks in all, 4): simulated time, and what that takes")
    print(f"{'ranks':>8}{'messages':>10}{'events':>11}{'seconds':>9}{'events/s':>11}{'bytes/rank':>12}{'simulated us':>14}{'model us':>12}")
    for hosts, cores in SCALING:
        job = subprocess.run([TUTTI, "simulate", "all_reduce", "--bytes", "64M", "--topology", f"node:{hosts} core:{cores}", "--algorithm",
                              "hierarchical", "--json"], capture_output=True, text=True, check=True)
        s = json.loads(job.stdout)
        print(f"{s['ranks']:>8}{s['messages']:>10}{s['events']:>11}{s['seconds']:>9.2f}{s['events'] / s['seconds']:>11.3g}"
              f"{s['memory_bytes'] / s['ranks']:>12.0f}{s['simulated_us']:>14.0f}{s['model_us']:>12.0f}", flush=True)


def main():
    options = parse_options()
    if options.oracle:
        return oracle()
    if options.scaling:
        return scaling()
    if options.here:
        ranks = len(os.sched_getaffinity(0))
        return compare(options, on_cores, ranks, f"core:{ranks}", f"{ranks} ranks of this host, one on each core")
    for hosts in options.hosts:
        if options.inside:
            compare(options, on_hosts, hosts, f"node:{hosts} core:1", f"{hosts} hosts, a rank each, links of {options.rate}")
        else:
            inside_hosts(options, hosts)


if __name__ == "__main__":
    main()
