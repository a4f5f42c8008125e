# Helpers for tests of the package tutti_torch. Sourced after build and python are set, and package, if it is not in the build's folder
# "python". NVIDIA's libraries, which PyTorch needs to be loaded, are stubs.
. "$(dirname "$0")/../../cli/common.sh"
here=$(cd "$(dirname "$0")" && pwd)
[[ -x $python ]] || skip "torch is not installed (./dev deps installs it from PyPI)"
libraries=$work/lib
expect 0 "$here/../../cuda/runtime/libraries.sh" "$build" "$python" "$libraries"
export LD_LIBRARY_PATH=$libraries PYTHONPATH=$build/${package:-python}:$here:$here/../nccl STANDIN_KERNELS=$build/standin/libtutti_kernels_host.so
# Modules that pip has not compiled are compiled once.
export PYTHONPYCACHEPREFIX=$(dirname "$python")/../bytecode OMP_NUM_THREADS=1
unset PYTHONDONTWRITEBYTECODE
