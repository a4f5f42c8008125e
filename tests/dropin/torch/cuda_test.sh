#!/usr/bin/env bash
# cuda_test.sh BUILD PYTHON: tensors of CUDA devices, on the stand-ins for them, by the test that libnccl.so.2 passes, too.
set -u
build=$1 python=$2
. "$(dirname "$0")/common.sh"
BACKEND=tutti expect 0 timeout -k 5 580 "$python" -W ignore "$here/../nccl/nccl_torch_test.py"
printed "calls on 2 ranks: ok" "calls on 3 ranks: ok" "unbound on 2 ranks: ok" "leave on 3 ranks: ok" "killed on 3 ranks: ok" "mismatch on 2 ranks: ok"
finish
