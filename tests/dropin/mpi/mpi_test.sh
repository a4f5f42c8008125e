#!/usr/bin/env bash
# mpi_test.sh TUTTI LIBRARY PEERS FAMILY: libtutti_mpi.so under programs of one MPI library. FUZZ_CASES=10000 looks longer for random
# collectives that go wrong: so many for each number of ranks.
set -u
tutti=$1 library=$2 peers=$3 family=$4
. "$(dirname "$0")/common.sh"
compile fuzz
compile semantics

cases=${FUZZ_CASES:-100}
echo "== random collectives, compared with the MPI library's own"
for ranks in 2 3 5; do
  seed=$RANDOM
  echo "seed $seed on $ranks ranks"
  expect 0 start $ranks "$work/fuzz" $seed "$cases"
  printed "fuzz: seed $seed: $cases cases, $ranks ranks: equal"
done

echo "== what programs do around collectives"
programs=(progress mixed communicators intercommunicator nothing_to_send overlapping threads finalize large_counts forked memory nothing)
# Intel MPI's standard ABI ends the program in MPI_Comm_call_errhandler, whatever the handler.
[[ $family == impi_standard ]] || programs+=(mismatch self_mismatch)
[[ $family != openmpi* ]] || programs+=(errors) # the others here are built without checks of arguments
for name in "${programs[@]}"; do
  expect 0 start 3 "$work/semantics" "$name"
  printed "$name: ok"
done

echo "== what is left to the MPI library is counted"
TUTTI_MPI_REPORT=$work/report expect 0 start 3 "$work/semantics" requests
printed "requests: ok"
rows=(Allreduce Iallreduce Ibarrier Neighbor_allgather Iallgatherv Neighbor_alltoallv)
[[ $family == openmpi ]] || rows+=(Allreduce_init)
for row in "${rows[@]}"; do grep -Eq "^MPI_$row +[0-9]" "$work/report" || { fail "there is no MPI_$row in"; cat "$work/report"; }; done
finish
