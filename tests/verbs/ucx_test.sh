#!/usr/bin/env bash
# UCX over RDMA devices: results are right, and the devices' counters show which way the bytes went.
set -u
. "$(dirname "$0")/common.sh"
# GID 0, of IPv6: with that of IPv4, UCX connects over datagrams (UD) whose addresses Soft-RoCE gives in another form than it expects.
export TUTTI_TRANSPORT=ucx TUTTI_INTERFACE=127.0.0.1 UCX_IB_GID_INDEX=0 UCX_TLS=rc_v,self
perf() { run_ranks "$1" "$2" "$tutti" perf "${@:3}" --check --iterations 2 --warmup 1; }
quiet() { # DEVICE...
  local device
  for device; do [[ $(grown "$device" sent_pkts rcvd_pkts) == 0 ]] || fail "$device has counted, too"; done
}

echo "== all_reduce over rxe0, small to large"
export UCX_NET_DEVICES=rxe0:1
counters
perf "0 0" 2 all_reduce --min-bytes 8 --max-bytes 1M --factor 362
grep "^  all_reduce" "$work/out.0"
[[ $(grep -c "^  all_reduce.*, ucx$" "$work/out.0") -ge 3 ]] || { fail "not all rows over ucx"; show_ranks; }
at_least 1500 rxe0 sent_pkts rcvd_pkts  # the largest alone is 256 packets of 4 KiB, 6 times or more
quiet rxe1 rxe2

echo "== three ranks; datagrams (UD)"
perf "0 0 0" 3 all_to_all --min-bytes 12K --max-bytes 12K
counters
UCX_TLS=ud_v,self perf "0 0" 2 all_reduce --min-bytes 64K --max-bytes 64K
at_least 50 rxe0 sent_pkts rcvd_pkts

echo "== rxe0 to rxe1, over the cable"
rank_setup() { export UCX_NET_DEVICES=rxe$1:1; }
counters
perf "0 0" 2 all_reduce --min-bytes 512K --max-bytes 512K
for device in rxe0 rxe1; do at_least 500 $device sent_pkts rcvd_pkts; done
quiet rxe2
unset -f rank_setup

echo "== the dead are named"
start_ranks 3 "$tutti" perf all_reduce --min-bytes 8 --max-bytes 16M --factor 2097152 --iterations 10 --warmup 0 --no-check
until grep -q "^  all_reduce" "$work/out.0" || ! kill -0 "${pids[@]}"; do sleep 0.2; done
kill -9 "${pids[1]}"
what="a job with a killed rank" && wait_ranks
[[ $statuses == "1 137 1" ]] || { fail "$what: statuses $statuses"; show_ranks; }
for rank in 0 2; do rank_said $rank "rank 1"; done
finish
