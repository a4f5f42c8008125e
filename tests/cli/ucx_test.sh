#!/usr/bin/env bash
# ucx_test.sh TUTTI: jobs whose ranks use UCX, over TCP and over shared memory; and what is said where it cannot be used.
set -u
tutti=$1
. "$(dirname "$0")/common.sh"
[[ -n $(ldconfig -p | grep -F libucp.so.0) ]] || skip "UCX is not installed (libucx0)"
export TUTTI_TRANSPORT=ucx TUTTI_INTERFACE=127.0.0.1
short=(--check --max-bytes 1M --factor 64 --iterations 2 --warmup 1)

for tls in tcp posix,cma,self; do
  export UCX_TLS=$tls
  for ranks in 2 3; do
    echo "== $ranks ranks over $tls"
    wanted=$(printf '0 %.0s' $(seq "$ranks"))
    run_ranks "${wanted% }" "$ranks" "$tutti" perf all "${short[@]}"
    grep -q "perf: $ranks ranks.*transports ucx," "$work/out.0" || { fail "$what did not use ucx"; cat "$work/out.0"; }
    cat "$work"/err.* | grep -v '^tutti perf: ' >"$work/more"
    [[ ! -s $work/more ]] || { fail "$what says more:"; cat "$work/more"; }
  done
done
unset UCX_TLS

echo "== no way between the ranks"
rank_setup() { export UCX_TLS=tcp; (($1 == 0)) || export UCX_TLS=posix; }
run_ranks "1 1" 2 "$tutti" perf all_reduce "${short[@]}"
one_error_each
unset -f rank_setup

echo "== it is not even opened where nobody names it"
opened() { grep -c 'libucp' "$work"/err.0; }
LD_DEBUG=files run_ranks "0 0" 2 "$tutti" perf all_reduce "${short[@]}"
(($(opened) > 0)) || fail "$what does not open libucp.so.0"
for transport in "" "^tcp" shm; do
  TUTTI_TRANSPORT=$transport LD_DEBUG=files run_ranks "0 0" 2 "$tutti" perf all_reduce "${short[@]}"
  (($(opened) == 0)) || fail "TUTTI_TRANSPORT=$transport opens libucp.so.0"
done

echo "== no library"
mkdir "$work/none" && : >"$work/none/libucp.so.0"
LD_LIBRARY_PATH=$work/none run_ranks "1 1" 2 "$tutti" perf all_reduce "${short[@]}"
rank_said 0 "libucp.so.0 cannot be loaded" "UCX 1.13 or newer is needed" libucx0
finish
