#!/usr/bin/env bash
# launcher_killed_test.sh TUTTI openmpi|mpich: a launcher dies by SIGKILL in the middle of a long run. Its ranks end within seconds.
set -u
tutti=$1 launcher=$2
. "$(dirname "$0")/common.sh"
most_seconds=10
case $launcher in
  openmpi) start=(mpirun.openmpi --allow-run-as-root --oversubscribe --bind-to none) ;;
  mpich) start=(mpiexec.hydra) ;;
  *) fail "no launcher $launcher"; finish ;;
esac
command -v "${start[0]}" >/dev/null || skip "${start[0]} is not installed"

: >"$work/out"
# A quick size, whose row says that the job runs, and one that keeps it busy for long without a row.
# shellcheck disable=SC2016
"${start[@]}" -np 2 bash -c 'echo $$ >"$0/pid.$$"; exec "$@"' "$work" "$tutti" perf all_reduce --min-bytes 8 --max-bytes 32M \
  --factor 4194304 --iterations 1000 --warmup 0 --out-of-place --no-check >"$work/out" 2>"$work/err" </dev/null &
launcher_pid=$!
until grep -q "^  all_reduce" "$work/out"; do
  kill -0 $launcher_pid || { fail "the job does not run"; cat "$work/out" "$work/err"; finish; }
  sleep 0.2
done
mapfile -t ranks < <(cat "$work"/pid.*)
[[ ${#ranks[@]} == 2 ]] || fail "not 2 ranks but these: ${ranks[*]}"

kill -9 $launcher_pid
wait $launcher_pid 2>/dev/null
end=$((SECONDS + most_seconds))
for rank in "${ranks[@]}"; do
  while kill -0 "$rank" 2>/dev/null && ((SECONDS < end)); do sleep 0.1; done
  ! kill -9 "$rank" 2>/dev/null || fail "rank $rank lives on without its launcher"
done
finish
