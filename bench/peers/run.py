#!/usr/bin/env python3
"""Times one C program of MPI collectives (peers.c) on several MPI libraries, alone and with libtutti_mpi.so preloaded, and over
tutti's C++ interface.

Every round runs each contender once, in random order, as a job of its own; a figure is the median over the rounds. Virtual
machines move between states in which two cores are nearer to each other or farther apart, for seconds at a time: each
measurement says what a bare exchange of flags took just then, and where there were both states each gets a table of its own.

With --hosts the ranks are on hosts made out of network namespaces (tests/end_to_end/hosts.sh; needs root), which talk over TCP, and
each round also measures what bare sockets reach between the first two of them (bench/tcp_floors.cpp).
"""

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
from itertools import count, product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build/peers"
PRELOAD = ROOT / "build/release/lib/libtutti_mpi.so"
DIRECT = ROOT / "build/release/bin/peers_direct"
FLOORS = ROOT / "build/release/bin/tcp_floors"
HOSTS = ROOT / "tests/end_to_end/hosts.sh"
CPLUSPLUS = "C++"  # peers.c without MPI, over tutti's C++ interface
COLLECTIVES = ["allreduce", "allgather", "reduce_scatter", "alltoall", "bcast", "reduce", "barrier"]
NEVER_IN_PLACE = {"bcast", "barrier"}
CASE = ("collective", "ranks", "place", "caches")  # what a row of figures is about, besides its size


class Library:
    """An MPI library: how to build for it, and how to start ranks of it, with something preloaded into them or not."""

    def __init__(self, name, compiler, launcher, alone, shared, preload, env=None, kind=None):
        self.name, self.compiler, self.launcher, self.preload, self.env = name, compiler, launcher, preload, env or {}
        self.alone, self.shared = alone, shared  # flags where each rank has a core of its own, and where ranks share cores
        self.kind = kind  # what hosts.sh calls the launcher

    def command(self, ranks, preloaded):
        flags = self.alone if ranks <= len(os.sched_getaffinity(0)) else self.shared
        return [self.launcher, *flags, "-n", str(ranks), *(self.preload if preloaded else [])]

    def build(self):
        program = PEERS / f"peers-{self.compiler.parents[1].name}"
        subprocess.run([self.compiler, "-O3", "-o", program, ROOT / "bench/peers/peers.c"], check=True)
        return program


def libraries(hosts):
    openmpi, mpich, impi = PEERS / "openmpi", PEERS / "mpich", PEERS / "impi"
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_ALLOW_RUN_AS_ROOT": "1",
            "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    genv = ["-genv", "LD_PRELOAD", PRELOAD]
    # MPICH waits without end for others to leave the core, unless it is told.
    yields = ["-genv", "MPIR_CVAR_CH4_PROGRESS_THROTTLE", "1", "-genv", "MPIR_CVAR_CH4_PROGRESS_THROTTLE_NO_PROGRESS_COUNT", "1"]
    intel = {"LD_LIBRARY_PATH": str(impi / "lib"), "FI_PROVIDER_PATH": str(impi / "lib")}
    if not hosts:
        return [
            Library("Open MPI", openmpi / "bin/mpicc", openmpi / "bin/mpirun", ["--bind-to", "core"],
                    ["--oversubscribe", "--bind-to", "none"], ["-x", f"LD_PRELOAD={PRELOAD}"], root),
            Library("MPICH", mpich / "bin/mpicc", mpich / "bin/mpiexec", ["-bind-to", "core"], yields, genv),
            Library("Intel MPI", mpich / "bin/mpicc", impi / "bin/mpiexec.hydra", [], [], genv, intel),
        ]
    # Each host believes that it has all cores for itself: where it does not, Open MPI needs to be told to yield, too.
    ofi = {"MPIR_CVAR_CH4_NETMOD": "ofi", "FI_PROVIDER": "tcp"}
    return [
        Library("Open MPI", openmpi / "bin/mpicc", openmpi / "bin/mpirun", [], ["--mca", "mpi_yield_when_idle", "1"],
                ["-x", f"LD_PRELOAD={PRELOAD}"], root, "openmpi5"),
        Library("MPICH", mpich / "bin/mpicc", mpich / "bin/mpiexec", [], yields, genv, {"MPIR_CVAR_CH4_NETMOD": "ucx"}, "mpich5"),
        Library("MPICH OFI", mpich / "bin/mpicc", mpich / "bin/mpiexec", [], yields, genv, ofi, "mpich5"),
        Library("Intel MPI", mpich / "bin/mpicc", impi / "bin/mpiexec.hydra", [], [], genv,
                {**intel, "I_MPI_ROOT": str(impi), "FI_PROVIDER": "tcp"}, "impi"),
    ]


