#!/usr/bin/env bash
# fallback_test.sh BUILD PYTHON [CASE...]: the wheel for any Python and PyTorch, without a compiled module, does what the compiled package does.
set -u
build=$1 python=$2
shift 2
. "$(dirname "$0")/common.sh"
source=$(cd "$here/../../.." && pwd)
site=$work/site wheels=$work/wheels
expect 0 "$python" -m pip wheel --quiet --no-deps --no-build-isolation "$source" -w "$wheels" --config-settings=cmake.define.TUTTI_WHEEL_FROM="$build" \
  --config-settings=wheel.py-api=py3 --config-settings=install.components=tutti_torch_any
expect 0 "$python" -m pip install --quiet --no-deps --target "$site" "$wheels"/tutti_torch-*-py3-none-linux_"$(uname -m)".whl
libraries_in=$(cd "$site/tutti_torch" && echo *.so*)
[[ $libraries_in == libnccl.so.2 ]] || fail "the wheel holds the libraries: $libraries_in"
export PYTHONPATH=$site:$here:$here/../nccl
cd "$work" || exit 1

# Cases of operations_test.py that need no compiled module, most on one number of ranks.
if (($# == 0)); then
  expect 0 timeout -k 5 300 "$python" -W ignore "$here/operations_test.py" --ranks 3 reductions movements scattered layouts objects messages \
    asynchronous late late_for_barrier killed
  printed "reductions on 3 ranks: ok" "movements on 3 ranks: ok" "scattered on 3 ranks: ok" "objects on 3 ranks: ok" "late on 3 ranks: ok"
  expect 0 timeout -k 5 200 "$python" -W ignore "$here/operations_test.py" --ranks 2 functional from_anyone groups mistakes mismatch mismatched_types \
    mismatched_message late_message aborted
  printed "functional on 2 ranks: ok" "from_anyone on 2 ranks: ok" "groups on 2 ranks: ok" "mismatched_message on 2 ranks: ok" "late_message on 2 ranks: ok" "aborted on 2 ranks: ok"
  expect 0 timeout -k 5 200 "$python" -W ignore "$here/fallback_test.py"
  printed "on 1 ranks: ok" "on 3 ranks: ok"
else
  expect 0 timeout -k 5 500 "$python" -W ignore "$here/operations_test.py" "$@"
fi

# What it cannot do, it says.
TUTTI_TORCH_SHARED=1 expect 0 "$python" -c "import tutti_torch"
said "TUTTI_TORCH_SHARED has no effect"
expect 1 "$python" -W ignore -c "import torch; torch.__version__ = '2.14.1'; import tutti_torch"
said "needs PyTorch 2.15 or newer, but this is 2.14.1"
finish
