#!/usr/bin/env python3
"""What `tutti simulate` predicts beside what others have measured and published (bench/published.json, which names the sources).

Each machine is described as for any other simulation; latencies and rates of its links are those that fit the rows marked *, all other rows are
predicted with them. A machine has two parameters per kind of link: latency of a message, bandwidth; switches that reduce have their own two.
Sweeps over sizes are fitted at 2 MiB, 32 MiB, 512 MiB and 8 GiB, whatever comes out there. What runs are tutti's schedules: ring for the ring,
multi_ring for rings through all adapters, both in two pieces (NCCL's chunks have two slices), packed_trees for trees, the simulator's in_switch
for NVLS and NVLSTree. Where a source does not say which algorithm ran, it is the one that fits the rows marked * best. Figures whose source does
not describe the machine are left out.

    ./bench/record.sh validate ./dev bench validate
"""

import argparse
import itertools
import json
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = ROOT / "bench/published.json"
LARGE = 10**6
# What GPUs combine and copy (bytes of the result), as tutti estimates it for described machines; of processors likewise.
CORES = {True: (530, 800), False: (10, 20)}
GOAL = 0.10


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="systems whose name holds this")
    parser.add_argument("--tutti", default=ROOT / "build/release/bin/tutti", type=Path, help="the program (build/release/bin/tutti)")
    return parser.parse_args()


class Simulator:
    """Runs of the simulator, each once."""

    def __init__(self, tutti, folder):
        self.tutti = tutti
        self.measured = Path(folder) / "measured.json"
        self.known = {}

    def us(self, series, ranks, size, algorithm, parameters):
        links = [(parameters[f"{link}_us"], parameters[f"{link}_gbps"]) for link in series["links"]]
        command = [self.tutti, "simulate", series.get("collective", "all_reduce"), "--topology", series["topology"], "--ranks", ranks,
                   "--bytes", size, "--algorithm", algorithm, "--measured", self.measured, "--json"]
        if algorithm.startswith("in_switch"):
            command += ["--in-switch", parameters["switch_gbps"], "--in-switch-latency", parameters["switch_us"]]
        key = (tuple(map(str, command)), tuple(links))
        if key not in self.known:
            reduce, copy = CORES["gpu" in series["topology"] or "dgx" in series["topology"]]
            self.measured.write_text(json.dumps({"reduce_gbps": reduce, "copy_gbps": copy, "links": [
                {"origin": "measured", "latency_us": us, "bandwidth_gbps": gbps} for us, gbps in links]}))
            job = subprocess.run(key[0], capture_output=True, text=True)
            if job.returncode != 0:
                sys.exit(f"{' '.join(key[0])}: {job.stderr}")
            self.known[key] = json.loads(job.stdout)["simulated_us"]
        return self.known[key]


def factor(series, ranks):
    """Of the bandwidth that a bus would have, as nccl-tests defines it, over bytes per time."""
    return (2 if series.get("collective", "all_reduce") == "all_reduce" else 1) * (ranks - 1) / ranks


def in_us(series, ranks, size, value):
    return value if series["unit"] == "us" else factor(series, ranks) * size / value / 1e3


def is_fitted(series, row):
    return row[1] in series.get("fitted_bytes", []) and row[0] in series.get("fitted_ranks", [row[0]])


def descend(error, start):
    """Least error, by steps along one parameter at a time that become smaller; parameters are positive."""
    at, least, step = dict(start), error(start), 0.5
    while step > 1e-3:
        moved = False
        for name, sign in itertools.product(start, (1, -1)):
            there = {**at, name: at[name] * math.exp(sign * step)}
            if (found := error(there)) < least:
                at, least, moved = there, found, True
        step = step if moved else step / 2
    return at, least


def fit(simulator, series, parameters):
    """Parameters and algorithm that suit the marked rows best."""
    rows = [row for row in series["rows"] if is_fitted(series, row)]
    best = None
    for algorithm in series["algorithms"]:
        def error(trial):
            return sum(math.log(simulator.us(series, ranks, size, algorithm, {**parameters, **trial}) / in_us(series, ranks, size, value))**2
                       for ranks, size, value in rows)
        found, least = descend(error, {name: parameters[name] for name in series.get("fits", [])}) if rows else ({}, 0)
        if best is None or least < best[0]:
            best = (least, {**parameters, **found}, algorithm)
    return best[1], best[2]


