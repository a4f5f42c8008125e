#!/usr/bin/env bash
# training_test.sh BUILD PYTHON [CASE...]: training in every way that PyTorch parallelizes it.
set -u
build=$1 python=$2
shift 2
. "$(dirname "$0")/common.sh"
TMPDIR=$work expect 0 timeout -k 5 580 "$python" -W ignore "$here/training_test.py" "$@"
((failures == 0)) || grep -h wrong -A 20 "$work/out" "$work/err"
(($# > 0)) || printed "data_parallel on 4 ranks: ok" "fully_sharded on 3 ranks: ok" "checkpointed on 3 ranks: ok" "tensor_parallel on 4 ranks: ok" \
  "pipeline_alternating on 4 ranks: ok" "compiled on 2 ranks: ok"
finish
