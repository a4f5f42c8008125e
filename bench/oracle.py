#!/usr/bin/env python3
"""How good are the choices? Measures every way to do each call, and compares what the library chooses with the best of them.

  bench/oracle.py TUTTI --ranks 2,4,8 [--hosts H] [--seconds S] [--max-bytes B] [COLLECTIVE...]

For each number of ranks: `tutti tune` measures the usual candidates and keeps them; then `tutti tune --every-variant` measures all
variants of all algorithms, in turns, size by size. That second run is the oracle: the fastest variant of each size, and what the
choice of the model, of the tuning, and of any one algorithm costs there. Ratios are to the oracle; 1 is as good as can be. With
--hosts H the ranks are spread over hosts made out of network namespaces (as root)."""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

HOSTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "end_to_end", "hosts.sh")


def start(args, ranks, command, tuning):
    env = dict(os.environ, TUTTI_TUNING=tuning, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    if args.hosts == 1:
        call = ["mpirun", "--oversubscribe", "-np", str(ranks)] + (["--bind-to", "core"] if ranks <= os.cpu_count() else ["--bind-to", "none"])
        subprocess.run(call + command, env=env, check=True, stdout=subprocess.DEVNULL)
        return
    layout = ",".join([str(ranks // args.hosts)] * args.hosts)
    script = f'. "{HOSTS}"; hosts_or_skip; make_hosts {args.hosts}; launch openmpi mpirun.openmpi {layout} "$@"'
    env["launch_limit"] = "3600"
    subprocess.run(["bash", "-c", script, "hosts", *command], env=env, check=True, stdout=subprocess.DEVNULL)


def tune(args, ranks, options, tuning):
    with tempfile.TemporaryDirectory() as folder:
        command = [os.path.abspath(args.tutti), "tune", *args.collectives, "--max-bytes", args.max_bytes, "--factor", str(args.factor),
                   "--output", f"{folder}/kept.json", "--json", f"{folder}/all.json", *options]
        start(args, ranks, command, tuning)
        with open(f"{folder}/all.json", encoding="utf-8") as file:
            return json.load(file)["sizes"]


def mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def best_fixed(sizes):
    """The one algorithm with the least mean ratio among those that serve all sizes, and its ratios."""
    times = [{} for _ in sizes]
    for row, size in zip(times, sizes):
        for variant in size["variants"]:
            name = variant["algorithm"]
            row[name] = min(row.get(name, math.inf), variant["us"])
    everywhere = set.intersection(*(set(row) for row in times))
    ratios = {name: [row[name] / size["variants"][0]["us"] for row, size in zip(times, sizes)] for name in everywhere}
    return min(ratios.items(), key=lambda item: mean(item[1]))


def compare(tuned, oracle, show):
    """Ratios to the oracle of the model's choice and of the tuned one, by collective."""
    chosen = {(s["collective"], s["bytes"]): s["by_measurement"] for s in tuned}
    by_collective = {}
    for size in oracle:
        times = {v["variant"]: v["us"] for v in size["variants"]}
        best = size["variants"][0]
        kept = chosen[size["collective"], size["bytes"]]
        row = by_collective.setdefault(size["collective"], {"sizes": [], "model": [], "tuned": []})
        row["sizes"].append(size)
        row["model"].append(times[size["by_model"]] / best["us"])
        row["tuned"].append(times[kept] / best["us"])
        if show:
            print(f"  {size['collective']:<15} {size['bytes']:>10}  {best['variant']:<30} {best['us']:>11.2f}  "
                  f"{size['by_model']:<30} {row['model'][-1]:>6.2f}  {kept:<30} {row['tuned'][-1]:>6.2f}")
    return by_collective


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tutti")
    parser.add_argument("collectives", nargs="*", default=["all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "all_to_all"])
    parser.add_argument("--ranks", default="2,4,8")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="of the tuning; the oracle has four times as long")
    parser.add_argument("--max-bytes", default="4M")
    parser.add_argument("--factor", type=float, default=4)
    args = parser.parse_intermixed_args()
    everything = {"model": [], "tuned": []}
    for ranks in map(int, args.ranks.split(",")):
        tuned = tune(args, ranks, ["--seconds", str(args.seconds)], "off")
        oracle = tune(args, ranks, ["--seconds", str(4 * args.seconds), "--every-variant"], "off")
        print(f"{ranks} ranks on {args.hosts} host{'s' if args.hosts > 1 else ''}")
        print(f"  {'collective':<15} {'bytes':>10}  {'the fastest':<30} {'us':>11}  {'by the model':<30} {'ratio':>6}  {'tuned':<30} {'ratio':>6}")
        by_collective = compare(tuned, oracle, True)
        print(f"\n  {'mean and worst':<15} {'model':>13} {'tuned':>13}   {'best fixed algorithm':<24} {'':>13}")
        for collective, row in by_collective.items():
            name, fixed = best_fixed(row["sizes"])
            print(f"  {collective:<15} {mean(row['model']):>6.3f} {max(row['model']):>6.2f} {mean(row['tuned']):>6.3f} "
                  f"{max(row['tuned']):>6.2f}   {name:<24} {mean(fixed):>6.3f} {max(fixed):>6.2f}")
            for kind in everything:
                everything[kind] += row[kind]
        print(flush=True)
    for kind, ratios in everything.items():
        print(f"all together, {kind}: mean {mean(ratios):.3f}, worst {max(ratios):.2f}, {sum(r <= 1.05 for r in ratios)} of {len(ratios)} within 5 %")


if __name__ == "__main__":
    sys.exit(main())
