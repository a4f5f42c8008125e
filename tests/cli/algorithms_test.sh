#!/usr/bin/env bash
# algorithms_test.sh TUTTI: the table of algorithms, and each of them printed and drawn. What is drawn is held against the verifier.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"

command -v python3 >/dev/null || skip "there is no python3 to read JSON and XML"
python() { python3 - "$@" || fail "'$what': see above"; }

echo "== the table"
expect 0 "$tutti" algorithms
cp "$work/out" "$work/table.txt"
python "$work/table.txt" <<'END'
import sys
for line in open(sys.argv[1], encoding="utf-8"):
    assert len(line.rstrip("\n")) <= 140, "wider than 140 columns: " + line
END
expect 0 "$tutti" algorithms --json
python3 -m json.tool "$work/out" >/dev/null || fail "'$what' prints no JSON"
cp "$work/out" "$work/all.json"
# What tutti verify goes through is the registry.
expect 0 "$tutti" verify --ranks 8 --pieces 1 --in-place
sed -n 's/^\([a-z_]* *[a-z_]*\) .* proved$/\1/p' "$work/out" >"$work/registry.txt"
python "$work/registry.txt" "$work/all.json" "$work/table.txt" <<'END'
import json, sys
registry = [tuple(line.split()) for line in open(sys.argv[1])]
rows = json.load(open(sys.argv[2]))
table, collective = [], None
for line in open(sys.argv[3], encoding="utf-8"):
    if line.endswith(", 8 ranks\n") and line[0] != " ": collective = line.split(",")[0]
    elif line.startswith("  ") and line[2] != " " and not line.startswith("  algorithm "): table.append((collective, line.split()[0]))
assert len(registry) > 40, registry
assert [(r["collective"], r["name"]) for r in rows] == registry, "JSON"
assert table == registry, "text"
keys = set(rows[0])
for row in rows:
    assert set(row) == keys and row["ranks"] == 8 and row["summary"] and row["source"], row
    assert row["no_cost"] is None and row["rounds"] == sum(l["rounds"] for l in row["levels"]), row
    assert len(row["levels"]) == (2 if row["needs"]["levels"] else 1), row
ring = next(r for r in rows if (r["collective"], r["name"]) == ("all_reduce", "ring"))
assert (ring["rounds"], ring["sent_blocks"], ring["pipelines"], ring["publishes"], ring["needs"]["commutative"]) == (14, 1.75, True, False, True), ring
END
expect 0 "$tutti" algorithms all_reduce --ranks 7
printed "all_reduce, 7 ranks" "no figures: needs ranks in groups"
! grep -q "^broadcast" "$work/out" || fail "'$what' prints other collectives"
expect 0 "$tutti" algorithms --ranks 1 --json
python3 -m json.tool "$work/out" >/dev/null || fail "'$what' prints no JSON"
grep -q '"no_cost": "needs at least 3 ranks; there are 1"' "$work/out" || fail "'$what' prints a cost where there is none"
expect 0 "$tutti" algorithms barrier --ranks 1048576

echo "== every row, printed and drawn"
python "$work/all.json" >"$work/rows.txt" <<'END'
import json, sys
for r in json.load(open(sys.argv[1])):
    print(r["collective"], r["name"], int(r["needs"]["levels"]), int(r["needs"]["even"]), int(r["needs"]["power_of_two"]), r["needs"]["min_ranks"])
END
mkdir "$work/drawn"
while read -r collective name levels even power least; do
  for ranks in 1 3 4 8; do
    ((ranks >= least && ((levels == 0 && even == 0) || ranks % 2 == 0))) || continue
    ((power == 0 || (ranks & (ranks - 1)) == 0)) || continue
    expect 0 "$tutti" algorithms show "$name" --collective "$collective" --ranks $ranks
    cp "$work/out" "$work/steps.txt"
    expect 0 "$tutti" verify --equal-blocks "$work/steps.txt"
    cp "$work/out" "$work/drawn/$collective-$name-$ranks.txt"
    expect 0 "$tutti" algorithms show "$name" --collective "$collective" --ranks $ranks --svg "$work/drawn/$collective-$name-$ranks.svg"
    [[ ! -s $work/out && ! -s $work/err ]] || fail "'$what' says more"
  done
