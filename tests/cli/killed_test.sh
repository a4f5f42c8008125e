#!/usr/bin/env bash
# killed_test.sh TUTTI TRANSPORT: one of three ranks dies by SIGKILL in the middle of a long run. Every survivor ends within seconds
# with an error that names it, and nothing of the job is left: no process, socket, file or segment.
set -u
tutti=$1 transport=$2
. "$(dirname "$0")/common.sh"
most_seconds=10

# Sockets and segments of this machine that could be the job's; others may come and go meanwhile, so each is asked for by what
# belongs to the job's processes.
sockets_of() { # pid
  local fd
  for fd in /proc/"$1"/fd/*; do readlink "$fd"; done 2>/dev/null | sed -n 's/^socket:\[\(.*\)\]$/\1/p'
}
unix_names() { awk 'NR > 1 && $8 != "" {print $7, $8}' /proc/net/unix; }

export TMPDIR=$work/tmp
mkdir "$TMPDIR"
ls /dev/shm | sort >"$work/shm.before"
# A quick size, whose row says that the job runs, and one that keeps it busy for long.
start_ranks 3 "$tutti" perf all_reduce --min-bytes 8 --max-bytes 32M --factor 4194304 --iterations 1000 --warmup 0 --out-of-place \
  --no-check --transport "$transport"
until grep -q "^  all_reduce" "$work/out.0"; do
  kill -0 "${pids[@]}" 2>/dev/null || { fail "the job does not run"; show_ranks; finish; }
  sleep 0.2
done
for pid in "${pids[@]}"; do
  sockets_of "$pid"
done | sort -u >"$work/inodes"
[[ -s $work/inodes ]] || fail "no sockets seen while the job ran: the check below would prove nothing"
unix_names | grep -Fwf "$work/inodes" | awk '{print $2}' >"$work/names"
ports=$(awk 'NR > 1 && $4 == "0A" {print $10, $2}' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Fwf "$work/inodes" | sed 's/.*://')

kill -9 "${pids[1]}"
what="a job over $transport with a killed rank"
start=$SECONDS
wait_ranks
took=$((SECONDS - start))
[[ $statuses == "1 137 1" ]] || { fail "$what: statuses $statuses"; show_ranks; }
((took <= most_seconds)) || fail "the survivors took $took s"
for rank in 0 2; do rank_said $rank "rank 1"; done
rm -f "$work/err.1"
one_error_each

for pid in "${pids[@]}"; do [[ ! -e /proc/$pid ]] || fail "process $pid is left"; done
unix_names | awk '{print $2}' | grep -Fxf "$work/names" && fail "these Unix sockets are left"
for port in $ports; do
  awk -v p=":$port" 'NR > 1 && $4 == "0A" && $2 ~ p "$"' /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep . && fail "a listening socket is left"
done
[[ -z $(ls -A "$TMPDIR") ]] || { fail "files are left in TMPDIR:"; ls -A "$TMPDIR"; }
ls /dev/shm | sort | comm -13 "$work/shm.before" - | grep -i tutti && fail "files are left in /dev/shm"
awk -v pids=" ${pids[*]} " 'NR > 1 && (index(pids, " " $5 " ") || index(pids, " " $6 " "))' /proc/sysvipc/shm | grep . && fail "System V segments are left"
finish
