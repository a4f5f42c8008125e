#!/usr/bin/env bash
# usage_test.sh TUTTI: what the program says to help, and to wrong words on its command line and in its environment. No second process.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"

echo "== help and version"
commands="topo explain algorithms schedule verify perf run-mpi doctor env"
expect 0 "$tutti" --help
printed $commands "First steps" "Exit status"
cp "$work/out" "$work/help"
expect 0 "$tutti" help
cmp -s "$work/out" "$work/help" || fail "'$what' is not --help"
for command in $commands; do
  expect 0 "$tutti" "$command" --help
  printed "Usage: tutti $command" "--help" "Example" "Exit status"
  [[ ! -s $work/err ]] || fail "'$what' writes to stderr"
  cp "$work/out" "$work/help"
  expect 0 "$tutti" help "$command"
  cmp -s "$work/out" "$work/help" || fail "'$what' is not $command --help"
done
expect 0 "$tutti" help algorithms show
printed "Usage: tutti algorithms show" "--svg" "Example" "Exit status"
expect 0 "$tutti" perf --help
printed all_to_all bf16 premul_sum algbw busbw "GB/s" "mpirun -np"
expect 0 "$tutti" --help-all
printed $commands --iterations --topology --pieces --markdown
expect 0 "$tutti" --version
grep -qE '^[0-9]+\.[0-9]+\.[0-9]+$' "$work/out" || fail "'$what' prints no version"

echo "== wrong words"
expect 2 "$tutti"
said "Usage: tutti" "First steps" $commands
refuses '"foo"' "$tutti" help foo
refuses '"foo"' "$tutti" foo
said "topo, explain, simulate, algorithms, schedule, verify, perf, tune, run-mpi, doctor, env"
for command in "topo" "explain all_reduce" "algorithms" "algorithms show ring" "schedule all_reduce" "perf all_reduce" "verify" "doctor" "env"; do
  # shellcheck disable=SC2086
  refuses "--no-such-flag" "$tutti" $command --no-such-flag
  said "tutti ${command%% *} --help"
done
refuses "--no-such-flag of that name" "$tutti" explain all_reduce --no-such-flag of that name
for command in perf explain schedule; do
  refuses "which collective?" "$tutti" $command
  said "all_reduce" "exscan"
done
refuses "many" "$tutti" perf all_reduce --iterations many
refuses "--root= is followed by no value" "$tutti" perf all_reduce --root= --max-bytes 8
expect 2 "$tutti" perf all_reduce --in-place --out-of-place
said "--out-of-place" "--in-place"

echo "== perf: values that cannot be meant"
refuses 'there is no collective "all_produce"' "$tutti" perf all_produce
said "all_reduce, reduce, broadcast" "all"
refuses '--type "f31"' "$tutti" perf all_reduce --type f31
said bf16 c128
refuses '--op "plus"' "$tutti" perf all_reduce --op plus
said sum premul_sum
refuses '--op "user"' "$tutti" perf all_reduce --op user
refuses "--op band is not defined for --type f32" "$tutti" perf all_reduce --op band
refuses "--min-bytes 10 is not a multiple of 4" "$tutti" perf all_reduce --min-bytes 10
refuses "--min-bytes 2M is more than --max-bytes 1M" "$tutti" perf all_reduce --min-bytes 2M --max-bytes 1M
for factor in 1 0.5 -2 nan; do refuses "--factor" "$tutti" perf all_reduce --factor=$factor; done
refuses "--root 1: there are ranks 0 to 0" "$tutti" perf broadcast --root 1
for root in "--root=-1" "--root -1"; do
  # shellcheck disable=SC2086
  refuses "--root -1: ranks count from 0" "$tutti" perf broadcast $root
done
refuses "--min-bytes" "$tutti" perf all_reduce --min-bytes 8Q
refuses "--max-bytes" "$tutti" perf all_reduce --max-bytes 99999999999999999999
refuses "more than 10000 sizes" "$tutti" perf all_reduce --factor 1.0000001
refuses "--iterations" "$tutti" perf all_reduce --iterations 0
refuses "--warmup" "$tutti" perf all_reduce --warmup=-1
refuses '"helical"' "$tutti" perf all_reduce --algorithm helical --max-bytes 8
said "all_reduce" "ring"

echo "== perf: odd values that can be meant"
sizes() { sed -n 's/^  all_reduce *\([0-9]*\) .*/\1/p' "$work/out" | paste -sd ' '; }
expect 0 "$tutti" perf all_reduce --min-bytes 0 --max-bytes 32 --factor 1.5 --iterations 1
[[ $(sizes) == "0 4 8 12 16 24" ]] || fail "'$what' measures the sizes $(sizes)"
expect 0 "$tutti" perf all_reduce --max-bytes 1K --factor inf --warmup 0
[[ $(sizes) == 8 ]] || fail "'$what' measures the sizes $(sizes)"

