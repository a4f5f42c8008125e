#!/usr/bin/env bash
# adopt_test.sh TUTTI: jobs that adopt their buffers' pages have the same results, and say what they have adopted.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"
export TUTTI_TRANSPORT=shm TUTTI_LOG=debug TUTTI_CALIBRATE=0  # which would find out whether it pays
short=(--check --min-bytes 48K --max-bytes 2M --factor 5 --iterations 3 --warmup 2)

adopted() { cat "$work"/err.* | grep -c 'bytes at .* are adopted'; }

for ranks in 2 3 4; do
  echo "== $ranks ranks, at the first use"
  wanted=$(printf '0 %.0s' $(seq "$ranks"))
  TUTTI_ADOPT=eager run_ranks "${wanted% }" "$ranks" "$tutti" perf all "${short[@]}"
  if grep -q 'PROCMAP_QUERY' "$work"/err.*; then skip "$(grep -h 'PROCMAP_QUERY' "$work"/err.0 | head -1)"; fi
  (($(adopted) > ranks)) || { fail "$what has adopted $(adopted) times"; show_ranks; }
done

echo "== what comes back"
TUTTI_ADOPT=auto run_ranks "0 0" 2 "$tutti" perf all_reduce --check --min-bytes 1M --max-bytes 1M --iterations 10 --warmup 1 --out-of-place
(($(adopted) == 0)) || fail "$what has adopted what came 11 times"
TUTTI_ADOPT=auto run_ranks "0 0" 2 "$tutti" perf all_reduce --check --min-bytes 1M --max-bytes 1M --iterations 300 --warmup 1 --out-of-place
(($(adopted) == 4)) || fail "$what has adopted $(adopted) times, not the two buffers of both ranks"

echo "== what explain says of it"
for mode in auto off; do
  TUTTI_ADOPT=$mode run_ranks "0 0" 2 "$tutti" explain all_reduce
  [[ $mode == auto ]] && wanted="a buffer is adopted (TUTTI_ADOPT=auto) when it has come" || wanted="no buffer is adopted (TUTTI_ADOPT=off)"
  grep -qF "$wanted" "$work/out.0" || { fail "$what does not say '$wanted'"; show_ranks; }
done

echo "== not at all"
TUTTI_ADOPT=off run_ranks "0 0" 2 "$tutti" perf all_reduce "${short[@]}"
(($(adopted) == 0)) || fail "$what has adopted"
TUTTI_ADOPT=eager TUTTI_ADOPT_BYTES=1M run_ranks "0 0" 2 "$tutti" perf all_reduce "${short[@]}" --out-of-place
grep -q 'are not adopted: so much may not be adopted' "$work/err.0" || fail "$what has no limit"
finish
