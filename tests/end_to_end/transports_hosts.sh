#!/bin/bash
# transports_hosts.sh TUTTI: `tutti tune --transports` on two hosts, and that later jobs take what was fastest between hosts, and say so.
set -u
tutti=$1
. "$(dirname "$0")/hosts.sh"
command -v mpirun.openmpi > /dev/null || skip "mpirun.openmpi is not installed (./dev deps installs it)"
[[ -n $(ldconfig -p | grep -F libucp.so.0) ]] || skip "UCX is not installed (libucx0), so that there is nothing to compare"
hosts_or_skip
make_hosts 2
file=$work/tuning.json
run() { launch openmpi mpirun.openmpi 2,2 env UCX_TLS=tcp,self "$@" > "$work/out" 2> "$work/err" || { cat "$work/out" "$work/err"; fail "$*"; }; }
printed() { local t; for t; do grep -qE -- "$t" "$work/out" || { cat "$work/out" "$work/err"; fail "nothing like '$t'"; }; done; }
explain() { run env TUTTI_CALIBRATE=0 "$@" "$tutti" explain all_reduce; }

echo "== before: the usual order, and why"
explain TUTTI_TUNING=off
printed "^  inside a host  *shm  *the first that both have, in the order shm, verbs, tcp$" \
  "^  between the outermost groups  *tcp  *eth0 $subnet.1; not shm: .*; not verbs: rank 0: .*; not ucx: nobody has named it"

echo "== measured against each other"
run "$tutti" tune --transports tcp,ucx,verbs --output "$file" --json "$work/compared.json"
printed "^tcp  *[0-9.]+  *[0-9.]+$" "^ucx  *[0-9.]+  *[0-9.]+$" "^verbs  *refused: " "^Kept in $file: .* use (tcp|ucx) between hosts"
grep -q '"transport": "ucx"' "$work/compared.json" || { cat "$work/compared.json"; fail "no ucx in the JSON"; }

echo "== the fastest is taken, whichever it was"
for first in ucx tcp; do
  other=$([[ $first == ucx ]] && echo tcp || echo ucx)
  sed -E "s/(\"transports\": \[).*(\[\"$first\"[^]]*\]).*(\]\}\]\})/\1\2, [\"$other\", 1000, 0.001]\3/" "$file" > "$work/$first.json"
  explain TUTTI_TUNING="$work/$first.json"
  printed "^  inside a host  *shm  *the first" \
    "^  between the outermost groups  *$first  .*; measured by tutti tune: $first [0-9.e+]+ us and [0-9.e+-]+ GB/s, $other 1000 us and 0.001 GB/s$"
  run env TUTTI_TUNING="$work/$first.json" "$tutti" perf all --check --max-bytes 64K --factor 64 --iterations 2 --warmup 1
  printed "transports shm\\+$first,"
done

echo "== not where somebody has named others, or where the ranks sit otherwise"
explain TUTTI_TUNING="$work/ucx.json" TUTTI_TRANSPORT=shm,tcp
printed "^  between the outermost groups  *tcp  "
launch openmpi mpirun.openmpi 1,2 env TUTTI_CALIBRATE=0 TUTTI_TUNING="$work/ucx.json" "$tutti" explain all_reduce > "$work/out" 2> "$work/err"
printed "^  between the outermost groups  *tcp  "
echo "PASSED"