class OneHost:
    """Starts jobs here."""

    def __init__(self, ranks):
        self.ranks = ranks

    def command(self, library, preloaded, program):
        return [*library.command(self.ranks, preloaded), *program]

    def floors(self):
        return None


class Hosts:
    """Starts jobs on the hosts that inside_hosts() has made."""

    jobs = count()
    # Hosts share this machine's cores, which no launcher can know: ranks take them in turn, whatever starts them.
    pin = ["sh", "-c", f'exec taskset -c $((${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}} % {len(os.sched_getaffinity(0))})) "$@"', "pin"]

    def __init__(self, hosts, ranks_per_host):
        self.ranks, self.layout = hosts * ranks_per_host, ",".join([str(ranks_per_host)] * hosts)
        self.place = Path(os.environ.get("hosts_work", ""))

    def command(self, library, preloaded, program):
        flags = library.command(self.ranks, preloaded)[1:]
        at = flags.index("-n")  # the launcher is told by hosts.sh how many ranks there are
        flags = flags[:at] + flags[at + 2:]
        meeting = self.place / "memory" / f"job{next(self.jobs)}"
        return ["bash", "-c", f'. "{HOSTS}"; launch "$@"', "launch", library.kind, library.launcher, self.layout, *flags, *self.pin,
                *program, "--file", meeting]

    def floors(self):
        on, address = self.place / "on", os.environ["hosts_subnet"] + ".1"
        with subprocess.Popen([on, "h1", FLOORS, address]):
            job = subprocess.run([on, "h2", FLOORS, address, "connect"], capture_output=True, text=True, check=True)
        return json.loads(job.stdout)


def inside_hosts(options):
    """Makes the hosts and starts this program anew beside them."""
    script = f'''. "{HOSTS}"
        hosts=$1 congestion=$2
        shift 2
        hosts_or_skip
        make_hosts "$hosts"
        mkdir "$work/memory" && mount -t tmpfs tmpfs "$work/memory"  # for ranks to meet in
        trap 'umount "$work/memory"; remove_hosts' EXIT
        for ((i = 1; i <= hosts; i++)); do
          [ -z "$congestion" ] || ip netns exec "$tag-h$i" sysctl -qw "net.ipv4.tcp_congestion_control=$congestion" || exit 1
        done
        "$@"'''
    os.execvp("bash", ["bash", "-c", script, "hosts", str(options.hosts), options.congestion or "", sys.executable, *sys.argv])


def measure(site, contender, collective, place, caches, options):
    library, program, preloaded = contender
    words = {"min-bytes": options.min_bytes, "max-bytes": options.max_bytes, "milliseconds": options.milliseconds,
             "factor": options.factor, "memory": options.memory, "place": place, "caches": caches, "cold-bytes": options.cold_bytes}
    command = site.command(library, preloaded, [program, collective, *(f"--{name}={value}" for name, value in words.items())])
    job = subprocess.run([str(c) for c in command], env={**os.environ, **library.env}, capture_output=True, text=True)
    rows = [json.loads(line) for line in job.stdout.splitlines() if line.startswith("{")]
    if job.returncode != 0 or not rows:
        sys.exit(f"{' '.join(map(str, command))}\nended with {job.returncode}:\n{job.stdout[-2000:]}{job.stderr[-2000:]}")
    return rows


def contenders(options):
    chosen = [library for library in libraries(options.hosts) if not options.libraries or library.name in options.libraries]
    # What tutti does does not depend on how MPICH would reach the network.
    inside = [(library, program, preloaded) for library in chosen for program in [library.build()]
              for preloaded in (False, True) if not (preloaded and library.name == "MPICH OFI")]
    openmpi = libraries(options.hosts)[0]
    direct = Library(CPLUSPLUS, None, openmpi.launcher, openmpi.alone, openmpi.shared, [], openmpi.env, openmpi.kind)
    return [*inside, (direct, DIRECT, True)]


def run(options):
    """The rows of all jobs, and the floors of all rounds."""
    rows, floors, everyone = [], [], contenders(options)
    for site, collective in product(options.sites, options.collectives):
        places = [place for place in options.place if not (place == "in_place" and collective in NEVER_IN_PLACE)]
        jobs = list(product(everyone, places, options.caches))
        for number in range(options.rounds):
            print(f"{collective}, {site.ranks} ranks: round {number + 1} of {options.rounds}", file=sys.stderr)
            floors += filter(None, [site.floors()])
            for contender, place, caches in random.sample(jobs, len(jobs)):
                library, _, preloaded = contender
                for row in measure(site, contender, collective, place, caches, options):
                    rows.append({**row, "library": library.name, "tutti": preloaded, "round": number})
    return rows, floors


