#!/usr/bin/env bash
# nccl_torch_test.sh LIBRARY HEADERS PEERS ENGINE: nccl_torch_test.py with what ./dev installs into PEERS/torch, on the stand-ins for CUDA and
# stubs of the rest of NVIDIA's libraries that torch needs to be loaded. ENGINE is torch's: nccl2 or legacy.
set -u
library=$1 headers=$2 peers=$3 engine=$4
. "$(dirname "$0")/common.sh"
[[ -z ${SANITIZED:-} ]] || skip "Python does not load libraries of a sanitized build"
python=$peers/torch/bin/python
[[ -x $python ]] || skip "torch is not installed (./dev deps installs it from PyPI)"
build=$(dirname "$library")/..
libraries=$work/lib
expect 0 "$here/../../cuda/runtime/libraries.sh" "$build" "$python" "$libraries"
case $engine in
  nccl2) unset TORCH_DIST_USE_NCCL2 ;;
  legacy) export TORCH_DIST_USE_NCCL2=0 ;;
esac
export STANDIN_KERNELS=$build/standin/libtutti_kernels_host.so
# Modules that pip has not compiled are compiled once.
unset PYTHONDONTWRITEBYTECODE
PYTHONPYCACHEPREFIX=$peers/torch/bytecode LD_LIBRARY_PATH=$libraries LD_PRELOAD=$library \
  expect 0 timeout -k 5 580 "$python" -W ignore "$here/nccl_torch_test.py"
printed "calls on 2 ranks: ok" "calls on 3 ranks: ok" "unbound on 2 ranks: ok" "shrink on 3 ranks: ok" "abort on 3 ranks: ok" \
  "leave on 3 ranks: ok" "killed on 3 ranks: ok" "mismatch on 2 ranks: ok"
finish
