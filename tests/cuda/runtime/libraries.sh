#!/usr/bin/env bash
# libraries.sh BUILD PYTHON FOLDER: makes FOLDER, with all that the PyTorch of PYTHON needs of NVIDIA's to be loaded: our libnccl.so.2, the
# stand-ins for CUDA that BUILD holds, and stubs of the rest.
set -eu
build=$1 python=$2 folder=$3 here=$(dirname "$0")
mkdir "$folder"
ln -s "$build/lib/libnccl.so.2" "$build"/standin/lib*.so.* "$folder"
torch=$("$python" -c 'import importlib.util as i; print(*i.find_spec("torch").submodule_search_locations)')
"$python" "$here/stubs.py" "$torch/lib" "$folder"
