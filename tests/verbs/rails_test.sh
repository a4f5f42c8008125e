#!/usr/bin/env bash
# Two rails: large messages travel on both, about half on each; small ones, and what is not chosen, on one and none.
set -u
. "$(dirname "$0")/common.sh"
export TUTTI_TRANSPORT=verbs TUTTI_IB_DEVICES=rxe0,rxe1
counters
run_ranks "0 0" 2 "$tutti" perf all_gather --check --min-bytes 8M --max-bytes 8M --iterations 4 --warmup 1
bytes=$((5 * 8 << 20)) packets=$((5 * 8 << 8))  # of 4096 bytes
for device in rxe0 rxe1; do at_least $((packets / 3)) $device sent_pkts; done
a=$(grown rxe0 sent_pkts) b=$(grown rxe1 sent_pkts)
((10 * a < 13 * b && 10 * b < 13 * a)) || fail "$bytes bytes went unevenly: $a packets on rxe0, $b on rxe1"
[[ $(grown rxe2 sent_pkts) == 0 ]] || fail "rxe2 has not been chosen, but used"

echo "== different devices at both ends of the cable"
cable delay 10us
rank_setup() { export TUTTI_IB_DEVICES=rxe$1; }
counters
before=$(</sys/class/net/veth0/statistics/tx_bytes)
run_ranks "0 0" 2 "$tutti" perf all_gather --check --min-bytes 4M --max-bytes 4M --iterations 1 --warmup 1
for device in rxe0 rxe1; do at_least 500 $device sent_pkts; done
(($(</sys/class/net/veth0/statistics/tx_bytes) - before > 2 << 20)) || fail "little has crossed the cable"
finish
