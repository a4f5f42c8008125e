#!/usr/bin/env bash
# custom_test.sh TUTTI EXAMPLES PLUGINS SOURCES: algorithms of one's own, as schedules and as plugins, forced, filtered, run and refused.
set -u
tutti=$1 examples=$2 plugins=$3 sources=$4
. "$(dirname "$0")/common.sh"
export TUTTI_TIMEOUT=60
python() { python3 - "$@" || fail "'$what': see above"; }
own() { env TUTTI_SCHEDULES="$schedules" "$@"; }
schedules=$work/ring.txt

echo "== printed under another name, proved, priced"
expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 4 --name mine
cp "$work/out" "$work/ring.txt"
grep -q "^schedule all_reduce mine rank 3 of 4" "$work/ring.txt" || fail "it has not been renamed"
expect 0 "$tutti" verify "$work/ring.txt"
printed "all_reduce mine of 4 ranks is right"
expect 0 "$tutti" explain all_reduce --bytes 1M --ranks 4 --topology "core:4" --schedules "$work/ring.txt"
printed "  mine " "from $work/ring.txt"
expect 0 own "$tutti" explain all_reduce --bytes 1M --ranks 4 --topology "core:4" --algorithm mine
printed "> mine " "because it was forced by --algorithm"
expect 0 "$tutti" explain all_reduce --ranks 5 --topology "core:8" --schedules "$work/ring.txt"
printed "refused: its schedules are for 4 ranks; there are 5"
expect 0 "$tutti" explain all_reduce --bytes 1M --ranks 4 --topology "core:4" --schedules "$work/ring.txt" --json
what="JSON of mine" python "$work/out" <<'END'
import json, sys
c = {c["algorithm"]: c for c in json.load(open(sys.argv[1]))["candidates"]}
assert c["mine"]["origin"].endswith("ring.txt") and "origin" not in c["ring"], c["mine"]
assert c["mine"]["rounds"] == c["ring"]["rounds"], c
END
expect 0 "$tutti" algorithms all_reduce --ranks 4 --schedules "$work/ring.txt"
printed "  mine "
expect 0 "$tutti" algorithms show mine --ranks 4 --schedules "$work/ring.txt"
printed "schedule all_reduce mine rank 0 of 4"
expect 0 "$tutti" schedule all_reduce --algorithm mine --ranks 4 --topology core:4 --in-place --schedules "$work/ring.txt"
cp "$work/out" "$work/in_place.txt"
expect 0 "$tutti" verify "$work/in_place.txt"

echo "== run by name, in every type of call"
run_ranks "0 0 0 0" 4 "$tutti" perf all_reduce --max-bytes 64K --iterations 2 --warmup 1 --schedules "$work/ring.txt" --algorithm mine
grep -q " mine" "$work/out.0" || fail "mine was not run: $(cat "$work/out.0")"
export TUTTI_SCHEDULES=$work/ring.txt
run_ranks "0 0 0 0" 4 env TUTTI_ALGORITHM=all_reduce:mine "$tutti" perf all --max-bytes 4K --iterations 1 --warmup 0
run_ranks "0 0 0 0" 4 env TUTTI_ALGORITHM=mine "$tutti" explain all_reduce --bytes 1K
grep -q "chosen: mine, because it was forced by TUTTI_ALGORITHM" "$work/out.0" || fail "explain says: $(cat "$work/out.0")"
run_ranks "2 2 2 2 2" 5 "$tutti" perf all_reduce --max-bytes 1K --algorithm mine
rank_said 0 "all_reduce cannot be done by mine: its schedules are for 4 ranks; there are 5"
one_error_each
run_ranks "0 0 0 0 0" 5 "$tutti" perf all_reduce --max-bytes 1K --iterations 1
unset TUTTI_SCHEDULES

echo "== the examples"
cp "$sources/examples/custom_schedule.txt" "$work/star.txt"
expect 0 "$tutti" verify "$work/star.txt"
run_ranks "0 0 0" 3 env TUTTI_SCHEDULES="$work/star.txt" "$tutti" perf all_reduce --max-bytes 4K --iterations 1 --algorithm star
for ranks in 2 3 4 5; do
  run_ranks "$(yes 0 | head -$ranks | xargs)" $ranks env TUTTI_PLUGINS="$examples/libcustom_algorithm.so" "$tutti" perf all_gather \
    --max-bytes 4K --iterations 1 --algorithm both_ways
  grep -q both_ways "$work/out.0" || fail "both_ways was not run"
done
expect 0 "$tutti" verify --plugins "$examples/libcustom_algorithm.so" --algorithm both_ways --ranks 7,9
printed "both_ways" " 7,9 " "1 of 1 algorithms proved"
expect 0 "$tutti" algorithms all_gather --ranks 8 --plugins "$examples/libcustom_algorithm.so"
printed "both_ways                    4"

