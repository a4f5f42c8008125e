#!/usr/bin/env bash
# jobs_test.sh TUTTI: jobs of several processes on this host, started by variables: right ones, and what every rank says when they
# do not fit together.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"
short=(--max-bytes 4K --factor 64 --iterations 2 --warmup 1)

echo "== 1, 2 and 3 ranks: rank 0 prints the table, nobody prints anything else"
run_ranks "0" 1 "$tutti" perf all "${short[@]}"
for ranks in 2 3; do
  wanted=$(printf '0 %.0s' $(seq "$ranks"))
  run_ranks "${wanted% }" "$ranks" "$tutti" perf all "${short[@]}" --json "$work/perf.json"
  grep -q "perf: $ranks ranks" "$work/out.0" || fail "$what: no table"
  [[ $(grep -c "^  [a-z]" "$work/out.0") == 23 ]] || { fail "$what: $(grep -c "^  [a-z]" "$work/out.0") rows"; cat "$work/out.0"; }
  grep -q "\"ranks\": $ranks" "$work/perf.json" || fail "$what: no JSON"
  # Where it takes long, rank 0 tells how far it is.
  cat "$work"/out.[1-9] "$work"/err.* | grep -v '^tutti perf: [0-9]* of [0-9]* measurements done' >"$work/more"
  [[ ! -s $work/more ]] || { fail "$what prints more:"; cat "$work/more"; }
done
run_ranks "0 0 0" 3 "$tutti" perf reduce "${short[@]}" --root 2 --type bf16 --op max
run_ranks "0 0" 2 "$tutti" perf all_reduce "${short[@]}" --transport tcp
grep -q ", tcp$" "$work/out.0" || { fail "$what did not use tcp"; cat "$work/out.0"; }
rendezvous="[::1]:$(free_port)"
[[ ! -e /proc/net/if_inet6 ]] || run_ranks "0 0" 2 "$tutti" perf barrier
rendezvous="localhost:$(free_port)"
! getent hosts localhost >/dev/null || run_ranks "0 0" 2 "$tutti" perf barrier
unset rendezvous

echo "== torchrun's and Slurm's variables"
torch() { # torch RANK RANKS PORT COMMAND...
  env RANK="$1" WORLD_SIZE="$2" LOCAL_RANK="$1" LOCAL_WORLD_SIZE="$2" MASTER_ADDR=127.0.0.1 MASTER_PORT="$3" "${@:4}"
}
slurm() { # as srun without PMIx gives them
  env SLURM_JOB_ID="$3" SLURM_STEP_ID=0 SLURM_PROCID="$1" SLURM_LOCALID="$1" SLURM_NTASKS="$2" SLURM_STEP_NUM_TASKS="$2" \
    SLURM_STEP_NODELIST=localhost SLURM_NODELIST=localhost SLURM_JOB_NODELIST=localhost "${@:4}"
}
for launcher in torch slurm; do
  port=$(free_port)
  pids=()
  for rank in 0 1 2; do
    "$launcher" $rank 3 "$port" "$tutti" perf all_reduce "${short[@]}" >"$work/out.$rank" 2>"$work/err.$rank" &
    pids+=($!)
  done
  what="a job with the variables of $launcher" && wait_ranks
  [[ $statuses == "0 0 0" ]] || { fail "$what ended with $statuses"; show_ranks; }
  grep -qi "3 ranks, launcher .*$launcher" "$work/out.0" || { fail "$what: no table that says so"; head -1 "$work/out.0"; }
done