done <"$work/rows.txt"
# check_drawings FOLDER: a picture X.svg has the ranks, rounds and messages that the verifier has counted in X.txt.
check_drawings() {
  what="drawings in $1" python "$1" <<'END'
import glob, re, sys
import xml.etree.ElementTree as tree
svg = "{http://www.w3.org/2000/svg}"
files = glob.glob(sys.argv[1] + "/*.svg")
assert files
for file in files:
    said = open(file[:-3] + "txt").read()
    ranks, messages, rounds = (int(re.search(r"(\d+) " + word, said).group(1)) for word in ("ranks is right", "messages", "rounds"))
    root = tree.parse(file).getroot()
    arrows = [g for g in root.iter(svg + "g") if g.get("class") == "message"]
    heads = [line for g in arrows for line in g.iter(svg + "line")]
    assert len(arrows) == len(heads) == messages, (file, len(arrows), messages)
    words = [t.text for t in root.iter(svg + "text")]
    assert f"{ranks} rank" in words[0] and f", {rounds} round" in words[0], (file, words[0], said)
    for rank in range(ranks): assert f"rank {rank}" in words, file
    assert [w for w in words if w.startswith("round ")] == [f"round {r}" for r in range(1, rounds + 1)], (file, rounds)
    width, height = int(root.get("width")), int(root.get("height"))
    for t in root.iter(svg + "text"): assert 0 < int(t.get("x")) < width and 0 < int(t.get("y")) < height, (file, t.text)
END
}
check_drawings "$work/drawn"
what="the table's rounds" python "$work/all.json" "$work/drawn" <<'END'
import json, re, sys
for r in json.load(open(sys.argv[1])):
    counted = int(re.search(r"(\d+) rounds", open(f"{sys.argv[2]}/{r['collective']}-{r['name']}-8.txt").read()).group(1))
    assert r["rounds"] == counted or (r["needs"]["levels"] and r["rounds"] > counted), (r, counted)
END

echo "== what tutti schedule prints"
expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 4 --pieces 2
cp "$work/out" "$work/ring.txt"
expect 0 "$tutti" algorithms show ring --collective all_reduce --ranks 4 --pieces 2
cmp -s "$work/out" "$work/ring.txt" || fail "'$what' is not what tutti schedule prints"
expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 4 --pieces 2 --svg
cp "$work/out" "$work/ring.svg"
for command in schedule "algorithms show"; do
  # shellcheck disable=SC2086
  expect 0 "$tutti" $command --file "$work/ring.txt" --svg
  cmp -s "$work/out" "$work/ring.svg" || fail "'$what' draws another ring"
done
expect 0 "$tutti" algorithms show knomial --collective reduce --ranks 5 --root 3 --svg
printed "reduce knomial, 5 ranks" "root 3"

echo "== drawn: fused, made by hand, from the machine's shape"
mkdir "$work/other"
expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 5 --fused --svg "$work/other/fused.svg"
expect 0 "$tutti" schedule all_reduce --algorithm ring --ranks 5 --fused
cp "$work/out" "$work/steps.txt"
expect 0 "$tutti" verify "$work/steps.txt"
cp "$work/out" "$work/other/fused.txt"
expect 0 "$tutti" schedule all_reduce --algorithm hierarchical --ranks 6 --topology "node:3 core:2" --svg "$work/other/levels.svg"
expect 0 "$tutti" schedule all_reduce --algorithm hierarchical --ranks 6 --topology "node:3 core:2"
cp "$work/out" "$work/steps.txt"
expect 0 "$tutti" verify "$work/steps.txt"
cp "$work/out" "$work/other/levels.txt"
cat >"$work/odd.txt" <<'END'
schedule all_gather "<a & 'b'>\x01\"]]>é" rank 1 of 2 chunks 1
send input[0] -> 0
copy input[0] -> output[1]
recv 0 -> output[0]

schedule all_gather "<a & 'b'>\x01\"]]>é" rank 0 of 2 chunks 1
send input[0] -> 1
copy input[0] -> output[0]
recv 1 -> output[1]
END
expect 0 "$tutti" verify "$work/odd.txt"
cp "$work/out" "$work/other/odd.txt"
expect 0 "$tutti" schedule --file "$work/odd.txt" --svg "$work/other/odd.svg"
check_drawings "$work/other"