echo "== perf: more than fits into memory"
for size in 100T 16777215T 18446744073709551615; do
  refuses "available" "$tutti" perf all_reduce --max-bytes $size
  said "--max-bytes"
done

echo "== explain: what TUTTI_TOPOLOGY describes, where nothing is asked about"
TUTTI_TOPOLOGY="node:3 core:1" expect 0 "$tutti" explain all_reduce
printed ", 3 ranks;"
TUTTI_TOPOLOGY="node:3 core:1" expect 0 "$tutti" explain all_reduce --topology core:5
printed ", 5 ranks;"
expect 0 "$tutti" explain all_reduce --topology "torus:2x4 core:3" --on hosts
printed ", 8 ranks, a torus of 2x4;"
refuses "9 ranks, one per host, on 8 hosts" "$tutti" explain all_reduce --topology "torus:2x4 core:3" --on hosts --ranks 9

echo "== explain: bad input"
refuses '"all_produce"' "$tutti" explain all_produce
refuses "--bytes" "$tutti" explain all_reduce --bytes much
refuses "--root 8" "$tutti" explain broadcast --ranks 8 --root 8
refuses "helical" "$tutti" explain all_reduce --ranks 8 --algorithm helical
refuses "not commutative" "$tutti" explain all_reduce --ranks 8 --algorithm ring --ordered
refuses "even" "$tutti" explain all_gather --ranks 7 --algorithm neighbour_exchange
refuses "0 not in range 1 to" "$tutti" explain all_reduce --ranks 0
refuses "2000000 not in range 1 to" "$tutti" explain all_reduce --ranks 2000000
refuses "nowhere" "$tutti" explain all_reduce --topology "nowhere:4"
refuses 'write net=VALUE' "$tutti" topo --from "net:-5"
refuses "/no/such.xml" "$tutti" explain all_reduce --topology /no/such.xml
"$tutti" topo --from "node:2 numa:2 core:4" --json >"$work/whole.json" || fail "topo --json"
head -c 300 "$work/whole.json" >"$work/cut.json"
refuses "cut.json" "$tutti" explain all_reduce --topology "$work/cut.json"
for ((i = 0; i < 100000; i++)); do printf '['; done >"$work/deep.json"
refuses "deep.json" "$tutti" explain all_reduce --topology "$work/deep.json"
printf '<?xml version="1.0"?><topology><object type="Machine"' >"$work/cut.xml"
refuses "cut.xml" "$tutti" explain all_reduce --topology "$work/cut.xml"
printf '{"tutti_topology": 1, "nodes": [{"kind": "machine", "parent": 7}], "links": []}' >"$work/bad.json"
refuses "bad.json" "$tutti" topo --from "$work/bad.json"
head -c 4096 /dev/urandom >"$work/noise"
expect 2 "$tutti" explain all_reduce --topology "$work/noise"
refuses "more than" "$tutti" explain all_reduce --topology "node:1000000 core:1000000"

echo "== explain: good input"
expect 0 "$tutti" explain all_reduce --bytes 64 --ranks 64 --topology "node:4 numa:2 core:8"
printed "chosen: " "hierarchical" "ring"
expect 0 "$tutti" explain barrier --ranks 4 --topology "core:4"
printed "barrier of 0 bytes"
expect 0 "$tutti" explain all_reduce --bytes 1M --ranks 8 --topology "$work/whole.json" --json
printed '"chosen"' '"candidates"'

echo "== verify: bad input"
refuses "all_produce" "$tutti" verify --collective all_produce
refuses "helical" "$tutti" verify --algorithm helical
refuses "--ranks" "$tutti" verify --ranks 0
refuses "--ranks" "$tutti" verify --ranks 4..2
refuses "/no/such" "$tutti" verify /no/such
said ENOENT
refuses "between two ranks" "$tutti" verify --collective send_recv
printf 'not a schedule\n' >"$work/broken.txt"
refuses "broken.txt" "$tutti" verify "$work/broken.txt"
expect 2 "$tutti" verify "$work/noise"
expect 0 "$tutti" verify --collective barrier --ranks 1..4
printed "4 of 4 algorithms proved"
expect 0 "$tutti" verify --collective all_reduce --algorithm swing --ranks 3,4
printed "1 of 1 algorithms proved"
expect 2 "$tutti" verify --collective all_reduce --algorithm swing --ranks 3
printed "serves none of these numbers of ranks" "0 of 1 algorithms proved"
said "--ranks 3: none of these algorithms serves any of them"

