#!/usr/bin/env bash
# tune_test.sh TUTTI: what is measured is kept, used by later jobs of the same layout only, and agreed by all ranks.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"
file=$work/tuning.json
brief=(--seconds 0.2 --max-bytes 4K --factor 16)
explain=("$tutti" explain all_reduce --bytes 4K)

echo "== measured, shown, kept"
run_ranks "0 0 0" 3 "$tutti" tune all_reduce barrier "${brief[@]}" --output "$file" --json "$work/all.json"
grep -q "^all_reduce *2048 " "$work/out.0" || { fail "$what: no row of 2048 bytes"; cat "$work/out.0"; }
[[ $(grep -c "^barrier" "$work/out.0") == 1 ]] || { fail "$what: not one barrier"; cat "$work/out.0"; }
grep -q "Kept in $file for jobs of this layout: 3 ranks" "$work/out.0" || { fail "$what: not kept"; cat "$work/out.0"; }
cat "$work"/out.[12] "$work"/err.* | grep -v '^tutti tune: [0-9]* of' >"$work/more"
[[ ! -s $work/more ]] || { fail "$what prints more:"; cat "$work/more"; }
grep -q '"tutti_tuning": 1' "$file" || fail "no tuning file"
grep -q '"by_model"' "$work/all.json" || fail "no JSON"

echo "== used by jobs of this layout"
export TUTTI_TUNING=$file
run_ranks "0 0 0" 3 "${explain[@]}"
for text in "measurements of whole calls from $file" "the least time by measurement" " measured "; do
  grep -qF "$text" "$work/out.0" || { fail "$what: no '$text'"; cat "$work/out.0"; }
done
run_ranks "0 0 0" 3 "${explain[@]}" --json
grep -q '"measured_us": [0-9]' "$work/out.0" || { fail "$what: not measured"; cat "$work/out.0"; }
run_ranks "0 0 0" 3 "$tutti" perf all_reduce --max-bytes 4K --iterations 2

echo "== rank 0 reads it for all: the others need not have it"
rank_setup() { [[ $1 == 0 ]] || export TUTTI_TUNING=/nowhere/tuning.json; }
run_ranks "0 0 0" 3 "${explain[@]}"
grep -q "the least time by measurement" "$work/out.0" || { fail "$what: not used"; cat "$work/out.0"; }
unset -f rank_setup
rank_setup() { export TUTTI_PROVE_RANKS=$((64 + $1)); }
run_ranks "1 1" 2 "${explain[@]}"
rank_said 0 'TUTTI_PROVE_RANKS="6' # what is there and what is here depends on who says it first
unset -f rank_setup

echo "== not by other layouts; more of them in one file"
run_ranks "0 0" 2 "${explain[@]}"
grep -q "the least predicted time" "$work/out.0" || { fail "$what: used measurements of 3 ranks"; cat "$work/out.0"; }
TUTTI_TRANSPORT=tcp run_ranks "0 0 0" 3 "${explain[@]}"
grep -q "the least predicted time" "$work/out.0" || { fail "$what: used measurements of shm over tcp"; cat "$work/out.0"; }
run_ranks "0 0" 2 "$tutti" tune all_reduce "${brief[@]}" --output "$file"
[[ $(grep -c '"about"' "$file") == 2 ]] || { fail "two layouts in one file"; cat "$file"; }
run_ranks "0 0" 2 "$tutti" tune broadcast "${brief[@]}" --output "$file"
[[ $(grep -c '"about"' "$file") == 2 ]] || { fail "the same layout again replaces the old one"; cat "$file"; }
[[ $(grep -c '"broadcast", "direct"' "$file") -gt 0 && $(grep -c '"all_reduce", "direct"' "$file") -gt 4 ]] ||
  { fail "what was measured of another collective stays"; cat "$file"; }

