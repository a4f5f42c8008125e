#!/usr/bin/env bash
# nccl_hosts_test.sh LIBRARY HEADERS PEERS: ranks of libnccl.so.2 on two hosts made out of network namespaces, over TCP; by an id that
# one host made, and by NCCL_COMM_ID.
set -u
library=$1 headers=$2
here=$(dirname "$0")
. "$here/../../end_to_end/hosts.sh"
compiler=$(command -v cc gcc | head -1)
[[ -n $compiler ]] || skip "there is no C compiler"
hosts_or_skip
make_hosts 2
export TUTTI_CALIBRATE=0 TUTTI_TUNING=off TUTTI_SECRET=sesame

for program in values semantics; do
  "$compiler" -std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra ${SANITIZED:+-fsanitize=$SANITIZED} -I "$headers" "$here/$program.c" -o "$work/$program" \
    "$library" -Wl,-rpath,"$(dirname "$library")" -lm -pthread || fail "$program.c does not compile"
done

# ranks_on ID PROGRAM CASE HOST...: a rank on each of these hosts
ranks_on() {
  local id=$1 program=$2 case=$3 pids=() rank=0 host pid bad=0
  shift 3
  for host; do
    timeout -k 5 100 "$work/on" "$host" "$work/$program" rank $# "$case" $rank "$id" &
    pids+=($!)
    rank=$((rank + 1))
  done
  for pid in "${pids[@]}"; do wait "$pid" || bad=1; done
  ((bad == 0)) || fail "$case on $*"
  echo "$case on $*: ok"
}

# An id is served as long as its maker runs. It prints it, and ends when its input does.
with_id() { # with_id HOST COMMAND...: COMMAND with $id set to one that HOST made
  local host=$1 maker in out
  shift
  mkfifo "$work/in" "$work/out"
  timeout -k 5 100 "$work/on" "$host" "$work/values" id <"$work/in" >"$work/out" &
  maker=$!
  exec {in}>"$work/in" {out}<"$work/out"
  read -r id <&"$out"
  "$@"
  exec {in}>&- {out}<&-
  wait "$maker"
  rm "$work/in" "$work/out"
}
ids() { ranks_on "$id" "$@"; }

with_id h1 ids values grouped h1 h2
with_id h2 ids semantics point_to_point h1 h2 h1
with_id h1 ids semantics shrink h1 h2 h2
for at in h1:4711 "$subnet.1:4711"; do
  NCCL_COMM_ID=$at ranks_on - values grouped h1 h2
  NCCL_COMM_ID=$at ranks_on - semantics split h1 h2 h1 h2
done
[[ $(sent h1) -gt 100000 && $(sent h2) -gt 100000 ]] || fail "the hosts have sent each other $(sent h1) and $(sent h2) bytes only"
echo PASSED