echo "== numbers that are none, and words that a script forgot to set"
for number in 1e9 4.5M x 99999999999999999999 ""; do
  for option in "explain all_reduce --ranks" "explain broadcast --ranks 4 --root" "algorithms --ranks" "schedule all_reduce --ranks 4 --rank" \
    "schedule all_reduce --algorithm ring --ranks 4 --pieces" "algorithms show ring --collective all_reduce --radix" \
    "perf all_reduce --iterations" "perf all_reduce --warmup" "perf broadcast --root" "verify --ranks" "verify --pieces"; do
    # shellcheck disable=SC2086
    refuses "$number" "$tutti" $option "$number"
    said "${option##* }"
  done
  for option in "explain all_reduce --bytes" "schedule all_reduce --bytes" "perf all_reduce --min-bytes" "perf all_reduce --max-bytes" \
    "tune --max-bytes"; do
    # shellcheck disable=SC2086
    refuses "$number" "$tutti" $option "$number"
    said "${option##* }"
  done
done
for number in 4.5M x "" nan; do
  for option in "perf all_reduce --factor" "tune --factor" "tune --seconds"; do
    # shellcheck disable=SC2086
    refuses "\"$number\" is not a number" "$tutti" $option "$number"
  done
done
for option in "verify" "verify --collective" "verify --algorithm" "explain all_reduce --algorithm" "explain all_reduce --filter" \
  "perf all_reduce --algorithm" "perf all_reduce --filter" "perf all_reduce --transport" "tune --transport"; do
  # shellcheck disable=SC2086
  refuses "must not be empty" "$tutti" $option ""
done
refuses "there are direct, two_shot" "$tutti" verify --algorithm helical
refuses "there are direct, two_shot" "$tutti" algorithms show helical
refuses "there are all_reduce, reduce" "$tutti" verify --collective all_produce
refuses "is dgx-h100 meant?" "$tutti" topo --from dgx-h10:2
refuses "write node:4 rails:8" "$tutti" topo --from rails:8

echo "== files that cannot be written"
perf=("$tutti" perf all_reduce --max-bytes 8 --iterations 1 --warmup 0)
expect 1 "${perf[@]}" --json /dev/full
said "/dev/full" ENOSPC
one_error
expect 1 "${perf[@]}" --json "$work/missing/perf.json"
said "$work/missing/perf.json" ENOENT
one_error
expect 1 "${perf[@]}" --json "$work"
said "$work" EISDIR
one_error
for option in "perf all_reduce --json" "doctor --write-topology" "explain all_reduce --topology" "topo --from"; do
  # shellcheck disable=SC2086
  refuses "must not be empty" "$tutti" $option ""
  # shellcheck disable=SC2086
  refuses "is followed by --bytes" "$tutti" $option --bytes 8
done
# A disk that gets full meanwhile: 1024 bytes are enough for the first sign, but not for the table. What was there stays.
echo "an earlier result" >"$work/perf.json"
expect 1 bash -c 'set -o pipefail; (trap "" XFSZ; ulimit -f 1; exec "$@") | cat' full "$tutti" perf all --max-bytes 8 --json "$work/perf.json"
said "cannot write $work/perf.json" EFBIG
printed "all_reduce" "exscan"
[[ $(cat "$work/perf.json") == "an earlier result" ]] || fail "'$what' has destroyed what was there"
[[ $(echo "$work"/perf.json*) == "$work/perf.json" ]] || fail "'$what' leaves files: $(echo "$work"/perf.json*)"
for command in "env" "env --markdown" "topo" "explain all_reduce" "explain all_reduce --json" "schedule all_reduce" "algorithms" "algorithms --json" \
  "algorithms show ring --collective all_reduce --svg" "doctor" "doctor --json" "--help" "perf all_reduce --max-bytes 1K"; do
  status=0
  # shellcheck disable=SC2086
  "$tutti" $command >/dev/full 2>"$work/err" || status=$?
  [[ $status == 1 && -s $work/err ]] || { fail "'tutti $command > /dev/full' ended with $status"; cat "$work/err"; }
done
expect 0 "${perf[@]}" --json "$work/perf.json"
grep -q '"tutti_perf": 1' "$work/perf.json" || fail "no JSON was written"
expect 0 "${perf[@]}" --json /dev/stdout # a file, here
printed '"tutti_perf": 1' "# tutti perf: 1 ranks" "  all_reduce  "

