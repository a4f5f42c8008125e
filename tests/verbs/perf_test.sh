#!/usr/bin/env bash
# The library of this build, as it runs here: all collectives over each transport, with every value of every result checked. That RDMA
# carries them is shown by what the devices have counted.
set -u
. "$(dirname "$0")/common.sh"
perf=(perf all --check --min-bytes 8 --max-bytes 128K --factor 16384 --iterations 1 --warmup 1)
for transport in shm verbs tcp; do
  echo "== $transport"
  export TUTTI_TRANSPORT=$transport
  counters
  run_ranks "0 0" 2 "$tutti" "${perf[@]}"
  [[ $(grep -c "^  .*, *$transport" "$work/out.0") -ge 23 ]] || { fail "few rows over $transport"; show_ranks; }
  [[ $transport == verbs ]] || for device in "${devices[@]}"; do
    [[ $(grown "$device" sent_pkts) == 0 ]] || fail "$device has been used by $transport"
  done
done
echo "== verbs, started by Open MPI"
export TUTTI_TRANSPORT=verbs TUTTI_IB_DEVICES==rxe2
counters
expect 0 mpirun.openmpi --allow-run-as-root --oversubscribe -np 2 "$tutti" perf all_reduce --check --min-bytes 8 --max-bytes 1M --factor 64
printed "perf: 2 ranks" "transports verbs"
at_least 1000 rxe2 sent_pkts rcvd_pkts
[[ $(grown rxe0 sent_pkts) == 0 ]] || fail "rxe0 has been used, too"

echo "== devices that there are not"
unset TUTTI_TRANSPORT
export TUTTI_IB_DEVICES=mlx5
run_ranks "0 0" 2 "$tutti" perf all_reduce --check --min-bytes 8 --max-bytes 8
rank_said 0 'TUTTI_IB_DEVICES="mlx5" leaves no port of an RDMA device; there are: port 1 of rxe0 is active'
export TUTTI_IB_DEVICES=rxe0 TUTTI_IB_GID_INDEX=200 TUTTI_TRANSPORT=verbs
run_ranks "1 1" 2 "$tutti" perf all_reduce --min-bytes 8 --max-bytes 8
rank_said 0 "TUTTI_IB_GID_INDEX=200: port 1 of rxe0 has no such GID; there are: 0 (fe80::ff:fe00:0, RoCE v2 over IPv6), 1 (::ffff:10.99.0.1"
finish