echo "== forced with parameters"
expect 0 "$tutti" explain broadcast --ranks 9 --topology "core:16" --algorithm knomial/radix=3
printed "> knomial, radix 3 "
expect 0 "$tutti" explain all_reduce --ranks 4 --topology "core:4" --algorithm ring/pieces=5
printed "> ring                           5 "
expect 0 "$tutti" schedule all_reduce --ranks 4 --topology "core:4" --algorithm ring/pieces=2
cp "$work/out" "$work/pieces.txt"
expect 0 "$tutti" schedule all_reduce --ranks 4 --topology "core:4" --algorithm ring --pieces 2
cmp -s "$work/out" "$work/pieces.txt" || fail "ring/pieces=2 is not ring --pieces 2"
expect 0 "$tutti" schedule broadcast --ranks 9 --topology "core:16" --radix 3
said ", radix 3 in"
run_ranks "0 0 0" 3 "$tutti" perf broadcast --max-bytes 1K --iterations 1 --algorithm knomial/radix=3
run_ranks "0 0 0" 3 env TUTTI_ALGORITHM=all_reduce:ring/pieces=3 "$tutti" explain all_reduce --bytes 1K
grep -q "> ring  *3 " "$work/out.0" || fail "three pieces were not forced: $(cat "$work/out.0")"
explain=("$tutti" explain all_reduce --ranks 4 --topology core:4)
refuses "all_reduce cannot be done by direct/radix=3: has no radix" "${explain[@]}" --algorithm direct/radix=3
refuses "does not cut what it sends into pieces" "${explain[@]}" --algorithm recursive_doubling/pieces=2
refuses "the radix is a number from 2 to 1024" "$tutti" explain broadcast --ranks 4 --algorithm knomial/radix=1
refuses "the number of pieces is a number from 1 to 1024" "${explain[@]}" --algorithm ring/pieces=0
refuses "the number of pieces is a number from 1 to 1024" "${explain[@]}" --algorithm ring/pieces=1025
refuses '"piece=2" is no parameter' "${explain[@]}" --algorithm ring/piece=2
refuses "says twice" "${explain[@]}" --algorithm ring/pieces=2/pieces=3
refuses "no algorithm can serve scan on 4 ranks (recursive_doubling, " "$tutti" schedule scan --ranks 4 --radix 3
said ": has no radix"

echo "== filtered"
expect 0 "${explain[@]}" --bytes 1M --filter "^ring,all_reduce:^direct"
printed "ring                      refused: filtered out by --filter" "direct                    refused: filtered out by --filter" "the least predicted time"
expect 0 "${explain[@]}" --filter "ring,direct"
[[ $(grep -c "refused: filtered out" "$work/out") -gt 5 ]] || fail "others were left"
printed "  chosen: "
expect 0 env TUTTI_ALGORITHM_FILTER=broadcast:chain "${explain[@]}"
! grep -q "filtered out" "$work/out" || fail "all_reduce is filtered by what is said of broadcast"
refuses "no algorithm can serve all_reduce on 4 ranks" "${explain[@]}" --filter hierarchical
said ": filtered out by --filter" "hierarchical: needs a machine with levels"
refuses "filtered out by --filter" "${explain[@]}" --filter "^ring" --algorithm ring
refuses 'there is no algorithm "helical"' "${explain[@]}" --filter "^helical"
refuses 'there is no collective "all_produce"' "${explain[@]}" --filter "all_produce:ring"
run_ranks "0 0 0" 3 env TUTTI_ALGORITHM_FILTER="^direct" "$tutti" explain all_reduce --bytes 8
grep -q "direct  *refused: filtered out by TUTTI_ALGORITHM_FILTER" "$work/out.0" || fail "$(cat "$work/out.0")"
run_ranks "2 2 2" 3 env TUTTI_ALGORITHM_FILTER="all_reduce:hierarchical" "$tutti" perf all_reduce --max-bytes 64
rank_said 1 "no algorithm can serve all_reduce on 3 ranks" ": filtered out by TUTTI_ALGORITHM_FILTER"
run_ranks "2 2 2" 3 env TUTTI_ALGORITHM_FILTER="helical" "$tutti" perf all_reduce --max-bytes 64
rank_said 2 "TUTTI_ALGORITHM_FILTER" 'there is no algorithm "helical"'

echo "== the place nearest to the call decides"
run_ranks "0 0 0" 3 env TUTTI_ALGORITHM=ring TUTTI_ALGORITHM_FILTER=ring "$tutti" explain all_reduce --algorithm direct
grep -q "chosen: direct, because it was forced by the call" "$work/out.0" || fail "$(cat "$work/out.0")"
run_ranks "0 0 0" 3 env TUTTI_ALGORITHM=ring "$tutti" explain all_reduce --filter "^ring"
grep -q "the least predicted time" "$work/out.0" || fail "$(cat "$work/out.0")"
run_ranks "2 2 2" 3 env TUTTI_ALGORITHM=ring TUTTI_ALGORITHM_FILTER=^ring "$tutti" perf all_reduce --max-bytes 64
rank_said 0 "cannot be done by ring: filtered out by TUTTI_ALGORITHM_FILTER" "forced by TUTTI_ALGORITHM"

