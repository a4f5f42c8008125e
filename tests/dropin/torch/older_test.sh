#!/usr/bin/env bash
# older_test.sh BUILD PYTHON: operations of torch.distributed with an older PyTorch. Not its profiler, which asks a library of NVIDIA's that is
# not there, nor its flight recorder, which knows no other backends.
set -u
build=$1 python=$2 package=older_python
. "$(dirname "$0")/common.sh"
expect 0 timeout -k 5 580 "$python" -W ignore "$here/operations_test.py" --ranks 2 reductions movements scattered layouts functional objects messages \
  from_anyone groups asynchronous shared_memory mistakes mismatch mismatched_types mismatched_message late late_for_barrier late_message killed \
  aborted
finish
