#!/usr/bin/env bash
# doctor_test.sh TUTTI: looks at this host, whatever it is like, alone and as a job of three; the file that it writes is read again.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"

# examined STATUS: it is the one that the number of problems in $work/out (text) stands for.
examined() {
  local problems
  problems=$(sed -n 's/^\([0-9]*\) problems\{0,1\}, .* in order$/\1/p' "$work/out")
  [[ -n $problems ]] || { fail "no summary ends the output:"; tail -3 "$work/out"; }
  [[ $1 == $((${problems:-0} > 0)) ]] || fail "exit status $1 with $problems problems"
}
run() { # exit status 0 and 1 are both right
  what="$*" status=0
  "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
  [[ ! -s $work/err ]] || { fail "'$what' writes to stderr:"; cat "$work/err"; }
}

echo "== this host"
run "$tutti" doctor
examined "$status"
for check in topology binding cpuset quota memory shared-memory open-files processes memlock cma interfaces rdma transports gpus gpu-code \
  gpu-streams gpu-memory gpu-sharing nics-of-gpus iommu acs \
  huge-pages numa-balancing governor smt swap kernel virtual clock; do
  grep -qE "^(ok|note|warning|problem) +$check " "$work/out" || { fail "nothing is said about $check:"; cat "$work/out"; }
done
run "$tutti" doctor --json
printed '"tutti_doctor":1' '"severity":"'
grep -q "\"problems\":$([[ $status == 0 ]] && echo 0 || echo '[1-9]')" "$work/out" || fail "'$what': exit status $status does not fit"
[[ $(wc -l <"$work/out") == 1 ]] || fail "'$what' is not one line"

echo "== what is wrong is found"
(ulimit -Sn 24 && "$tutti" doctor >"$work/out" 2>"$work/err")
[[ $? == 1 ]] || fail "24 open files are no problem"
printed "24 open files are allowed" "ulimit -n"
expect 1 env TUTTI_TOPOLOGY=/no/such.json "$tutti" doctor
printed "problem  topology" "/no/such.json"
run env TUTTI_INTERFACE=nowhere7 "$tutti" doctor
printed "matches 'nowhere7'"

echo "== a description is written, and read again"
run "$tutti" doctor --write-topology "$work/machine.json"
printed "wrote $work/machine.json"
expect 0 "$tutti" topo --from "$work/machine.json"
printed machine core
expect 0 env TUTTI_TOPOLOGY="$work/machine.json" "$tutti" perf all_reduce --max-bytes 8 --iterations 1 --warmup 0
expect 0 "$tutti" explain all_reduce --topology "$work/machine.json"
run env TUTTI_TOPOLOGY="$work/machine.json" "$tutti" doctor
printed "described by TUTTI_TOPOLOGY"
echo mine >"$work/mine.json"
refuses "$work/mine.json: there is such a file; --force replaces it" "$tutti" doctor --write-topology "$work/mine.json"
[[ $(cat "$work/mine.json") == mine ]] || fail "'$what' has replaced it"
refuses "--force requires --write-topology" "$tutti" doctor --force
"$tutti" doctor --json --write-topology "$work/machine.json" --force >"$work/out" 2>"$work/err"
said "wrote $work/machine.json"
[[ $(wc -l <"$work/out") == 1 ]] || fail "--json with --write-topology prints more than one line"
expect 1 "$tutti" doctor --write-topology "$work/missing/machine.json"
said "$work/missing/machine.json" ENOENT
expect 1 "$tutti" doctor --write-topology /dev/full
said ENOSPC

echo "== wrong words"
refuses "--from" "$tutti" doctor --from /
refuses "not expected: now" "$tutti" doctor now
expect 2 env TUTTI_TOPOLOGIE=x "$tutti" doctor
said "TUTTI_TOPOLOGY"

echo "== a job of three: rank 0 speaks, all end alike"
for extra in "" "--write-topology $work/job.json"; do
  start_ranks 3 "$tutti" doctor $extra
  wait_ranks
  [[ $statuses == "0 0 0" || $statuses == "1 1 1" ]] || { fail "$what ended with $statuses"; show_ranks; }
  cp "$work/out.0" "$work/out"
  examined "${statuses%% *}"
  printed "3 ranks on 1 host" "bindings"
  for f in "$work"/out.[12] "$work"/err.*; do [[ ! -s $f ]] || { fail "$what: ${f##*/} is not empty"; cat "$f"; }; done
done
expect 0 "$tutti" topo --from "$work/job.json"
run_ranks "2 1 1" 3 "$tutti" doctor --write-topology "$work/job.json"
rank_said 0 "$work/job.json: there is such a file; --force replaces it"
for f in "$work"/out.* "$work"/err.[12]; do [[ ! -s $f ]] || { fail "$what: ${f##*/} is not empty"; cat "$f"; }; done
first=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)
if command -v taskset >/dev/null && (($(nproc) > 1)); then
  start_ranks 2 taskset -c "$first" "$tutti" doctor
  wait_ranks
  cp "$work/out.0" "$work/out"
  [[ $statuses == "1 1" ]] || { fail "two ranks on one core, others idle: $statuses"; show_ranks; }
  printed "problem  bindings" "ranks 0-1 share 1 core (PUs $first)"
fi

echo "== a job whose other rank does not come"
expect 1 env TUTTI_TIMEOUT=1 TUTTI_RANK=0 TUTTI_SIZE=2 TUTTI_RENDEZVOUS=127.0.0.1:"$(free_port)" "$tutti" doctor
printed "in order"
said "rank"
expect 1 env TUTTI_TIMEOUT=1 TUTTI_RANK=1 TUTTI_SIZE=2 TUTTI_RENDEZVOUS=127.0.0.1:"$(free_port)" "$tutti" doctor
[[ ! -s $work/out ]] || fail "'$what' prints what it sees"
finish
