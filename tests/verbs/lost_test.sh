#!/usr/bin/env bash
# A rank that is killed in the middle, and a cable that does not come back: who is left says who is missing, and ends soon.
set -u
. "$(dirname "$0")/common.sh"
export TUTTI_TRANSPORT=verbs TUTTI_INTERFACE=lo
forever=(perf all_reduce --min-bytes 64K --max-bytes 64K --iterations 1000000 --warmup 1)

export TUTTI_IB_DEVICES=rxe0
counters
start_ranks 2 "$tutti" "${forever[@]}"
until_grown 500 rxe0 sent_pkts
kill -9 "${pids[1]}"
wait_ranks
[[ $statuses == "1 137" ]] || { fail "rank 0 and a killed rank 1 ended with $statuses"; show_ranks; }
rank_said 0 "rank 1"
cat "$work/err.0"

echo "== a cable that stays away"
cable delay 10us
rank_setup() { export TUTTI_IB_DEVICES=rxe$1 TUTTI_IB_TIMEOUT=12 TUTTI_IB_RETRY=3; }
counters
start_ranks 2 "$tutti" "${forever[@]}"
until_grown 500 rxe0 sent_pkts
cable loss 100%
wait_ranks
[[ $statuses == "1 1" ]] || { fail "ranks that lost each other ended with $statuses"; show_ranks; }
cat "$work"/err.*
cat "$work"/err.* | grep -qE "to rank [01] on port 1 of rxe[01] failed: transport retry counter exceeded" ||
  { fail "nobody says what failed"; show_ranks; }
finish
