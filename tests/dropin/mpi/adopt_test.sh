#!/usr/bin/env bash
# adopt_test.sh TUTTI LIBRARY PEERS FAMILY: programs of one MPI library whose buffers' pages are adopted at their first use, and become private
# again where they fork. MPI libraries watch memory themselves, so that this is where others' hooks meet ours.
set -u
tutti=$1 library=$2 peers=$3 family=$4
. "$(dirname "$0")/common.sh"
compile fuzz
compile semantics
export TUTTI_ADOPT=eager TUTTI_CALIBRATE=0  # which could find out that using them in place does not pay

random() { # RANKS SEED
  echo "seed $2 on $1 ranks"
  TUTTI_LOG=debug expect 0 start "$1" "$work/fuzz" "$2" "${FUZZ_CASES:-100}"
  printed "fuzz: seed $2: ${FUZZ_CASES:-100} cases, $1 ranks: equal"
}
echo "== random collectives, compared with the MPI library's own"
TUTTI_MPI_REPORT=$work/report random 2 3467  # which has large buffers
if grep -q PROCMAP_QUERY "$work/err"; then skip "$(grep -m 1 PROCMAP_QUERY "$work/err")"; fi
grep -q 'are adopted' "$work/err" || fail "nothing was adopted"
grep -q '^# buffers of rank 0: [1-9][0-9]* adopted' "$work/report" || { fail "the report does not tell what was adopted:"; cat "$work/report"; }
for ranks in 2 3 4; do random $ranks $RANDOM; done

echo "== what programs do around collectives"
for name in mixed communicators overlapping threads forked memory; do
  expect 0 start 3 "$work/semantics" "$name"
  printed "$name: ok"
done

echo "== Python's multiprocessing"
if [[ -n ${SANITIZED:-} ]]; then
  echo "not tried: Python does not load libraries of a sanitized build"
elif [[ $family == openmpi ]] && /usr/bin/python3 -c "import mpi4py, numpy" 2>/dev/null; then # Debian's, built for Debian's Open MPI
  expect 0 start 2 /usr/bin/python3 "$here/mpi4py_fork_test.py"
  [[ $(grep -o "of 2: ok" "$work/err" | wc -l) == 2 ]] || { fail "not all ranks are content:"; cat "$work/err"; }
else
  echo "not tried: /usr/bin/python3 has no mpi4py for $family (./dev deps installs it)"
fi
finish
