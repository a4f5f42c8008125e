#!/usr/bin/env bash
# The library of this build, as it runs here: the transports that need no RDMA.
set -u
. "$(dirname "$0")/common.sh"
perf=(perf all_reduce --check --min-bytes 8 --max-bytes 64K --factor 64 --iterations 5 --warmup 1)
for transport in shm tcp; do
  echo "== $transport"
  export TUTTI_TRANSPORT=$transport
  run_ranks "0 0" 2 "$tutti" "${perf[@]}"
  [[ $(grep -c "^  all_reduce .*$transport" "$work/out.0") -ge 3 ]] || { fail "no rows over $transport"; show_ranks; }
done
echo "== started by Open MPI"
unset TUTTI_TRANSPORT
expect 0 mpirun.openmpi --allow-run-as-root --oversubscribe -np 2 "$tutti" "${perf[@]}"
printed "perf: 2 ranks"
finish
