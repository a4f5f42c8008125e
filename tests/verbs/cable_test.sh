#!/usr/bin/env bash
# A cable between the ranks that loses, damages and reorders packets, and one that is pulled out for two seconds: all results are right.
set -u
. "$(dirname "$0")/common.sh"
export TUTTI_TRANSPORT=verbs TUTTI_INTERFACE=lo
rank_setup() { export TUTTI_IB_DEVICES=rxe$1; }
repeated=(duplicate_request out_of_seq_request rcvd_seq_err completer_retry_err)

# disturbed WHAT...: with netem's WHAT at both ends.
disturbed() {
  local interface
  echo "== $*"
  for interface in veth0 veth1; do tc qdisc add dev $interface root netem "$@" || fail "no '$*' on $interface"; done
  counters
  TUTTI_IB_TIMEOUT=12 run_ranks "0 0" 2 "$tutti" perf all_reduce --check --min-bytes 8 --max-bytes 512K --factor 64 --iterations 5 --warmup 1
  for interface in veth0 veth1; do tc qdisc del dev $interface root; done
}
disturbed loss 1%
at_least 1 rxe0 "${repeated[@]}"
disturbed corrupt 1%
at_least 1 rxe0 "${repeated[@]}"
disturbed delay 1ms reorder 25% 50%

echo "== pulled out for 2 seconds"
counters
start_ranks 2 "$tutti" perf all_reduce --check --min-bytes 64K --max-bytes 64K --iterations 1500 --warmup 1
sleep 1.5
ip link set veth1 down
kill -0 "${pids[@]}" || fail "the ranks are through before the cable is pulled out"
sleep 2
kill -0 "${pids[@]}" || fail "the ranks did not need the cable"
ip link set veth1 up
wait_ranks
[[ $statuses == "0 0" ]] || { fail "$what ended with $statuses"; show_ranks; }
at_least 1 rxe0 "${repeated[@]}"
finish
