#!/usr/bin/env bash
# adopt_places_test.sh TUTTI: jobs that adopt their buffers' pages in other namespaces, under limits, and with peers that stop or
# die: results are right, whatever is not adopted has a reason, and nobody waits for ever.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"
export TUTTI_ADOPT=eager TUTTI_LOG=debug TUTTI_CALIBRATE=0  # which would find out whether it pays
perf=("$tutti" perf all_reduce --check --min-bytes 1M --max-bytes 4M --factor 4 --iterations 2 --warmup 1)

try() { "$@" true >"$work/tried" 2>&1; }
job() { # job WHAT COMMAND...: both ranks are content
  echo "== $1"
  shift
  run_ranks "0 0" 2 "$@"
}
all_adopt() {
  local rank
  for rank in 0 1; do grep -q 'bytes at .* are adopted' "$work/err.$rank" || { fail "$what: rank $rank has adopted nothing"; show_ranks; }; done
}
nothing_adopted() { # RANKS REASON: on these ranks
  local rank
  for rank in $1; do
    ! grep -q 'bytes at .* are adopted' "$work/err.$rank" || fail "$what: rank $rank has adopted"
    rank_said "$rank" "$2"
  done
}
job "ordinary" "${perf[@]}"
if grep -q PROCMAP_QUERY "$work"/err.*; then skip "$(grep -h PROCMAP_QUERY "$work/err.0" | head -1)"; fi
all_adopt

# ---- Namespaces
if try unshare -Urp --fork; then
  job "other users' and processes' namespaces, /proc of another one" unshare -Urp --fork "${perf[@]}"
  all_adopt
  if try unshare -Urp --fork --mount-proc; then
    job "with a /proc of their own" unshare -Urp --fork --mount-proc "${perf[@]}"
    all_adopt
  fi
else
  echo "not tried: namespaces of users ($(<"$work/tried"))"
fi
mounted() { # mounted "mount ...": a prefix
  prefix=(unshare -Urm bash -c "$1 && exec \"\$@\"" _)
  try "${prefix[@]}" || { echo "not tried: $1 ($(tail -1 "$work/tried"))"; return 1; }
}
if [[ -z ${SANITIZED:-} ]] && mounted "mount -t tmpfs none /proc"; then # sanitizers look there
  job "without /proc" "${prefix[@]}" "${perf[@]}"
  nothing_adopted "0 1" "no buffer can be adopted: opening /proc/self/maps"
fi
if mounted "mount -t tmpfs -o size=64k none /dev/shm"; then
  job "a tiny /dev/shm" "${prefix[@]}" "${perf[@]}"
  all_adopt
fi
if mounted "mount -t tmpfs -o ro none /dev/shm"; then
  job "a /dev/shm that cannot be written" "${prefix[@]}" "${perf[@]}"
  all_adopt
fi
if mounted "mount -t tmpfs none /dev"; then
  job "no /dev/shm" "${prefix[@]}" "${perf[@]}"
  all_adopt
fi
if mounted "mount -t proc -o hidepid=2 none /proc" || { prefix=(unshare -m bash -c 'mount -t proc -o hidepid=2 none /proc && exec "$@"' _); try "${prefix[@]}"; }; then
  job "a /proc that shows nobody else's" "${prefix[@]}" "${perf[@]}"
  all_adopt
fi

# ---- Limits
job "nothing may be locked" bash -c 'ulimit -l 0; exec "$@"' _ "${perf[@]}"
all_adopt
descriptors=(18 20 28) # besides those that this script has inherited
[[ -z ${SANITIZED:-} ]] || descriptors=() # sanitizers need some
for n in "${descriptors[@]}"; do
  job "few descriptors: $n" bash -c "ulimit -n $((n - 4 + $(ls /proc/self/fd | wc -l))); exec \"\$@\"" _ "${perf[@]}"
  rank_said 0 "adopted: "
