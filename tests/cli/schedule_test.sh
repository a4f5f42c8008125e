#!/usr/bin/env bash
# schedule_test.sh TUTTI: schedules printed, verified, changed by hand and refused.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"

# round_trip FLAGS_OF_VERIFY SAYS ARGUMENTS...: what is printed is proved; stderr says this, or nothing.
round_trip() {
  local flags=$1 says=$2
  shift 2
  expect 0 "$tutti" schedule "$@"
  if [[ -n $says ]]; then said "$says"; else [[ ! -s $work/err ]] || { fail "'$what' says more:"; cat "$work/err"; }; fi
  cp "$work/out" "$work/steps.txt"
  # shellcheck disable=SC2086
  expect 0 "$tutti" verify $flags "$work/steps.txt"
  printed "$1 " "is right"
}

echo "== printed and verified"
for collective in all_reduce reduce broadcast all_gather reduce_scatter gather scatter all_to_all barrier scan exscan; do
  flags=$([[ $collective == all_to_all ]] && echo --equal-blocks || true)
  round_trip "$flags" "as would be chosen for 1M bytes" $collective --ranks 4 --topology "node:2 core:2"
  round_trip "$flags" "as would be chosen for 64 bytes" $collective --ranks 5 --topology "core:8" --in-place --fused --bytes 64
done
round_trip "" "" all_reduce --algorithm hierarchical --ranks 8 --topology "node:2 core:4" --pieces 3
round_trip "" "" reduce --algorithm knomial --ranks 7 --root 3
round_trip "--equal-blocks" "" all_gather --algorithm neighbour_exchange --ranks 6

echo "== one rank's is its part of all"
expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 3
cp "$work/out" "$work/ring.txt"
for rank in 0 1 2; do
  expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 3 --rank $rank
  grep -q "^schedule all_reduce ring rank $rank of 3 " "$work/out" || fail "'$what' prints another rank"
  grep -v '^#' "$work/out"
done >"$work/one_by_one.txt"
diff <(grep -v '^#' "$work/ring.txt") "$work/one_by_one.txt" || fail "one by one they differ"
expect 1 "$tutti" verify <(head -3 "$work/one_by_one.txt")
expect 0 "$tutti" verify "$work/ring.txt"

echo "== edited: right and wrong"
# refused SED_SCRIPT TEXT...: the ring, so edited, is refused for these reasons.
refused() {
  sed "$1" "$work/ring.txt" >"$work/edited.txt"
  ! cmp -s "$work/ring.txt" "$work/edited.txt" || fail "sed $1 changes nothing"
  expect 1 "$tutti" verify "$work/edited.txt"
  shift
  said "refused" "$@"
  one_error
}
sed -i '1i # a comment of mine' "$work/ring.txt"
expect 0 "$tutti" verify "$work/ring.txt"
first_send=$(grep -m 1 '^send input\[2\]' "$work/ring.txt")
refused "s/^$(sed 's/[][]/\\&/g' <<<"$first_send")\$/send input[1] -> 1/" "rank 0 step 0 (send input[1] -> 1)" "rank 1 step 1" "input[1]"
last_recv=$(grep -n '^recv' "$work/ring.txt" | tail -1 | cut -d: -f1)
refused "${last_recv}d" "rank 1" "rank 2"
refused "${last_recv}s/output\[0\]/output[1]/" "rank 2 step 11 (recv 1 -> output[1])"
sed 's/^reduce_left /reduce_backwards /' "$work/ring.txt" >"$work/edited.txt"
refuses "reduce_backwards" "$tutti" verify "$work/edited.txt"
said "edited.txt" "line "
sed "s/all_reduce/send_recv/" "$work/ring.txt" >"$work/edited.txt"
expect 1 "$tutti" verify "$work/edited.txt"
said "between two ranks"

echo "== bad input"
refuses '"all_produce"' "$tutti" schedule all_produce
refuses '"send_recv"' "$tutti" schedule send_recv
refuses "helical" "$tutti" schedule all_reduce --algorithm helical
said ring
refuses "levels" "$tutti" schedule all_reduce --algorithm hierarchical --ranks 4 --topology "core:4"
refuses "--pieces 2" "$tutti" schedule all_reduce --algorithm recursive_doubling --ranks 4 --pieces 2
refuses "--pieces" "$tutti" schedule all_reduce --algorithm ring --ranks 4 --pieces 0
for rank in -1 4; do refuses "--rank $rank: there are ranks 0 to 3" "$tutti" schedule all_reduce --ranks 4 --rank $rank; done
refuses "--root 4: there are ranks 0 to 3" "$tutti" schedule broadcast --ranks 4 --root 4
refuses "excludes" "$tutti" schedule all_reduce --algorithm ring --bytes 8

echo "== names"
ring=("$tutti" schedule all_reduce --algorithm ring --ranks 3)
refuses "--name direct is taken by the library" "${ring[@]}" --name direct
said two_shot hierarchical_scatter
refuses '--name "a b": names of algorithms are made of letters' "${ring[@]}" --name "a b"
refuses '--name "": ' "${ring[@]}" --name ""
expect 0 "${ring[@]}" --name mine
printed "schedule all_reduce mine rank 0 of 3"

echo "== several sets in a file"
"${ring[@]}" >"$work/one.txt"
cat "$work/one.txt" "$work/one.txt" >"$work/twice.txt"
for command in "verify" "schedule --svg $work/drawn.svg --file"; do
  # shellcheck disable=SC2086
  refuses "twice.txt: all_reduce ring of 3 ranks stands twice for rank 0" "$tutti" $command "$work/twice.txt"
  sed '0,/ ring rank 1/s// rung rank 1/' "$work/one.txt" >"$work/names.txt"
  # shellcheck disable=SC2086
  refuses "rank 0 has all_reduce ring, rank 1 has all_reduce rung" "$tutti" $command "$work/names.txt"
done
{ cat "$work/one.txt"; "${ring[@]}" --name mine; } >"$work/two.txt"
expect 0 "$tutti" verify "$work/two.txt"
printed "all_reduce ring of 3 ranks is right" "all_reduce mine of 3 ranks is right"
refuses "has 2 sets of schedules (all_reduce mine of 3 ranks, all_reduce ring of 3 ranks)" "$tutti" schedule --file "$work/two.txt" --svg
[[ ! -e $work/drawn.svg ]] || fail "a refused drawing left a file"
finish
