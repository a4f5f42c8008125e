#!/usr/bin/env bash
# device_test.sh TUTTI LIBRARY PEERS FAMILY: MPI programs whose buffers are in the memory of a GPU, beside an MPI library that knows
# nothing of GPUs; on the driver of tests/cuda/standin. FUZZ_CASES=10000 looks longer.
set -u
tutti=$1 library=$2 peers=$3 family=$4
. "$(dirname "$0")/common.sh"
compile fuzz -ldl
compile device -ldl

cases=${FUZZ_CASES:-40}
echo "== random collectives, compared with those of the MPI library on host memory"
for ranks in 2 3; do
  seed=$RANDOM
  echo "seed $seed on $ranks ranks"
  expect 0 start $ranks "$work/fuzz" $seed "$cases" device
  printed "fuzz: seed $seed: $cases cases, $ranks ranks: equal"
done

echo "== what else happens to such buffers"
for name in large one_rank declined; do
  expect 0 start 3 "$work/device" "$name"
  printed "$name: ok"
done
said "MPI_Iallreduce: a buffer is in the memory of a GPU" "MPI_Ibcast: a buffer is in the memory of a GPU" "copy it to the host's memory first"

echo "== checked calls are compared where the MPI library can do them"
TUTTI_MPI_CHECK=1 expect 0 start 2 "$work/fuzz" 7 20 device
printed "fuzz: seed 7: 20 cases, 2 ranks: equal"
finish
