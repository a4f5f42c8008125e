#!/usr/bin/env bash
# contract_test.sh TUTTI: what reductions promise about their bits, from the command line.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"

shows() { expect 0 "$tutti" "${@:2}"; printed "$1"; }
wrong() { refuses "$1" "$tutti" "${@:2}"; }
machine=(--topology "node:2 core:4")

echo "== what is chosen, and why not the others"
shows "bits: same_layout: the same bits in every run with this layout" explain all_reduce "${machine[@]}"
shows "ring                      refused: combines ranks in an order of its own" explain all_reduce "${machine[@]}" --order placement_free
shows "> hierarchical_two_shot" explain all_reduce "${machine[@]}" --order placement_free --bytes 16M
shows "refused: rounds, or adds up, in several steps" explain all_reduce "${machine[@]}" --order size_free
shows "accumulated in f64" explain reduce_scatter "${machine[@]}" --order fast --accumulate f64
shows '"order": "placement_free"' explain all_reduce --ranks 4 --order placement_free --json
TUTTI_ORDER=placement_free shows "bits: placement_free" explain all_reduce "${machine[@]}"
expect 0 "$tutti" explain all_gather "${machine[@]}" --order size_free
grep -q "bits:" "$work/out" && fail "an all_gather promises something about sums"

echo "== what the table and the verifier say"
"$tutti" algorithms all_reduce --json >"$work/rows"
python3 - "$work/rows" <<'END' || fail "the table's column is wrong"
import json, sys
order = {row["name"]: row["order"] for row in json.load(open(sys.argv[1]))}
assert order["two_shot"] == "at once" and order["recursive_doubling"] == "canonical" and order["ring"] == "own", order
END
"$tutti" schedule all_reduce --ranks 4 --algorithm ring >"$work/ring"
shows "combined in an order of its own" verify "$work/ring"
"$tutti" schedule all_reduce --ranks 4 --algorithm recursive_doubling/radix=2 >"$work/doubling"
shows "combined in the canonical tree" verify "$work/doubling"

echo "== calls"
for order in fast same_layout placement_free size_free; do
  run_ranks "0 0 0" 3 "$tutti" perf all --max-bytes 64K --factor 64 --iterations 2 --order $order
done
run_ranks "0 0 0" 3 "$tutti" perf all_reduce --max-bytes 64K --factor 64 --iterations 2 --accumulate f64
run_ranks "0 0 0" 3 "$tutti" perf all_reduce --max-bytes 64K --factor 64 --iterations 2 --type bf16 --order size_free --op avg

run_ranks "0 0 0 0" 4 "$tutti" explain all_reduce --order placement_free
grep -q "bits: placement_free" "$work/out.0" && grep -q "ring .*refused: combines" "$work/out.0" || fail "a job explains another order: $(cat "$work/out.0")"

echo "== what cannot be"
run_ranks "2 0 0" 3 "$tutti" explain all_reduce --order size_free --algorithm ring
wrong "--order" explain all_reduce --order exact
wrong "--accumulate" perf all_reduce --accumulate f16
wrong "cannot be size_free" explain reduce --ranks 4 --order size_free --ordered
expect 2 "$tutti" explain all_reduce --ranks 5 --order size_free --filter ring
said "no algorithm can serve all_reduce (size_free" "could be had by ring in" "us"
run_ranks "2 2 2" 3 "$tutti" perf all_reduce --op prod --order size_free
grep -q "only sums and means can be exact" "$work"/err.0 || fail "no reason: $(cat "$work/err.0")"
TUTTI_ORDER=exact expect 2 "$tutti" perf all_reduce
said TUTTI_ORDER placement_free
finish
