#!/usr/bin/env bash
# rounds.sh ROUNDS BINARIES PEERS CASE...: in the virtual machine, where run.py starts it. In each round all contenders take turns. A
# line for each figure: the case, the contender, the figure. Counts are taken once, and printed as they are to be read. PEERS is
# peers.c, compiled for Open MPI.
set -u
rounds=$1 binaries=$2 peers=$3
shift 3
. "$(dirname "$0")/../../tests/verbs/common.sh"
unset TUTTI_CALIBRATE  # as users have it
# Waiting ranks do not sleep: a millisecond is short where the processor is emulated.
device=rxe2 address=10.99.2.1
export TUTTI_IB_DEVICES==$device TUTTI_INTERFACE=lo TUTTI_SPIN_US=1000000 UCX_TLS=rc_v,self UCX_IB_GID_INDEX=0 UCX_NET_DEVICES=$device:1
limit=(timeout -k 1 60)  # where the machine is busy, a contender may not be through

# perftest COLUMN PROGRAM [OPTIONS]: what it prints there
perftest() {
  local column=$1 port
  shift
  port=$(free_port)
  "${limit[@]}" "$@" -p "$port" -d $device -x "$(ipv4_gid $device)" -F >/dev/null 2>&1 &
  until_listening "$port" >&2
  "${limit[@]}" "$@" -p "$port" -d $device -x "$(ipv4_gid $device)" -F $address 2>/dev/null | awk -v c="$column" '/^ *[0-9]/ { print $c }'
  wait $! || kill $! 2>/dev/null
}
ours() { # TRANSPORT OPTION NUMBER
  "${limit[@]}" "$binaries/bin/transport_bench" "$1" --interface lo --devices =$device "$2" "$3" | awk '{ print $4 }'
}
line() { [[ -z ${3:-} ]] || printf '%s\t%s\t%s\n' "$1" "$2" "$3"; }

# all_reduce CONTENDER MEMORY PROGRAM [OPTIONS of mpirun]: its lines of JSON become figures in microseconds
all_reduce() {
  local contender=$1 memory=$2 program=$3 sizes
  shift 3
  for sizes in "8 65536 8192 100" "4194304 4194304 2 600"; do
    read -r least most factor ms <<<"$sizes"
    "${limit[@]}" mpirun.openmpi --allow-run-as-root --bind-to core -np 2 "$@" "$program" allreduce --min-bytes "$least" --max-bytes "$most" \
      --factor "$factor" --milliseconds "$ms" --memory "$memory" 2>"$work/err" >"$work/out" || { echo "$contender has failed:"; cat "$work/err"; } >&2
    sed -n 's/.*"bytes": \([0-9]*\),.*"median_us": \([0-9.]*\),.*/\1 \2/p' "$work/out" |
      while read -r bytes us; do line "all_reduce of $bytes bytes, $memory" "$contender" "$us"; done
  done
}

# System calls of both ranks, by name: strace's table
system_calls() { # CALLS
  strace -f -qq -c -o "$work/strace" "${limit[@]}" "$binaries/bin/verbs_counts" --no-heading --calls "$1" --bytes 8 >/dev/null
  awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { print $NF, $4 }' "$work/strace"
}

counts() {
  local ranks first="" few=40 many=240
  export TUTTI_CALIBRATE=0  # the same algorithms each time
  for ranks in 2 4; do
    "${limit[@]}" "$binaries/bin/verbs_counts" --device $device --ranks $ranks $first
    first=--no-heading
  done
  system_calls $few >"$work/few"
  system_calls $many >"$work/many"
  echo
  echo "system calls of a rank for one all_reduce of 8 bytes by 2 ranks ($many calls less $few, under strace, where ranks wait longer):"
  awk -v calls=$((2 * (many - few))) 'NR == FNR { few[$1] = $2; next } ($2 - few[$1]) / calls >= 0.005 { printf "  %s %.2f\n", $1, ($2 - few[$1]) / calls }' \
    "$work/few" "$work/many"
  unset TUTTI_CALIBRATE
}

measure() {
  case $1 in
    pingpong)
      line "8 bytes one way" ib_send_lat "$(perftest 5 ib_send_lat -s 8 -n 2000)"
      line "8 bytes one way" ib_write_lat "$(perftest 5 ib_write_lat -s 8 -n 2000)"
      line "8 bytes one way" "tutti verbs" "$(ours verbs --pingpong 2000)"
      line "8 bytes one way" "tutti ucx" "$(ours ucx --pingpong 2000)"
      ;;
    stream)
      # MiB/s
      line "1 MiB, many" ib_write_bw "$(perftest 4 ib_write_bw -s 1048576 -n 48 | awk '{ print $1 * 1.048576 }')"
      line "1 MiB, many" "tutti verbs" "$(ours verbs --stream 48)"
      line "1 MiB, many" "tutti ucx" "$(ours ucx --stream 48)"
      ;;
    all_reduce)
      for memory in alloc_mem malloc; do
        all_reduce "Open MPI, UCX" $memory "$peers" --mca pml ucx --mca osc ucx
        all_reduce "tutti verbs" $memory "$binaries/bin/peers_direct" -x TUTTI_TRANSPORT=verbs
      done
      ;;
  esac
}

for case; do [[ $case != counts ]] || counts; done
for ((round = 0; round < rounds; ++round)); do
  for case; do measure "$case"; done
done