def median(rows, what="median_us", **wanted):
    values = [row[what] for row in rows if all(row[key] == value for key, value in wanted.items())]
    return statistics.median(values) if values else None


def summary(rows):
    """For each case and size: all contenders' medians, the best peer's over tutti's, and the exchange of flags in the same jobs."""
    names = sorted({row["library"] for row in rows} - {CPLUSPLUS})
    fields = (*CASE, "bytes")
    lines = []
    for key in sorted({tuple(row[field] for field in fields) for row in rows}):
        wanted = dict(zip(fields, key))
        peers = {name: median(rows, library=name, tutti=False, **wanted) for name in names}
        ours = {name: median(rows, library=name, tutti=True, **wanted) for name in [*names, CPLUSPLUS]}
        inside = [ours[name] for name in names if ours[name]]
        complete = all(peers.values()) and inside
        ratio = min(peers.values()) / min(inside) if complete else None
        lines.append({**wanted, "us": peers, "tutti_us": ours, "ratio": ratio, "flags_us": median(rows, "flags_us", **wanted)})
    return lines


def overview(lines):
    """For each case: the least ratio of all sizes, and the geometric mean."""
    ratios = {}
    for line in lines:
        if line["ratio"]:
            ratios.setdefault(tuple(line[field] for field in CASE), []).append(line["ratio"])
    return {key: (min(values), statistics.geometric_mean(values)) for key, values in ratios.items()}


def interposer(rows):
    """What calls of up to a kilobyte cost more in each MPI library with tutti than from C++, in nanoseconds: median, and middle half."""
    small = [row for row in rows if row["tutti"] and row["bytes"] <= 1024]
    key = lambda row: tuple(row[field] for field in (*CASE, "bytes", "round"))
    direct = {key(row): row["median_us"] for row in small if row["library"] == CPLUSPLUS}
    costs = {}
    for row in small:
        if row["library"] != CPLUSPLUS:
            costs.setdefault(row["library"], []).append(1000 * (row["median_us"] - direct[key(row)]))
    return {name: statistics.quantiles(ns, n=4) for name, ns in sorted(costs.items()) if len(ns) > 1}


def contender(name):
    return "tutti from C++" if name == CPLUSPLUS else f"tutti in {name}"


def table(lines):
    names = list(lines[0]["us"])
    show = lambda value: f"{value:.2f}" if value else "-"
    cells = [[*CASE, "bytes", "flags", *names, *map(contender, lines[0]["tutti_us"]), "best peer / tutti"]]
    for line in lines:
        times = [line["flags_us"], *line["us"].values(), *line["tutti_us"].values()]
        cells.append([*(str(line[field]) for field in (*CASE, "bytes")), *map(show, times), show(line["ratio"])])
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in cells)


