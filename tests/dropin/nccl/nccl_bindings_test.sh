#!/usr/bin/env bash
# nccl_bindings_test.sh LIBRARY HEADERS PEERS BINDING: nccl_bindings_test.py with what ./dev installs into PEERS/nccl; the wheel's own
# libnccl.so.2 lies beside it and must not be taken.
set -u
library=$1 headers=$2 peers=$3 binding=$4
. "$(dirname "$0")/common.sh"
[[ -z ${SANITIZED:-} ]] || skip "Python does not load libraries of a sanitized build"
python=$peers/nccl/bin/python
[[ -x $python ]] || skip "$binding is not installed (./dev deps installs it from PyPI)"
for ranks in 1 2 3; do
  LD_PRELOAD=$library expect 0 timeout -k 5 60 "$python" "$here/nccl_bindings_test.py" "$binding" $ranks
  printed "$binding on $ranks ranks: ok"
done
finish
