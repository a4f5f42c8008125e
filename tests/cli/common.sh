# Helpers for tests of the `tutti` program. Sourced after `tutti=PROGRAM`.

work=$(mktemp -d)
failures=0
export TUTTI_CALIBRATE=0  # choices by estimates: what a busy machine measures would make them a matter of luck
export TUTTI_TUNING=off   # so would what somebody has tuned
cleanup() {
  local left
  left=$(jobs -p)
  [[ -z $left ]] || kill -9 $left 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

skip() { echo "SKIPPED: $*"; exit 77; }
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
finish() { ((failures == 0)) || { echo "$failures checks failed"; exit 1; }; echo "PASSED"; }

# expect STATUS COMMAND...: runs it, with its output in $work/out and $work/err.
expect() {
  local wanted=$1 status=0
  shift
  what="$*"
  "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
  [[ $status == "$wanted" ]] || { fail "'$what' ended with $status, not $wanted"; tail -n 40 "$work/out" "$work/err"; }
}
# said TEXT...: the last command's stderr holds each of them; printed TEXT...: its stdout does.
said() { local t; for t; do grep -qF -- "$t" "$work/err" || { fail "'$what' does not say '$t' but:"; cat "$work/err"; }; done; }
printed() { local t; for t; do grep -qF -- "$t" "$work/out" || { fail "'$what' does not print '$t' but:"; cat "$work/out"; }; done; }
# One line on stderr, nothing on stdout.
one_error() {
  [[ $(wc -l <"$work/err") == 1 ]] || { fail "'$what' says more than one line:"; cat "$work/err"; }
  [[ ! -s $work/out ]] || { fail "'$what' prints besides its error:"; cat "$work/out"; }
}
# refuses TEXT COMMAND...: bad usage, told in one line that holds TEXT.
refuses() { local text=$1; shift; expect 2 "$@"; said "$text"; one_error; }

. "$(dirname "${BASH_SOURCE[0]}")/free_port.sh"

# start_ranks P COMMAND...: P processes of one job, output in $work/out.R and $work/err.R. A function `rank_setup R`, where one is
# defined, may set variables for rank R.
start_ranks() {
  local ranks=$1 rank
  shift
  what="$* on $ranks ranks"
  pids=()
  export TUTTI_RENDEZVOUS=${rendezvous:-127.0.0.1:$(free_port)}
  for ((rank = 0; rank < ranks; rank++)); do
    (
      export TUTTI_RANK=$rank TUTTI_SIZE=$ranks
      ! declare -F rank_setup >/dev/null || rank_setup "$rank"
      exec "$@"
    ) >"$work/out.$rank" 2>"$work/err.$rank" </dev/null &
    pids+=($!)
  done
  unset TUTTI_RENDEZVOUS
}
# Waits for start_ranks' processes; their exit statuses in order are in $statuses ("0 0 1").
wait_ranks() {
  local pid status
  statuses=
  for pid in "${pids[@]}"; do
    status=0
    wait "$pid" 2>/dev/null || status=$?
    statuses+="${statuses:+ }$status"
  done
}
show_ranks() { local f; for f in "$work"/out.* "$work"/err.*; do echo "--- ${f##*/}"; head -20 "$f"; done; }
# run_ranks "STATUSES" P COMMAND...
run_ranks() {
  local wanted=$1
  shift
  rm -f "$work"/out.* "$work"/err.*
  start_ranks "$@"
  wait_ranks
  [[ $statuses == "$wanted" ]] || { fail "$what ended with $statuses, not $wanted"; show_ranks; }
}
# rank_said RANK TEXT...
rank_said() {
  local rank=$1 t
  shift
  for t; do grep -qF -- "$t" "$work/err.$rank" || { fail "$what: rank $rank does not say '$t' but:"; cat "$work/err.$rank"; }; done
}
# Every rank told its error once. Warnings of the log are lines of another form ("tutti warning: ...").
one_error_each() {
  local f
  for f in "$work"/err.*; do
    [[ $(grep -c '^tutti: ' "$f") == 1 ]] || { fail "$what: ${f##*/} does not hold one error:"; cat "$f"; }
  done
}
