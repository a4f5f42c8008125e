#!/usr/bin/env bash
# ucx_peer_test.sh PEERS PROGRAM...: PROGRAMs, tests over UCX, with the newer UCX that ./dev installs from PyPI into the folder PEERS.
set -u
folder=$(echo "$1"/ucx/lib/python3*/site-packages/libucx/lib)
shift
[[ -e $folder/libucp.so.0 ]] || { echo "SKIPPED: no UCX in $folder (./dev deps installs it)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LD_LIBRARY_PATH=$folder LD_DEBUG_OUTPUT=$work/loaded
for tls in tcp posix,cma,self; do
  for program; do
    echo "== ${program##*/} over $tls"
    UCX_TLS=$tls LD_DEBUG=files "$program" || exit 1
  done
done
grep -qF "calling init: $folder/libucp.so.0" "$work"/loaded.* || { echo "FAILED: another UCX was used"; exit 1; }