echo "== one rank: the table and nothing else"
expect 0 "$tutti" perf all --max-bytes 1K --factor 32 --iterations 2 --warmup 1
[[ ! -s $work/err ]] || { fail "'$what' writes to stderr:"; cat "$work/err"; }
! grep -vE '^(#|  [a-z_]+ +[0-9]+ +[0-9]+ )' "$work/out" || fail "'$what' prints more than its table"
for c in all_reduce reduce broadcast all_gather reduce_scatter gather scatter all_to_all barrier scan exscan; do printed "  $c "; done

echo "== variables"
variable() { local text=$1; shift; refuses "$text" env "$@" "$tutti" perf all_reduce --max-bytes 8; }
variable "TUTTI_SIZE" TUTTI_RANK=0
variable "TUTTI_RANK" TUTTI_SIZE=2
variable "TUTTI_RANK=\"first\"" TUTTI_RANK=first TUTTI_SIZE=2
variable "TUTTI_RANK=\"-1\"" TUTTI_RANK=-1 TUTTI_SIZE=2
variable "TUTTI_SIZE" TUTTI_RANK=0 TUTTI_SIZE=0
variable "TUTTI_SIZE" TUTTI_RANK=0 TUTTI_SIZE=99999999999
variable "TUTTI_RANK" TUTTI_RANK=2 TUTTI_SIZE=2 TUTTI_RENDEZVOUS=127.0.0.1:9
variable "TUTTI_RENDEZVOUS" TUTTI_RANK=0 TUTTI_SIZE=2
for bad in nowhere 127.0.0.1: 127.0.0.1:port 127.0.0.1:0 127.0.0.1:65536 :80 '[::1:80'; do
  variable "TUTTI_RENDEZVOUS" TUTTI_RANK=1 TUTTI_SIZE=2 "TUTTI_RENDEZVOUS=$bad"
done
variable "is TUTTI_TIMEOUT meant?" TUTTI_TIMEOUTS=3
variable "at least 16K" TUTTI_SHM_BYTES=1
variable "from 1 to 64" TUTTI_TCP_SOCKETS=100000
variable 'TUTTI_TRANSPORT="xx": there is no transport "xx"; there are shm, verbs, tcp' TUTTI_TRANSPORT=xx
variable "TUTTI_TIMEOUT=\"soon\"" TUTTI_TIMEOUT=soon
variable "TUTTI_TIMEOUT=\"0\"" TUTTI_TIMEOUT=0
variable "TUTTI_LOG=\"loud\"" TUTTI_LOG=loud
variable "TUTTI_CMA=\"yes\"" TUTTI_CMA=yes
variable "TUTTI_SHM_BYTES=\"8 apples\"" "TUTTI_SHM_BYTES=8 apples"
variable "helical" TUTTI_ALGORITHM=helical
variable "all_produce" TUTTI_ALGORITHM=all_produce:ring
variable "WORLD_SIZE" RANK=0 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500
variable "SLURM" SLURM_STEP_ID=0 SLURM_JOB_ID=7 SLURM_PROCID=zero SLURM_NTASKS=2 SLURM_STEP_NUM_TASKS=2

echo "== variables of launchers that are not there"
variable "PMI_SIZE is not set, but PMI_RANK is" PMI_RANK=0
variable "neither PMI_FD nor PMI_PORT" PMI_RANK=0 PMI_SIZE=2
gone() { # gone STATUS TEXT VARIABLES...: found out only when the launcher is asked
  local status=$1 text=$2
  shift 2
  expect "$status" env TUTTI_TIMEOUT=20 "$@" "$tutti" perf all_reduce --max-bytes 8
  said "$text" "TUTTI_RENDEZVOUS"
  one_error
}
port=$(free_port)
gone 1 "PMI_PORT=127.0.0.1:$port: Connection refused" PMI_RANK=0 PMI_SIZE=2 PMI_ID=0 PMI_PORT=127.0.0.1:"$port"
gone 2 "no-such-host.invalid" PMI_RANK=0 PMI_SIZE=2 PMI_ID=0 PMI_PORT=no-such-host.invalid:4000
gone 2 "PMI_FD=77" PMI_RANK=0 PMI_SIZE=2 PMI_FD=77
gone 2 "PMIx" PMIX_NAMESPACE=gone PMIX_RANK=0
gone 2 "PMIx" PMIX_NAMESPACE=gone PMIX_RANK=0 "PMIX_SERVER_URI41=gone@0.0;tcp4://127.0.0.1:$port" OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2

echo "== the program's own variables"
expect 0 env TUTTI_SECRET=hush TUTTI_LOG=info "$tutti" env
printed "[now: set]" "[now: info]"
! grep -q hush "$work/out" || fail "'$what' shows the secret"
expect 2 env TUTTI_RANKS=1 "$tutti" env
said "TUTTI_RANK"
finish
