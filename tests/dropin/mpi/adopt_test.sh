#!/usr/bin/env bash
# adopt_test.sh TUTTI LIBRARY PEERS FAMILY: programs of one MPI library whose buffers' pages are adopted at their first use, and become private
# again where they fork. MPI libraries watch memory themselves, so that this is where others' hooks meet ours.
set -u
tutti=$1 library=$2 peers=$3 family=$4
. "$(dirname "$0")/common.sh"
compile fuzz
compile semantics
export TUTTI_ADOPT=eager

cases=${FUZZ_CASES:-100}
echo "== random collectives, compared with the MPI library's own"
for ranks in 2 3 4; do
  seed=$RANDOM
  echo "seed $seed on $ranks ranks"
  TUTTI_LOG=debug expect 0 start $ranks "$work/fuzz" $seed "$cases"
  printed "fuzz: seed $seed: $cases cases, $ranks ranks: equal"
  if grep -q PROCMAP_QUERY "$work/err"; then skip "$(grep -m 1 PROCMAP_QUERY "$work/err")"; fi
  grep -q 'are adopted' "$work/err" || fail "nothing was adopted"
done

echo "== what programs do around collectives"
for name in mixed communicators overlapping threads forked memory; do
  expect 0 start 3 "$work/semantics" "$name"
  printed "$name: ok"
done
finish