echo "== the usual place"
export TUTTI_TUNING=auto HOME=$work/home XDG_CACHE_HOME=
run_ranks "0 0" 2 "${explain[@]}"
run_ranks "0 0" 2 "$tutti" tune all_reduce "${brief[@]}"
[[ -s $work/home/.cache/tutti/tuning.json ]] || fail "nothing in ~/.cache/tutti"
run_ranks "0 0" 2 "${explain[@]}"
grep -q "the least time by measurement" "$work/out.0" || { fail "$what: not found in ~/.cache/tutti"; cat "$work/out.0"; }
TUTTI_TUNING=off run_ranks "0 0" 2 "${explain[@]}"
grep -q "the least predicted time" "$work/out.0" || { fail "$what: used although off"; cat "$work/out.0"; }
echo "{" >"$work/home/.cache/tutti/tuning.json"
run_ranks "0 0" 2 "${explain[@]}"
rank_said 0 "tuning.json" "not JSON, or not all of it" "going on without it"
run_ranks "2 2" 2 "$tutti" tune all_reduce "${brief[@]}"
rank_said 0 "remove it, or name another file with --output" "not JSON, or not all of it"
[[ $(cat "$work/home/.cache/tutti/tuning.json") == "{" ]] || fail "a file that cannot be read was overwritten"

echo "== files that do not fit: every rank says why"
export TUTTI_TUNING=$work/other.json
sed 's/"machine": "[0-9a-f]*"/"machine": "00000000000000aa"/' "$file" >"$work/other.json"
run_ranks "2 2 2" 3 "${explain[@]}"
rank_said 0 "TUTTI_TUNING" "nothing in '$work/other.json' was measured on this machine"
rank_said 2 "nothing in '$work/other.json' was measured on this machine"
one_error_each
sed 's/"tutti": "[^"]*"/"tutti": "0.0.0"/' "$file" >"$work/other.json"
run_ranks "2 2 2" 3 "${explain[@]}"
rank_said 1 "was measured on this machine"
head -c 300 "$file" >"$work/other.json"
run_ranks "2 2 2" 3 "${explain[@]}"
rank_said 0 "tuning file '$work/other.json': this is not JSON, or not all of it"
sed 's/"all_reduce"/"all_thing"/' "$file" >"$work/other.json"
run_ranks "2 2 2" 3 "${explain[@]}"
rank_said 0 "layouts[0].measured[0]: there is no collective \"all_thing\""
export TUTTI_TUNING=$work/missing.json
run_ranks "2 2" 2 "${explain[@]}"
rank_said 0 "cannot read the tuning file '$work/missing.json'"

echo "== a file that TUTTI_TUNING names is made"
export TUTTI_TUNING=$work/new.json
run_ranks "0 0" 2 "$tutti" tune barrier "${brief[@]}"
[[ -s $work/new.json ]] || fail "nothing in $TUTTI_TUNING"
run_ranks "1 1" 2 "$tutti" tune barrier --seconds 100 --output /proc/new.json # before it measures

echo "== two jobs at once"
export TUTTI_TUNING=off
what="two jobs that tune at once"
port=$(free_port) other=$(free_port)
pids=()
for job in "$port all_reduce" "$other broadcast"; do
  read -r port collective <<<"$job"
  for rank in 0 1; do
    TUTTI_RANK=$rank TUTTI_SIZE=2 TUTTI_RENDEZVOUS=127.0.0.1:$port "$tutti" tune "$collective" --seconds 1 --max-bytes 256 --factor 2 \
      --output "$work/both.json" >"$work/out.$collective.$rank" 2>&1 </dev/null &
    pids+=($!)
  done
done
wait_ranks
[[ $statuses == "0 0 0 0" ]] || { fail "$what ended with $statuses"; show_ranks; }
for collective in all_reduce broadcast; do
  for bytes in 8 64 256; do
    grep -q "\"$collective\", .*, $bytes, [0-9.e-]*\]" "$work/both.json" || { fail "$what: no $collective of $bytes bytes"; cat "$work/both.json"; }
  done
done