def show_series(simulator, series, parameters, algorithm):
    """Prints the rows; returns (row, measured us, predicted us) of each."""
    unit = "us" if series["unit"] == "us" else "GB/s"
    print(f"\n  {series.get('collective', 'all_reduce')}, {series['title']}: {algorithm}"
          f"{' (chosen by the marked rows)' if len(series['algorithms']) > 1 else ''}\n    source: {series['source']}")
    if series.get("fits"):
        print("    fitted: " + ", ".join(f"{name} {parameters[name]:.4g}" for name in series["fits"]))
    print(f"    {'ranks':>5} {'bytes':>12} {'measured':>12} {'predicted':>12} {'':<4} predicted / measured time")
    found = []
    for row in series["rows"]:
        ranks, size, value = row
        predicted, measured = simulator.us(series, ranks, size, algorithm, parameters), in_us(series, ranks, size, value)
        shown = predicted if unit == "us" else factor(series, ranks) * size / predicted / 1e3
        mark = " *" if is_fitted(series, row) else ""
        print(f"    {ranks:>5} {size:>12} {value:>12.2f} {shown:>12.2f} {unit:<4} {predicted / measured:>9.2f}{mark}", flush=True)
        found.append((row, measured, predicted))
    large = errors_of(series, found)
    if large:
        print(f"    {len(large)} predicted rows above 1 MB: median error {100 * statistics.median(large):.1f} %, largest {100 * max(large):.0f} %")
    return found


def errors_of(series, found):
    return [abs(predicted / measured - 1) for row, measured, predicted in found if row[1] > LARGE and not is_fitted(series, row)]


def compare_winners(results):
    """Of rows that differ in the algorithm only, and are not all fitted: who is faster, measured and predicted. Returns how many agree, and of
    how many."""
    calls = {}
    for series, found in results:
        for row, measured, predicted in found:
            if series["kind"] != "unknown":
                call = (series.get("collective", "all_reduce"), series["topology"], row[0], row[1])
                calls.setdefault(call, {})[series["kind"]] = (measured, predicted, is_fitted(series, row))
    agree = total = 0
    for (_, _, ranks, size), kinds in calls.items():
        if len(kinds) < 2 or all(fitted for _, _, fitted in kinds.values()):
            continue
        measured, predicted = (min(kinds, key=lambda kind: kinds[kind][i]) for i in (0, 1))
        times = ", ".join(f"{kind} {kinds[kind][0]:.0f} us ({kinds[kind][1]:.0f})" for kind in kinds)
        total += 1
        agree += measured == predicted
        print(f"  {ranks} ranks, {size} bytes: {times}: {measured}{' as predicted' if measured == predicted else f', predicted {predicted}'}")
    return agree, total


def main():
    options = parse_options()
    print(__doc__.split("\n\n    ./bench")[0])
    everything, comparisons, summary = [], [0, 0], []
    with tempfile.TemporaryDirectory() as folder:
        simulator = Simulator(options.tutti, folder)
        for system in json.loads(PUBLISHED.read_text()):
            if options.only not in system["system"]:
                continue
            print(f"\n{system['system']}")
            if "note" in system:
                print(f"  {system['note']}")
            parameters, results = dict(system["start"]), []
            for series in system["series"]:
                parameters, algorithm = fit(simulator, series, parameters)
                results.append((series, show_series(simulator, series, parameters, algorithm)))
            errors = [error for series, found in results for error in errors_of(series, found)]
            everything += errors
            summary.append((system["system"], errors))
            agree, total = compare_winners(results)
            comparisons = [comparisons[0] + agree, comparisons[1] + total]
    print(f"\n{'predicted rows above 1 MB':<70}{'rows':>5}{'median error':>14}{'within 10 %':>13}{'largest':>9}")
    for name, errors in [*summary, ("all", everything)]:
        if errors:
            print(f"{name:<70}{len(errors):>5}{100 * statistics.median(errors):>12.1f} %{sum(e <= GOAL for e in errors):>10} of {len(errors):<3}"
                  f"{100 * max(errors):>6.0f} %")
    print(f"ring, tree or switch, where a source compares them: {comparisons[0]} of {comparisons[1]} winners predicted")


if __name__ == "__main__":
    main()
