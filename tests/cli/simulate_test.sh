#!/usr/bin/env bash
# simulate_test.sh TUTTI: calls in virtual time from the command line, and what is wrong with a question.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"

# says STATUS TEXT COMMAND...: ends so, and says that
says() {
  local status=0 wanted=$1 text=$2
  shift 2
  "$@" >"$work/out" 2>"$work/err" || status=$?
  [[ $status == "$wanted" ]] || { fail "$* ended with $status, not $wanted:"; tail -n 5 "$work/out" "$work/err"; }
  grep -qF -- "$text" "$work/out" "$work/err" || { fail "$* does not say '$text':"; tail -n 5 "$work/out" "$work/err"; }
}
simulate() { says "$1" "$2" "$tutti" simulate "${@:3}"; }

echo "== what it tells"
simulate 0 "by the cost model" all_reduce --topology "node:4 core:2" --bytes 1M
simulate 0 "links that were busy longest" all_gather --ranks 6 --topology core:6
simulate 0 "> what the selector chooses" all_to_all --topology "node:4 core:2" --all
"$tutti" simulate all_reduce --topology "node:4 core:2" --json --delay 20 --seed 7 | sed '/"seconds"/d' >"$work/one"
"$tutti" simulate all_reduce --topology "node:4 core:2" --json --delay 20 --seed 7 | sed '/"seconds"/d' >"$work/two"
cmp -s "$work/one" "$work/two" || fail "the same seed gives other times"
python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); assert s["simulated_us"] > 0 and s["busiest"]' "$work/one" || fail "bad JSON"

echo "== files"
simulate 0 us all_reduce --topology "node:2 core:2" --svg "$work/a.svg" --trace "$work/a.json"
python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))["traceEvents"]) > 8' "$work/a.json" || fail "bad trace"
python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$work/a.svg" || fail "bad drawing"
simulate 1 "no-such-folder" all_reduce --ranks 2 --trace "$work/no-such-folder/a.json"
simulate 2 "a drawing has at most 64" all_reduce --topology "node:65 core:1" --svg "$work/b.svg"
simulate 2 "show one algorithm" all_reduce --ranks 2 --all --svg "$work/b.svg"

echo "== lost ranks"
simulate 1 "the call never ends: 4 of 4 ranks" all_reduce --topology "node:4 core:1" --lost 2=0
simulate 1 "rank 2 is lost" all_reduce --topology "node:4 core:1" --lost 2=0

echo "== bad questions"
simulate 2 "which collective?" --ranks 2
simulate 2 "is not a collective" gossip
simulate 2 "ranks 0 to 3" all_reduce --topology "node:4 core:1" --lost 4=1
simulate 2 "RANK=NUMBER" all_reduce --topology "node:4 core:1" --slow-rank 1
simulate 2 "not a number" all_reduce --topology "node:4 core:1" --slow-link 1=fast
simulate 2 "must be between" all_reduce --topology "node:4 core:1" --slow-link 1=0
simulate 2 "--eager" all_reduce --ranks 2 --eager lots
simulate 2 "--bytes" all_reduce --ranks 2 --bytes -1
simulate 2 "not in range" all_reduce --ranks 0
simulate 1 "--memory allows 1M" all_reduce --topology "node:256 core:8" --algorithm ring --memory 1M
simulate 1 "53 days" broadcast --topology "node:2 core:1 net=0.000001GB/s" --bytes 1T --algorithm knomial
finish