echo "== what only the job can tell: the lowest rank concerned says so, all end alike"
one_speaker() { # one_speaker RANK TEXT...: it said each of them in its one error, the others said nothing
  local speaker=$1 f
  shift
  rank_said "$speaker" "$@"
  for f in "$work"/err.*; do
    [[ $(wc -l <"$f") == $((${f##*.} == speaker)) ]] || { fail "$what: only rank $speaker should speak, and once:"; show_ranks; }
  done
  for f in "$work"/out.*; do [[ ! -s $f ]] || { fail "$what: prints besides its error"; cat "$f"; }; done
}
run_ranks "2 2" 2 "$tutti" perf broadcast "${short[@]}" --root 2
one_speaker 0 "--root 2: there are ranks 0 to 1"
run_ranks "2 2 2" 3 bash -c 'exec "$0" perf broadcast --root $((TUTTI_RANK == 1 ? 5 : 0))' "$tutti"
one_speaker 1 "--root 5: there are ranks 0 to 2"
run_ranks "2 2 2" 3 "$tutti" perf all_reduce --max-bytes 100T
one_speaker 0 "3 ranks" "available" "--max-bytes"
# What fits once, but not three times.
part=$(awk '/^MemAvailable:/ {print int($2 / 5)}' /proc/meminfo)K
run_ranks "2 2 2" 3 "$tutti" perf all_reduce --min-bytes "$part" --max-bytes "$part"
one_speaker 0 "3 ranks" "available"
for path in "$work/missing/perf.json" "$work" /dev/full; do
  run_ranks "1 1 1" 3 "$tutti" perf all_reduce "${short[@]}" --json "$path"
  one_speaker 0 "$path"
done
run_ranks "1 1 1" 3 bash -c '(trap "" XFSZ; ulimit -f 1; exec "$@") > >(cat)' full "$tutti" perf all "${short[@]}" --json "$work/perf.json"
rank_said 0 "cannot write $work/perf.json" EFBIG
[[ ! -s $work/err.1 && ! -s $work/err.2 ]] || { fail "$what: other ranks speak, too"; show_ranks; }

echo "== explain in a job: rank 0 tells what its ranks agreed on"
export TUTTI_TOPOLOGY=core:2
for transport in shm tcp; do  # over tcp alone no rank sees that the others are its neighbours, but they do share its cores
  TUTTI_TRANSPORT=$transport run_ranks "0 0 0" 3 "$tutti" explain all_reduce --bytes 64K
  grep -q "oversubscribed: 3 ranks share the cores" "$work/out.0" || { fail "$what: over $transport the cores seem free"; cat "$work/out.0"; }
  [[ ! -s $work/out.1 && ! -s $work/out.2 ]] || fail "$what: rank 1 or 2 prints, too"
done
unset TUTTI_TOPOLOGY
run_ranks "0 0" 2 "$tutti" explain reduce_scatter --bytes 64K --ordered --uneven --json
grep -q '"refused"' "$work/out.0" || { fail "$what: nothing is refused"; cat "$work/out.0"; }
for transport in shm tcp; do
  TUTTI_CALIBRATE=1 TUTTI_TRANSPORT=$transport run_ranks "0 0" 2 "$tutti" explain all_reduce
  grep -q "GB/s *(measured)" "$work/out.0" || { fail "$what: what was measured over $transport is not used"; cat "$work/out.0"; }
done

echo "== explain in a job: what carries each link, and why this"
run_ranks "0 0 0" 3 "$tutti" explain all_reduce
grep -q "^  between ranks  *shm  *the first that both have, in the order shm, verbs, tcp$" "$work/out.0" || { fail "$what: no reason for shm"; cat "$work/out.0"; }
TUTTI_TRANSPORT=^shm,verbs run_ranks "0 0" 2 "$tutti" explain all_reduce
grep -q '^  between ranks  *tcp  *[^ ]* [0-9.:a-f]*; not shm: TUTTI_TRANSPORT="^shm,verbs" leaves it out; not verbs: ' "$work/out.0" ||
  { fail "$what: no reason for tcp"; cat "$work/out.0"; }
# Rank 2 has no shared memory: it is told by whom it concerns, and pairs are counted.
rank_setup() { [[ $1 != 2 ]] || export TUTTI_TRANSPORT=tcp; }
run_ranks "0 0 0" 3 "$tutti" explain all_reduce
grep -q "^  inside a host  *shm  *the first" "$work/out.0" || { fail "$what: nothing of ranks 0 and 1"; cat "$work/out.0"; }
grep -q "^  between the outermost groups  *tcp .*not shm: TUTTI_TRANSPORT of rank 2 leaves it out" "$work/out.0" ||
  { fail "$what: nothing of rank 2"; cat "$work/out.0"; }
run_ranks "0 0 0" 3 "$tutti" explain all_reduce --json
for text in '"transport": "shm"' '"transport": "tcp"' '"pairs": 1' '"pairs": 2'; do
  grep -q "$text" "$work/out.0" || { fail "$what: no $text"; cat "$work/out.0"; }
done
rank_setup() { :; }
expect 0 "$tutti" explain all_reduce --on cores --topology "node:2 core:2 nic:2 net=25GB/s net_latency=2us"
printed "  inside a host                  shm      expected: " "  between the outermost groups   verbs    2 links of a host side by side; expected: "

echo "== the network of a job, where its ranks describe as many hosts as it has"
described() { # described TOPOLOGY RANKS COMMAND...: each rank on a host of its own
  TUTTI_TRANSPORT=tcp TUTTI_TOPOLOGY=$1 run_ranks "$(printf '0 %.0s' $(seq "$2") | sed 's/ $//')" "$2" "${@:3}"
}
explained() { local t; for t; do grep -q -- "$t" "$work/out.0" || { fail "$what: no '$t' in"; cat "$work/out.0"; }; done; }
for topology in "torus:2x2 core:4" "fat-tree:2x2 core:4 oversubscription=8"; do
  for where in job description; do
    if [[ $where == job ]]; then
      described "$topology" 4 "$tutti" explain all_reduce --bytes 64M
    else
      what="explain --topology $topology"
      "$tutti" explain all_reduce --bytes 64M --on hosts --topology "$topology" >"$work/out.0" || fail "$what"
    fi
    grep "chosen:" "$work/out.0" >"$work/chosen.$where"
    case $topology in
      torus*) explained "4 ranks, a torus of 2x2;" "multi_ring .*bytes" "swing .*bytes" ;;
      *) explained "4 ranks, 2 leaf groups, in pods of 2 with uplinks for 0.25 links;" "bine .*the uplinks of a pod of 2 ranks" ;;
    esac
  done
  cmp -s "$work/chosen.job" "$work/chosen.description" || { fail "$topology: not the choice of the description"; cat "$work"/chosen.*; }
done
described "torus:2x2 core:4" 3 "$tutti" explain all_reduce
explained "^all_reduce of .* 3 ranks; " "swing .*refused: "
TUTTI_ALGORITHM=all_reduce:multi_ring described "torus:2x2 core:4" 4 "$tutti" perf all_reduce "${short[@]}" --check
described "fat-tree:2x2 core:4 oversubscription=2" 4 "$tutti" perf all "${short[@]}" --check

rank_setup() { export TUTTI_TOPOLOGY="torus:4x4 core:4"; }
run_ranks "0 0 0" 3 "$tutti" explain all_reduce
rank_said 0 "TUTTI_TOPOLOGY describes 16 hosts; the job has 1"
[[ ! -s $work/err.1 ]] || { fail "$what: every rank says so"; cat "$work/err.1"; }
rank_setup() { :; }

run_ranks "2 0" 2 "$tutti" explain broadcast --root 7
rank_said 0 "root 7"

echo "== values wrong on all ranks: each says so once"
run_ranks "2 2" 2 "$tutti" perf all_reduce "${short[@]}" --transport pigeon
rank_said 0 pigeon
rank_said 1 pigeon
one_error_each

echo "== ranks that disagree: both sides on both ranks"
differ() { # differ FLAGS_OF_RANK_0 FLAGS_OF_RANK_1 TEXT...: in each rank's one error
  local zero=$1 one=$2
  shift 2
  run_ranks "1 1" 2 bash -c 'if [[ $TUTTI_RANK = 0 ]]; then exec $0 perf $1; else exec $0 perf $2; fi' "$tutti" "$zero" "$one"
  rank_said 0 "disagree" "rank 1" "$@"
  rank_said 1 "disagree" "rank 0" "$@"
  one_error_each
}
differ "all_reduce --min-bytes 8" "all_reduce --min-bytes 16" "count 2," "count 4,"
differ "all_reduce --min-bytes 256K" "all_reduce --min-bytes 1M" "count 65536," "count 262144,"
differ "all_reduce --type f32" "all_reduce --type i32" "f32" "i32"
differ "all_reduce --op sum" "all_reduce --op max" "sum" "max"
differ "broadcast --root 0" "broadcast --root 1" "broadcast #"
differ "all_reduce" "all_gather" "all_reduce #" "all_gather #"
for option in "--iterations 3" "--max-bytes 64" "--in-place" "--factor 16"; do # what no call would show, or too late
  run_ranks "2 2 2" 3 bash -c 'exec $0 perf all_reduce $([[ $TUTTI_RANK != 1 ]] || echo "$1")' "$tutti" "$option"
  rank_said 0 "rank 1 has ${option%% *}" "rank 0 has ${option%% *}"
  rank_said 1 "rank 0 has ${option%% *}" "rank 1 has ${option%% *}"
  one_error_each
done
rank_setup() { export TUTTI_CALIBRATE=$1; }
run_ranks "1 1" 2 "$tutti" perf barrier
rank_said 0 "rank 1 has TUTTI_CALIBRATE=1, rank 0 has TUTTI_CALIBRATE=0"
rank_said 1 "rank 0 has TUTTI_CALIBRATE=0, rank 1 has TUTTI_CALIBRATE=1"
one_error_each
unset -f rank_setup

echo "== too few open files on one rank: it says which limit, and how to raise it"
export TUTTI_TIMEOUT=20
limits=("8 shm" "13 shm" "8 tcp")
[[ -z ${SANITIZED:-} ]] || { echo "(not here: sanitizers need open files for their own checks)"; limits=(); }
for few in "${limits[@]}"; do
  read -r files transport <<<"$few"
  # shellcheck disable=SC2016
  run_ranks "1 1 1" 3 bash -c '[[ $TUTTI_RANK != 1 ]] || ulimit -Sn $0; exec "$@"' "$files" "$tutti" perf all_reduce "${short[@]}" --transport "$transport"
  rank_said 1 EMFILE "$files open files (ulimit -n)" "ulimit -n $(ulimit -Hn)"
  one_error_each
done
if [[ -z ${SANITIZED:-} ]]; then  # too few to let anybody in
  # shellcheck disable=SC2016
  expect 1 env TUTTI_RANK=0 TUTTI_SIZE=2 TUTTI_RENDEZVOUS=127.0.0.1:"$(free_port)" \
    bash -c 'ulimit -Sn 8; exec "$@"' few "$tutti" perf barrier
  grep -q '^tutti: .*EMFILE.* 8 open files' "$work/err" || { fail "'$what' does not say why:"; cat "$work/err"; }
fi
unset TUTTI_TIMEOUT

echo "== one rank that never comes"
export TUTTI_TIMEOUT=2
for lonely in 0 1; do
  port=$(free_port)
  start=$SECONDS
  expect 1 env TUTTI_RANK=$lonely TUTTI_SIZE=2 TUTTI_RENDEZVOUS=127.0.0.1:"$port" "$tutti" perf barrier
  said "127.0.0.1:$port" "rank $lonely"
  one_error
  ((SECONDS - start < 30)) || fail "'$what' took $((SECONDS - start)) s"
done
expect 1 env TUTTI_RANK=1 TUTTI_SIZE=2 TUTTI_RENDEZVOUS=no-such-host.invalid:4000 "$tutti" perf barrier
said "no-such-host.invalid"
unset TUTTI_TIMEOUT

echo "== a wrong secret"
export TUTTI_TIMEOUT=5
rank_setup() { export TUTTI_SECRET=of-rank-$1; }
run_ranks "1 1" 2 "$tutti" perf barrier
rank_said 0 "secret"
rank_said 1 "secret"
one_error_each
rank_setup() { export TUTTI_SECRET=the-same; }
unset TUTTI_TIMEOUT
run_ranks "0 0" 2 "$tutti" perf barrier
unset -f rank_setup

echo "== garbage on the rendezvous' port while a job starts"
throw() { # whatever a stranger may send: noise, half a line, another protocol, nothing
  local port=$1 i
  for i in $(seq 200); do
    { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null && break
    sleep 0.05
  done
  head -c 65536 /dev/urandom >&3
  { exec 4<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.1\r\n\r\n' >&4; exec 5<>"/dev/tcp/127.0.0.1/$port"; printf 't' >&5; }
} 2>/dev/null
port=$(free_port)
rendezvous=127.0.0.1:$port
(throw "$port"; touch "$work/thrown"; exec sleep 60) & # strangers that stay
stranger=$!
run_ranks "0 0" 2 bash -c 'if [[ $TUTTI_RANK = 1 ]]; then while [[ ! -e $0/thrown ]]; do sleep 0.05; done; fi; exec "$@"' "$work" "$tutti" perf all_reduce "${short[@]}"
unset rendezvous
kill $stranger; wait $stranger 2>/dev/null
finish
