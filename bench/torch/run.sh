#!/usr/bin/env bash
# run.sh PYTHON BUILD [OPTIONS]: run.py with a PyTorch without NVIDIA's libraries, of which there are stubs instead.
set -eu
python=$1 build=$(realpath "$2")
shift 2
here=$(dirname "$0")
libraries=$build/stubs
if [[ ! -d $libraries ]]; then
  mkdir "$libraries.new"
  ln -s "$build/lib/libnccl.so.2" "$build"/standin/lib*.so.* "$libraries.new"
  "$python" "$here/../../tests/cuda/runtime/stubs.py" "$("$python" "$here/../../src/dropin/torch/paths.py" | cut -d';' -f1)/lib" "$libraries.new"
  mv "$libraries.new" "$libraries"
fi
export LD_LIBRARY_PATH=$libraries PYTHONPATH=$build/python OMP_NUM_THREADS=1 PYTHONPYCACHEPREFIX=$(dirname "$python")/../bytecode
exec "$python" -W ignore "$here/run.py" "$@"