echo "== a radix is chosen, shown and taken"
expect 0 "$tutti" explain broadcast --bytes 8 --ranks 64 --topology "node:64 core:1"
printed "> knomial, radix 4 "
expect 0 "$tutti" algorithms show knomial --collective gather --ranks 9 --radix 3
printed "recv 6 -> output[6:9]"
cp "$work/out" "$work/radix.txt"
expect 0 "$tutti" verify "$work/radix.txt"

echo "== bad input"
show=("$tutti" algorithms show)
refuses '"all_produce"' "$tutti" algorithms all_produce
said "all_reduce, reduce, broadcast"
refuses '"send_recv"' "$tutti" algorithms send_recv
refuses "0 not in range 1 to" "$tutti" algorithms --ranks 0
refuses "which algorithm?" "${show[@]}"
refuses "which collective? There is a ring for all_reduce, " "${show[@]}" ring
said "reduce_scatter" "all_gather" "--collective"
refuses 'no algorithm "helical"' "${show[@]}" helical
expect 0 "${show[@]}" neighbour_exchange --ranks 4
printed "schedule all_gather neighbour_exchange rank 3 of 4"
refuses "than can be read again" "${show[@]}" ring --collective all_reduce --ranks 1048576
refuses '"all_produce"' "${show[@]}" ring --collective all_produce
refuses '"helical" for all_reduce' "${show[@]}" helical --collective all_reduce
said "ring" "hierarchical"
refuses "there are ranks 0 to 3" "${show[@]}" knomial --collective reduce --ranks 4 --root 4
refuses "there are ranks 0 to 3" "${show[@]}" knomial --collective reduce --ranks 4 --root -1
refuses "needs an even number of ranks; there are 7" "${show[@]}" neighbour_exchange --collective all_gather --ranks 7
refuses "needs at least 3 ranks" "${show[@]}" two_shot --collective reduce --ranks 2
refuses "two equal ones cannot be made of 7" "${show[@]}" hierarchical --collective all_reduce --ranks 7
refuses "--pieces 2" "${show[@]}" bruck --collective all_gather --pieces 2
refuses "0 not in range 1 to" "${show[@]}" ring --collective all_reduce --pieces 0
refuses "--ranks" "${show[@]}" ring --collective all_reduce --ranks 0
refuses "all_reduce ring has no radix" "${show[@]}" ring --collective all_reduce --radix 3
refuses "1 not in range 2 to" "${show[@]}" knomial --collective gather --radix 1
refuses "65 ranks are too many to be drawn; at most 64" "${show[@]}" knomial --collective reduce --ranks 65 --svg
refuses "steps are too many to be drawn" "${show[@]}" ring --collective all_reduce --ranks 64 --svg
refuses "65 ranks are too many to be drawn" "$tutti" schedule all_reduce --ranks 65 --svg
refuses "--json goes with the table" "$tutti" algorithms --json show ring --collective all_reduce
refuses "--file requires --svg" "$tutti" schedule --file "$work/ring.txt"
refuses "excludes" "$tutti" schedule all_reduce --svg --file "$work/ring.txt"
refuses "excludes" "${show[@]}" ring --svg "$work/no.svg" --file "$work/ring.txt"
refuses "excludes" "$tutti" schedule all_reduce --ranks 4 --rank 1 --svg "$work/no.svg"
refuses "/no/such" "$tutti" schedule --svg "$work/no.svg" --file /no/such
refuses "must not be empty" "$tutti" schedule --svg "$work/no.svg" --file ""
refuses "is followed by --svg" "$tutti" schedule --file --svg "$work/no.svg"
refuses "would replace the schedules" "$tutti" schedule --file "$work/ring.txt" --svg "$work/../${work##*/}/ring.txt"
printf 'not a schedule\n' >"$work/broken.txt"
refuses "broken.txt" "$tutti" schedule --svg "$work/no.svg" --file "$work/broken.txt"
sed '$d' "$work/odd.txt" >"$work/wrong.txt"
expect 1 "$tutti" schedule --svg "$work/no.svg" --file "$work/wrong.txt"
said "refused: rank"
one_error
[[ ! -e $work/no.svg ]] || fail "something was drawn"
for target in /dev/full "$work/missing/ring.svg" "$work"; do
  expect 1 "${show[@]}" ring --collective all_reduce --ranks 4 --svg "$target"
  said "$target"
  one_error
done
echo "== as many ranks as can be"
expect 0 "$tutti" algorithms --ranks 1048576
printed all_to_all hierarchical
finish
