#!/usr/bin/env bash
# A cable between the ranks that loses, damages and reorders packets, and one that is pulled out for two seconds: all results are right.
set -u
. "$(dirname "$0")/common.sh"
export TUTTI_TRANSPORT=verbs TUTTI_INTERFACE=lo
rank_setup() { export TUTTI_IB_DEVICES=rxe$1; }
repeated=(duplicate_request out_of_seq_request rcvd_seq_err completer_retry_err)

# disturbed KIB WHAT...: messages of 8 bytes and of KIB KiB, with netem's WHAT at both ends.
disturbed() {
  local kib=$1
  shift
  echo "== $*"
  cable "$@"
  counters
  TUTTI_IB_TIMEOUT=12 run_ranks "0 0" 2 "$tutti" perf all_reduce --check --min-bytes 8 --max-bytes ${kib}K --factor $((128 * kib)) --iterations 5 --warmup 1
}
disturbed 512 loss 1%  # thousands of packets, so that some are lost
at_least 1 rxe0 "${repeated[@]}"
disturbed 512 corrupt 1%
at_least 1 rxe0 "${repeated[@]}"
disturbed 32 delay 1ms reorder 25% 50%  # a device that finds every second packet too early gives up longer ones

echo "== pulled out for 2 seconds"
cable delay 10us
counters
start_ranks 2 "$tutti" perf all --check --min-bytes 8 --max-bytes 32K --factor 4 --iterations 3 --warmup 1
until_grown 500 rxe0 sent_pkts
cable loss 100%  # (Where its interface is down, rxe does not even try to send, as no other device would.)
sleep 2
kill -0 "${pids[@]}" || fail "the ranks did not need the cable"
cable delay 10us
wait_ranks
[[ $statuses == "0 0" ]] || { fail "$what ended with $statuses"; show_ranks; }
at_least 1 rxe0 "${repeated[@]}"
finish