def plot(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    case = lambda row: tuple(row[field] for field in CASE)
    panels = sorted({case(row) for row in rows if row["collective"] != "barrier"})
    figure, axes = plt.subplots(1, len(panels), figsize=(6 * len(panels), 5), squeeze=False)
    for axis, panel in zip(axes[0], panels):
        for name in sorted({row["library"] for row in rows}):
            for tutti in (False, True):
                chosen = [row for row in rows if (case(row), row["library"], row["tutti"]) == (panel, name, tutti)]
                sizes = sorted({row["bytes"] for row in chosen})
                if not sizes:
                    continue
                axis.plot(sizes, [median(chosen, bytes=size) for size in sizes], "-" if tutti else "--", marker="." if tutti else None,
                          label=contender(name) if tutti else name)
        title = "{}, {} ranks, {}, {}".format(*panel).replace("_", " ")
        axis.set(xscale="log", yscale="log", xlabel="bytes that a rank gives", ylabel="microseconds", title=title)
        axis.grid(alpha=0.3)
    axes[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def near_and_far(rows):
    """The rows measured while the cores were near each other, and the others, if there were both."""
    flags = sorted(row["flags_us"] for row in rows)
    low, high = flags[len(flags) // 10], flags[len(flags) * 9 // 10]
    if high < 2.5 * low:  # one state, more or less
        return rows, []
    border = (low * high) ** 0.5
    return [r for r in rows if r["flags_us"] < border], [r for r in rows if r["flags_us"] >= border]


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collectives", nargs="+", choices=COLLECTIVES, default=["allreduce", "allgather"])
    parser.add_argument("--ranks", nargs="+", type=positive, default=[2], help="numbers of ranks (2)")
    parser.add_argument("--hosts", type=positive, help="ranks are on so many hosts, joined by TCP")
    parser.add_argument("--ranks-per-host", nargs="+", type=positive, default=[1], help="with --hosts, instead of --ranks (1)")
    parser.add_argument("--congestion", help="with --hosts: TCP's congestion control, instead of this machine's")
    parser.add_argument("--libraries", nargs="+", help="only these MPI libraries")
    parser.add_argument("--rounds", type=positive, default=5, help="how often each contender runs (5)")
    parser.add_argument("--min-bytes", type=positive, default=8)
    parser.add_argument("--max-bytes", type=positive, default=64 << 20)
    parser.add_argument("--factor", type=positive, default=2, help="from a size to the next (2)")
    parser.add_argument("--milliseconds", type=float, default=10, help="that a job spends on each size, about (10)")
    parser.add_argument("--memory", choices=["malloc", "alloc_mem"], default="malloc",
                        help="where buffers come from; alloc_mem: MPI_Alloc_mem, in C++ tutti::allocate (malloc)")
    parser.add_argument("--place", nargs="+", choices=["out_of_place", "in_place"], default=["out_of_place"],
                        help="in_place: MPI_IN_PLACE, of which bcast and barrier know nothing (out_of_place)")
    parser.add_argument("--caches", nargs="+", choices=["hot", "cold"], default=["hot"],
                        help="hot: all calls use the same buffers; cold: they use many in turn (hot)")
    parser.add_argument("--cold-bytes", type=positive, default=64 << 20,
                        help="with cold caches, each rank's buffers have more than so many bytes together (64 MB)")
    parser.add_argument("--json", type=Path, help="write the tables to this file, too")
    parser.add_argument("--plot", type=Path, help="draw the first table into this PNG file (needs python3-matplotlib)")
    options = parser.parse_args()
    if options.hosts == 1:
        parser.error("--hosts 1: one host is what there is without --hosts")
    if options.plot and importlib.util.find_spec("matplotlib") is None:
        sys.exit("--plot needs matplotlib (Debian's python3-matplotlib, which ./dev bench peers installs)")
    if options.place == ["in_place"] and NEVER_IN_PLACE.issuperset(options.collectives):
        parser.error(f"--place in_place: MPI has no {' or '.join(options.collectives)} in place")
    options.sites = [Hosts(options.hosts, n) for n in options.ranks_per_host] if options.hosts else [OneHost(n) for n in options.ranks]
    return options


def report(tables, floors, options):
    rows = next(iter(tables.values()))
    print("Microseconds, medians; more than 1 in the last column: tutti is faster than the best of the others")
    print("flags: what a bare exchange of flags took in the same jobs")
    if "cold" in options.caches:
        print(f"cold: each rank's calls use buffers of more than {options.cold_bytes} bytes together, in turn")
    if "in_place" in options.place and NEVER_IN_PLACE.intersection(options.collectives):
        print("MPI has no bcast and no barrier in place")
    for heading, chosen in tables.items():
        print(f"\n{heading}\n{table(summary(chosen))}")
    print("\nThe last column over all sizes and rounds: least, geometric mean")
    for (collective, ranks, place, caches), figures in overview(summary(rows)).items():
        print(f"  {collective:<15} {ranks} ranks  {place:<13} {caches:<5}" + "".join(f"{ratio:8.2f}" for ratio in figures))
    if floors:
        print("\nBare TCP sockets between two hosts: least, median, most of the rounds")
        for key in floors[0]:
            values = [floor[key] for floor in floors]
            print(f"  {key:<20}" + "".join(f"{f(values):9.2f}" for f in (min, statistics.median, max)))
        return
    print("\nNanoseconds that a call of up to 1 KB costs more than from C++: lower quartile, median, upper quartile")
    for name, quartiles in interposer(rows).items():
        print(f"  {contender(name):<20}" + "".join(f"{ns:8.0f}" for ns in quartiles))


def main():
    options = parse_options()
    for needed in (PRELOAD, DIRECT, FLOORS):
        if not needed.exists():
            sys.exit(f"{needed} is missing: ./dev build")
    if options.hosts and "hosts_work" not in os.environ:
        inside_hosts(options)
    rows, floors = run(options)
    tables = {"all rounds": rows}
    near, far = near_and_far(rows)
    if far and not options.hosts:
        tables |= {"while the cores were near each other, by the exchange of flags": near, "while they were far apart": far}
    report(tables, floors, options)
    if options.json:
        options.json.write_text(json.dumps({heading: summary(chosen) for heading, chosen in tables.items()}, indent=1) + "\n")
    if options.plot:
        plot(rows, options.plot)


if __name__ == "__main__":
    main()