echo "== interrupted: what was measured is there, and what was there before"
run_ranks "0 0" 2 "$tutti" tune broadcast "${brief[@]}" --output "$work/cut.json"
echo "an earlier result" >"$work/cut_all.json"
for signal in TERM KILL; do
  before=$(grep -c '"all_reduce"' "$work/cut.json")
  start_ranks 2 "$tutti" tune all_reduce --seconds 1000 --every-variant --max-bytes 1M --factor 1.01 --output "$work/cut.json" --json "$work/cut_all.json"
  for ((i = 0; i < 600; i++)); do
    [[ $(grep -c '"all_reduce"' "$work/cut.json") == "$before" ]] || break
    kill -0 "${pids[0]}" 2>/dev/null || break
    sleep 0.1
  done
  kill -s $signal "${pids[@]}"
  wait_ranks
  (($(grep -c '"all_reduce"' "$work/cut.json") > 0)) || { fail "$what: nothing is kept after SIG$signal"; cat "$work/cut.json"; }
  grep -q '"broadcast"' "$work/cut.json" || fail "$what: what was there before is lost after SIG$signal"
  [[ $(cat "$work/cut_all.json") == "an earlier result" ]] || fail "$what: --json has destroyed what was there"
  TUTTI_TUNING=$work/cut.json run_ranks "0 0" 2 "$tutti" explain all_reduce --bytes 8
  grep -q "the least time by measurement" "$work/out.0" || { fail "$what: what is kept after SIG$signal is not used"; cat "$work/out.0"; }
  rm -f "$work/cut.json" && run_ranks "0 0" 2 "$tutti" tune broadcast "${brief[@]}" --output "$work/cut.json"
done

echo "== ranks of unlike options"
for option in "--seconds 7" "--max-bytes 2K" "--min-bytes 16" "--factor 3" "--every-variant" "broadcast"; do
  run_ranks "2 2 2" 3 bash -c 'exec $0 tune all_reduce $([[ $TUTTI_RANK != 2 ]] || echo "$1") --output "$2"' "$tutti" "$option" "$work/unlike.json"
  name=${option%% *}
  name=${name/#broadcast/the collectives}
  rank_said 0 "rank 2 has $name" "rank 0 has $name"
  rank_said 2 "rank 0 has $name" "rank 2 has $name"
  one_error_each
done
[[ ! -e $work/unlike.json ]] || fail "$what: a file was written"

echo "== bad command lines"
export TUTTI_TUNING=off
refuses "one rank alone has nothing to choose" "$tutti" tune
refuses "send_recv" "$tutti" tune send_recv
refuses "all_thing" "$tutti" tune all_thing
refuses "--seconds" "$tutti" tune all_reduce --seconds -1
refuses "--min-bytes" "$tutti" tune all_reduce --min-bytes 8K --max-bytes 4K
refuses "--output" "$tutti" tune all_reduce --output ""
mkfifo "$work/pipe"
for path in "$work/pipe" "$work"; do
  run_ranks "2 2" 2 "$tutti" tune all_reduce "${brief[@]}" --output "$path"
  rank_said 0 "'$path' is not a regular file"
done
run_ranks "2 2" 2 "$tutti" tune all_reduce "${brief[@]}" --output "$work/one.json" --json "$work/one.json"
rank_said 0 "--output and --json both name"
[[ ! -e $work/one.json ]] || fail "$what: it was written"
run_ranks "1 1" 2 "$tutti" tune all_reduce "${brief[@]}" --output "$file" --json /nowhere/all.json
rank_said 0 "/nowhere/all.json"

echo "== transports between hosts, where there is one host, or none of them"
refuses '"shm" is no transport between hosts; there are verbs, tcp, ucx' "$tutti" tune --transports tcp,shm
refuses '"tcp" is there twice' "$tutti" tune --transports tcp,ucx,tcp
refuses "excludes" "$tutti" tune --transports tcp --transport tcp
refuses "excludes" "$tutti" tune all_reduce --transports tcp
rm -f "$work/one.json"
run_ranks "1 1" 2 "$tutti" tune --transports tcp --output "$work/one.json"
grep -q "^tcp  *refused: all ranks are on one host" "$work/out.0" || { fail "$what: no reason"; cat "$work/out.0"; }
rank_said 0 "none of these transports could be measured"
! grep -q tcp "$work/one.json" || fail "$what: something is kept"
finish
