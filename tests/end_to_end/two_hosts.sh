#!/bin/bash
# two_hosts.sh TUTTI PEERS LAUNCHER LAYOUT: all collectives over real hosts, checked; that algorithms which spare the network are chosen where
# ranks share hosts; and that no more crosses the wire than the chosen algorithm sends.
set -u
tutti=$1 peers=$2 launcher=$3 layout=$4
. "$(dirname "$0")/hosts.sh"
program=$(launcher_program "$launcher" "$peers")
command -v "$program" > /dev/null || skip "$program is not installed (./dev deps installs it)"
hosts_or_skip
hosts=$(echo "$layout" | tr , '\n' | wc -l)
make_hosts "$hosts"
if [[ $launcher == slurm_* ]]; then
  [ -e /etc/hosts ] || skip "the hosts of Slurm need names, and there is no /etc/hosts here to hold them"
  trap 'stop_slurm; remove_hosts' EXIT
  slurm_nodes=(); for i in $(seq "$hosts"); do slurm_nodes+=("h$i $subnet.$i"); done
  start_slurm "${layout##*,}"  # of these layouts the last host has most ranks
fi

run() { launch "$launcher" "$program" "$layout" "$@" > "$work/out" 2> "$work/err" || { cat "$work/out" "$work/err"; fail "$*"; }; }

echo "== every collective, $layout ranks on $hosts hosts, started by $launcher"
# Choices by the topology's estimates: what is measured on a busy test machine would make them a matter of luck.
run env TUTTI_CALIBRATE=0 "$tutti" perf all --check --min-bytes 8 --max-bytes 512K --factor 256 --iterations 2 --warmup 1
grep -q "transports" "$work/out" || { cat "$work/out"; fail "no table"; }
rows=$(grep -c "^  [a-z]" "$work/out")
[ "$rows" -ge 34 ] || { cat "$work/out"; fail "only $rows rows"; }
grep -q "tcp" "$work/out" || fail "nothing went over tcp"
case $layout in
  1,1) if grep -q "shm" "$work/out"; then fail "hosts of their own share memory"; fi ;;
  *) grep -q "shm" "$work/out" || fail "ranks of one host do not use memory"
     # Or goes round a ring: of ranks that follow each other host by host one of each host sends to another one, and where hosts
     # differ in size that takes no longer.
     for c in all_reduce broadcast; do
       awk -v c=$c '$1 == c && $2 == 524288' "$work/out" | grep -qE 'hierarchical|ring' ||
         { cat "$work/out"; fail "$c of 512K sends over the network what need not go there"; }
     done ;;
esac

# In an all_reduce of n bytes each of H leaders sends n * 2(H-1)/H when H is a power of two; with three hosts one of them is folded
# onto another, and the busiest sends 2n. Beside that: headers, acknowledgements, the start.
bytes=4194304 calls=8
case $layout in 1,1) algorithm=halving_doubling; most=1 ;; 2,2) algorithm=hierarchical; most=1 ;; *) algorithm=hierarchical; most=2 ;; esac
echo "== bytes on the wire: $calls calls of $algorithm, $bytes bytes"
before=(); for i in $(seq "$hosts"); do before[i]=$(sent "h$i"); done
run env TUTTI_CALIBRATE=0 "$tutti" perf all_reduce --out-of-place --no-check --warmup 0 --iterations $calls --min-bytes $bytes --max-bytes $bytes \
  --algorithm $algorithm
for i in $(seq "$hosts"); do
  used=$(($(sent "h$i") - before[i]))
  payload=$((bytes * calls))
  echo "   h$i sent $used bytes, $((used * 100 / payload)) % of the vectors"
  [ "$used" -le $((payload * most * 110 / 100 + 1000000)) ] || fail "h$i sent more than $most vector(s) per call"
  [ "$used" -ge $((payload * 90 / 100)) ] || fail "h$i sent less than it had to: the counter or the algorithm is not what it seems"
done

echo "== a rank killed in the middle of a call: every survivor names it"
cat > "$work/victim" << 'END'
#!/bin/bash
# victim OUT PROGRAM...: rank 1 dies by SIGKILL when a first row lies in OUT, and the next one takes long; the others say what they
# learnt.
out=$1; shift
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-$SLURM_PROCID}}
"$@" & pid=$!
if [ "$rank" = 1 ]; then
  until grep -q "^  all_reduce" "$out" || ! kill -0 $pid; do sleep 0.2; done
  kill -9 $pid
fi
wait $pid; status=$?
[ "$rank" = 1 ] || echo "SURVIVOR $rank $status"
sleep 2
exit 0
END
chmod +x "$work/victim"
launch "$launcher" "$program" "$layout" "$work/victim" "$work/out" "$tutti" perf all_reduce --min-bytes 8 --max-bytes 32M \
  --factor 4194304 --iterations 1000 --warmup 0 --out-of-place --no-check > "$work/out" 2>&1
total=$(($(echo "$layout" | tr , +)))
[ "$(grep -c "SURVIVOR [0-9]* 1" "$work/out")" = $((total - 1)) ] || { cat "$work/out"; fail "not every survivor ended with an error"; }
[ "$(grep -c "tutti: .*rank 1 (host .*) died" "$work/out")" = $((total - 1)) ] || { cat "$work/out"; fail "not every survivor named rank 1"; }
[[ $launcher != slurm_* ]] || stop_slurm || fail "Slurm does not stop"
echo "PASSED"