done
job "small files" bash -c 'ulimit -f 1024; exec "$@"' _ "${perf[@]}"
rank_said 0 "a file may have (ulimit -f)"
job "files smaller than a buffer" env TUTTI_SHM_BYTES=256K bash -c 'ulimit -f 2048; exec "$@"' _ "${perf[@]}" --transport shm
rank_said 0 "bytes are not adopted" "a file may have (ulimit -f)"
job "no more than a buffer" env TUTTI_ADOPT_BYTES=1M "${perf[@]}" --out-of-place
rank_said 0 "so much may not be adopted"

# What is adopted counts once, but for the 4 MB that are there twice meanwhile: a job that just fits goes on fitting.
memory_group() { # makes one below this process's own, into $group, $limit and $peak; cgroups 2 or 1
  local path
  path=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
  limit=memory.max peak=memory.peak
  if [[ ! -e $path/memory.max ]]; then
    path=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
    limit=memory.limit_in_bytes peak=memory.max_usage_in_bytes
  fi
  group=$path/tutti-adopt.$$
  mkdir "$group" 2>"$work/tried" || return 1
  [[ -w $group/$limit && -r $group/$peak ]] || { rmdir "$group"; echo "no $limit and $peak" >"$work/tried"; return 1; }
}
if [[ -z ${SANITIZED:-} ]] && memory_group; then
  trap 'cleanup; rmdir "$group"' EXIT
  in_group=(env GROUP="$group/cgroup.procs" bash -c 'echo $$ >"$GROUP" && exec "$@"' _)
  large=("$tutti" perf all_reduce --check --min-bytes 32M --max-bytes 32M --iterations 1 --warmup 0 --in-place)
  TUTTI_ADOPT=off job "as much memory as it takes without" "${in_group[@]}" "${large[@]}"
  most=$(<"$group/$peak")
  echo $((most + (24 << 20))) >"$group/$limit"
  job "little more memory" "${in_group[@]}" "${large[@]}"
  all_adopt
  echo $((most + (4 << 20))) >"$group/$limit" # less than what is spared for two ranks
  job "no memory to spare" "${in_group[@]}" "${large[@]}"
  nothing_adopted "0 1" "little memory is left to this control group"
else
  echo "not tried: a limit of memory ($(tail -1 "$work/tried"))"
fi

# ---- Peers that stop, or die
endless=("$tutti" perf all_reduce --no-check --min-bytes 4M --max-bytes 4M --iterations 100000 --warmup 0 --out-of-place)
# start_endless: until both ranks have adopted two buffers, so that they are in the middle of their calls
start_endless() {
  rm -f "$work"/out.* "$work"/err.*
  start_ranks 2 "${endless[@]}"
  until (($(cat "$work"/err.* | grep -c 'bytes at .* are adopted') >= 4)); do
    kill -0 "${pids[@]}" 2>/dev/null || { fail "the job does not run"; show_ranks; finish; }
    sleep 0.05
  done
}
echo "== a rank that is killed"
for _ in 1 2 3 4; do
  start_endless
  kill -9 "${pids[1]}"
  wait_ranks
  [[ $statuses == "1 137" ]] || { fail "$what ended with $statuses"; show_ranks; }
  rank_said 0 "rank 1"
done
echo "== a rank that is stopped, and goes on later"
for how in CONT KILL; do
  TUTTI_TIMEOUT=2 start_endless
  kill -STOP "${pids[1]}"
  status=0
  wait "${pids[0]}" 2>/dev/null || status=$?
  [[ $status == 1 ]] || { fail "$what: rank 0 ended with $status"; show_ranks; }
  rank_said 0 "rank 1"
  kill -$how "${pids[1]}"
  status=0
  wait "${pids[1]}" 2>/dev/null || status=$?
  [[ $status == $([[ $how == CONT ]] && echo 1 || echo 137) ]] || { fail "$what: the stopped rank ended with $status"; show_ranks; }
done
finish
