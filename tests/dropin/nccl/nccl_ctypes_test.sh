#!/usr/bin/env bash
# nccl_ctypes_test.sh LIBRARY HEADERS PEERS: nccl_ctypes_test.py by the three ways in which programs find the library.
set -u
library=$1 headers=$2 peers=$3
. "$(dirname "$0")/common.sh"
[[ -z ${SANITIZED:-} ]] || skip "Python does not load libraries of a sanitized build"
python=$(command -v /usr/bin/python3 python3 | head -1)
[[ -n $python ]] || skip "there is no python3"
ln -s "$library" "$work/libnccl.so.2"

client() { timeout -k 5 60 "$python" "$here/nccl_ctypes_test.py" "$@"; }
for ranks in 1 2 3 4; do
  echo "== $ranks ranks, by path"
  NCCL_SO_PATH=$library expect 0 client $ranks
  printed "ctypes on $ranks ranks: ok"
done
echo "== by LD_LIBRARY_PATH, by LD_PRELOAD"
LD_LIBRARY_PATH=$work expect 0 client 2
LD_PRELOAD=$library expect 0 client 2
finish
