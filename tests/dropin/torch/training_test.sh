#!/usr/bin/env bash
# training_test.sh BUILD PYTHON [CASE...]: training in every way that PyTorch parallelizes it.
set -u
build=$1 python=$2
shift 2
. "$(dirname "$0")/common.sh"
TMPDIR=$work expect 0 timeout -k 5 580 "$python" -W ignore "$here/training_test.py" "$@"
for case in "${@:-data_parallel on 4 ranks}"; do printed "$case"; done
! grep -q wrong "$work/out" || { fail "losses are wrong:"; cat "$work/out"; }
finish
