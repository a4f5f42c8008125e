#!/usr/bin/env bash
# A rank that is killed in the middle, and a cable that does not come back: who is left says who is missing, and ends soon.
set -u
. "$(dirname "$0")/common.sh"
export TUTTI_TRANSPORT=verbs TUTTI_INTERFACE=lo
forever=(perf all_reduce --min-bytes 64K --max-bytes 64K --iterations 1000000 --warmup 1)

start_ranks 2 "$tutti" "${forever[@]}"
sleep 1.5
kill -9 "${pids[1]}"
wait_ranks
[[ $statuses == "1 137" ]] || { fail "rank 0 and a killed rank 1 ended with $statuses"; show_ranks; }
rank_said 0 "rank 1"
one=$(cat "$work/err.0")
echo "$one"

echo "== a cable that stays away"
rank_setup() { export TUTTI_IB_DEVICES=rxe$1 TUTTI_IB_TIMEOUT=10 TUTTI_IB_RETRY=2; }
start_ranks 2 "$tutti" "${forever[@]}"
sleep 1.5
ip link set veth1 down
wait_ranks
[[ $statuses == "1 1" ]] || { fail "ranks that lost each other ended with $statuses"; show_ranks; }
cat "$work"/err.*
cat "$work"/err.* | grep -qE "rank [01] on port 1 of rxe[01] failed: transport retry counter exceeded" || { fail "nobody says what failed"; show_ranks; }
finish
