#!/usr/bin/env bash
# simulate_test.sh TUTTI: calls in virtual time from the command line, and what is wrong with a question.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"

shows() { expect 0 "$tutti" simulate "${@:2}"; printed "$1"; }
fails() { expect 1 "$tutti" simulate "${@:2}"; said "$1"; }
wrong() { refuses "$1" "$tutti" simulate "${@:2}"; }

echo "== what it tells"
shows "by the cost model" all_reduce --topology "node:4 core:2" --bytes 1M
shows "links that were busy longest" all_gather --ranks 6 --topology core:6
shows "> what the selector chooses" all_to_all --topology "node:4 core:2" --all
"$tutti" simulate all_reduce --topology "node:4 core:2" --json --delay 20 --seed 7 | sed '/"seconds"/d' >"$work/one"
"$tutti" simulate all_reduce --topology "node:4 core:2" --json --delay 20 --seed 7 | sed '/"seconds"/d' >"$work/two"
cmp -s "$work/one" "$work/two" || fail "the same seed gives other times"
python3 -c 'import json, sys; s = json.load(open(sys.argv[1])); assert s["simulated_us"] > 0 and s["busiest"]' "$work/one" || fail "bad JSON"

echo "== files"
shows us all_reduce --topology "node:2 core:2" --svg "$work/a.svg" --trace "$work/a.json"
python3 -c 'import json, sys; assert len(json.load(open(sys.argv[1]))["traceEvents"]) > 8' "$work/a.json" || fail "bad trace"
python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$work/a.svg" || fail "bad drawing"
fails "no-such-folder" all_reduce --ranks 2 --trace "$work/no-such-folder/a.json"
wrong "a drawing has at most 64" all_reduce --topology "node:65 core:1" --svg "$work/b.svg"
wrong "show one algorithm" all_reduce --ranks 2 --all --svg "$work/b.svg"

wrong "nothing that a host's switch could combine" all_reduce --topology "node:4 core:1" --in-switch 310 --all
wrong "an order of its own" all_reduce --topology core:8 --in-switch 310 --all --order size_free

echo "== what a job has measured"
TUTTI_CALIBRATE=1 run_ranks "0 0" 2 "$tutti" explain all_reduce --json
cp "$work/out.0" "$work/measured.json"
shows "2 cores: " all_reduce --ranks 2 --topology core:2 --measured "$work/measured.json" --bytes 4M
wrong "this machine has 2" all_reduce --topology "node:2 core:2" --measured "$work/measured.json"
"$tutti" explain all_reduce --ranks 2 --topology core:2 --json >"$work/estimates.json"
wrong "was not measured" all_reduce --ranks 2 --topology core:2 --measured "$work/estimates.json"
wrong "no JSON object" all_reduce --ranks 2 --measured "$0"
wrong "no-such-file" all_reduce --ranks 2 --measured "$work/no-such-file"

echo "== lost ranks"
fails "some ranks never end" all_reduce --topology "node:4 core:1" --lost 2=0
printed "the call never ends: 4 of 4 ranks" "rank 2 is lost" "rank 0 waits for rank"
fails "some ranks never end" all_reduce --topology "node:4 core:1" --lost 2=0 --all
printed "never"

echo "== switches that reduce"
shows "in_switch" all_reduce --topology "node:2 core:4" --bytes 1M --in-switch 50 --all
shows "in_switch, 3 pieces" all_reduce --topology core:4 --bytes 1M --in-switch 50 --algorithm in_switch/pieces=3
shows us all_reduce --topology core:4 --bytes 1M --in-switch 50 --algorithm in_switch --svg "$work/switch.svg"
grep -q "switch 0" "$work/switch.svg" || fail "the drawing has no switch"
fails "some ranks never end" all_reduce --topology core:4 --in-switch 50 --algorithm in_switch --lost 3=0
printed "rank 0 waits for switch 0"
wrong "say how fast the switches are" all_reduce --topology core:4 --algorithm in_switch
wrong "only all_reduce" broadcast --topology core:4 --in-switch 50
wrong "not in range" all_reduce --topology core:4 --in-switch 0
wrong "same number of ranks" all_reduce --topology "node:2 core:4" --ranks 7 --in-switch 50

echo "== how far it is"
expect 0 "$tutti" simulate all_reduce --topology "node:16 core:8" --bytes 64M --algorithm hierarchical --progress
said "of virtual time"

echo "== beside published times"
expect 0 python3 "$(dirname "$0")/../../bench/validate.py" --tutti "$tutti" --only GB200
printed "2 of 2 winners predicted"

echo "== bad questions"
wrong "which collective?" --ranks 2
wrong "is not a collective" gossip
wrong "ranks 0 to 3" all_reduce --topology "node:4 core:1" --lost 4=1
wrong "RANK=NUMBER" all_reduce --topology "node:4 core:1" --slow-rank 1
wrong "not a number" all_reduce --topology "node:4 core:1" --slow-link 1=fast
wrong "must be between" all_reduce --topology "node:4 core:1" --slow-link 1=0
wrong "--eager" all_reduce --ranks 2 --eager lots
wrong "--bytes" all_reduce --ranks 2 --bytes -1
wrong "not in range" all_reduce --ranks 0
fails "--memory allows 1M" all_reduce --topology "node:256 core:8" --algorithm ring --memory 1M
fails "53 days" broadcast --topology "node:2 core:1 net=0.000001GB/s" --bytes 1T --algorithm knomial
finish
