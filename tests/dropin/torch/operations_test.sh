#!/usr/bin/env bash
# operations_test.sh BUILD PYTHON [CASE...]: every operation of torch.distributed.
set -u
build=$1 python=$2
shift 2
. "$(dirname "$0")/common.sh"
TORCH_FR_DUMP_TEMP_FILE=$work/recorded- expect 0 timeout -k 5 580 "$python" -W ignore "$here/operations_test.py" "$@"
finish
