#!/usr/bin/env bash
# run.sh PYTHON BUILD PROGRAM [OPTIONS]: a Python program with a PyTorch without NVIDIA's libraries, of which there are stubs instead.
set -eu
python=$1 build=$(realpath "$2")
shift 2
here=$(dirname "$0")
libraries=$build/stubs
[[ -d $libraries ]] || { "$here/../../tests/cuda/runtime/libraries.sh" "$build" "$python" "$libraries.new" && mv "$libraries.new" "$libraries"; }
export LD_LIBRARY_PATH=$libraries PYTHONPATH=$build/python OMP_NUM_THREADS=1 PYTHONPYCACHEPREFIX=$(dirname "$python")/../bytecode
exec "$python" -W ignore "$@"