echo "== bad schedules and libraries, on every rank"
# bad TEXT VARIABLE=FILE...: all three ranks end, and each tells why.
bad() {
  local text=$1 rank
  shift
  run_ranks "2 2 2" 3 env "$@" "$tutti" perf all_reduce --max-bytes 64
  for rank in 0 1 2; do rank_said $rank "$text"; done
}
expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 3 --name mine
cp "$work/out" "$work/three.txt"
bad "cannot open '$work/missing.txt'" TUTTI_SCHEDULES="$work/missing.txt"
bad "is not a regular file" TUTTI_SCHEDULES="$work"
bad "the standard input" TUTTI_SCHEDULES=-
head -20 "$work/three.txt" >"$work/short.txt"
bad "short.txt' line 4: all_reduce mine of 3 ranks" TUTTI_SCHEDULES="$work/short.txt"
sed 's/all_reduce/all_produce/' "$work/three.txt" >"$work/unknown.txt"
bad "unknown.txt' line 4: expected a collective" TUTTI_SCHEDULES="$work/unknown.txt"
cat "$work/three.txt" "$work/three.txt" >"$work/twice.txt"
bad "has a schedule in line 4 already" TUTTI_SCHEDULES="$work/twice.txt"
cp "$work/three.txt" "$work/copy.txt"
bad "copy.txt' line 4: all_reduce mine is in '$work/three.txt' already" TUTTI_SCHEDULES="$work/three.txt,$work/copy.txt"
sed 's/ mine / ring /' "$work/three.txt" >"$work/known.txt"
bad "all_reduce ring is an algorithm of the library" TUTTI_SCHEDULES="$work/known.txt"
cat >"$work/stuck.txt" <<'END'
schedule all_gather stuck rank 0 of 2 chunks 1
copy input[0] -> output[0]
recv 1 -> output[1]
send input[0] -> 1 after 1
schedule all_gather stuck rank 1 of 2 chunks 1
copy input[0] -> output[1]
recv 0 -> output[0]
send input[0] -> 0 after 1
END
bad "stuck.txt' line 1: all_gather stuck of 2 ranks" TUTTI_SCHEDULES="$work/stuck.txt"
bad "is made for version 4 of plugins" TUTTI_PLUGINS="$plugins/libother_version.so"
bad "types of other sizes" TUTTI_PLUGINS="$plugins/libother_sizes.so"
bad "has no function tutti_plugin" TUTTI_PLUGINS="$plugins/libno_entry.so"
bad "cannot be loaded" TUTTI_PLUGINS="$work/three.txt"
bad "cannot be asked: tutti_plugin throws: not today" TUTTI_PLUGINS="$plugins/libthrows_at_once.so"
bad "barrier throws, 3 ranks, throws: no threes" TUTTI_PLUGINS="$plugins/libthrows.so"
bad "which publishes" TUTTI_PLUGINS="$plugins/libpublishes.so"
bad "barrier wrong" TUTTI_PLUGINS="$plugins/libwrong.so"

echo "== ranks that differ in them find out"
expect 0 "$tutti" schedule all_reduce --algorithm direct --ranks 3 --name mine
cp "$work/out" "$work/direct.txt"
rank_setup() { [[ $1 == 1 ]] && export TUTTI_SCHEDULES=$work/direct.txt || export TUTTI_SCHEDULES=$work/three.txt; }
run_ranks "1 1 1" 3 "$tutti" perf all_reduce --max-bytes 64
rank_said 0 "all_reduce mine of TUTTI_SCHEDULES or TUTTI_PLUGINS is not the same there as here"
rank_setup() { [[ $1 == 2 ]] || export TUTTI_SCHEDULES=$work/three.txt; }
run_ranks "1 1 1" 3 "$tutti" perf all_reduce --max-bytes 64
rank_said 0 "all_reduce mine of TUTTI_SCHEDULES or TUTTI_PLUGINS is " " but not " # here, or as another rank says first: there
rank_setup() { [[ $1 == 2 ]] && export TUTTI_SCHEDULES=$work/missing.txt || export TUTTI_SCHEDULES=$work/three.txt; }
run_ranks "2 2 2" 3 "$tutti" perf all_reduce --max-bytes 64
rank_said 0 "missing.txt"
unset -f rank_setup

echo "== from the standard input"
what="verify -"
"$tutti" verify - <"$work/three.txt" >"$work/out" 2>"$work/err" || fail "verify - ended with $?: $(cat "$work/err")"
printed "all_reduce mine of 3 ranks is right"
what="explain --schedules -"
"$tutti" explain all_reduce --ranks 3 --topology core:4 --schedules - <"$work/three.txt" >"$work/out" 2>"$work/err" || fail "explain --schedules -: $(cat "$work/err")"
printed "  mine "
finish
