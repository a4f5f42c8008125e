#!/usr/bin/env bash
# launchers_test.sh TUTTI openmpi|mpich: `tutti perf` as MPI's launchers start it.
set -u
tutti=$1 launcher=$2
. "$(dirname "$0")/common.sh"
case $launcher in
  openmpi) program=mpirun.openmpi; start() { $program --allow-run-as-root --oversubscribe --bind-to none -np "$@"; } ;;
  mpich) program=mpiexec.hydra; start() { $program -np "$@"; } ;;
  *) fail "no launcher $launcher"; finish ;;
esac
command -v $program >/dev/null || skip "$program is not installed"
short=(--max-bytes 4K --factor 64 --iterations 2 --warmup 1)

for ranks in 1 2 3; do
  expect 0 start $ranks "$tutti" perf all "${short[@]}"
  printed "perf: $ranks ranks, launcher " "all_reduce" "barrier"
  [[ $(grep -c "^# tutti perf" "$work/out") == 1 ]] || fail "'$what': not one table"
done
start 2 "$tutti" perf all_reduce --type f31 >"$work/out" 2>"$work/err" </dev/null && fail "a wrong type passed"
[[ $(cat "$work/out" "$work/err" | grep -c '^tutti: --type "f31"') == 2 ]] || { fail "not one error per rank"; cat "$work/out" "$work/err"; }
finish
