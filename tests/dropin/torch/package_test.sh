#!/usr/bin/env bash
# package_test.sh BUILD PYTHON: the wheel of what BUILD has made, installed elsewhere, found by PyTorch without an import.
set -u
build=$1 python=$2
. "$(dirname "$0")/common.sh"
source=$(cd "$here/../../.." && pwd)
site=$work/site wheels=$work/wheels
expect 0 "$python" -m pip wheel --quiet --no-deps --no-build-isolation "$source" -w "$wheels" --config-settings=cmake.define.TUTTI_WHEEL_FROM="$build"
expect 0 "$python" -m pip install --quiet --no-deps --target "$site" "$wheels"/tutti_torch-*.whl

cat >"$work/ranks.py" <<'END'
import os
import sys

import torch
import torch.distributed as dist

import job


def rank_main(rank, ranks, port):
    dist.init_process_group("cpu:tutti", store=dist.TCPStore("127.0.0.1", port, is_master=False), rank=rank, world_size=ranks)
    tensor = torch.full((10,), rank + 1.0)
    dist.all_reduce(tensor)
    assert tensor[0] == 3, tensor
    if rank == 0:
        import tutti_torch

        libraries = {line.split()[-1] for line in open("/proc/self/maps") if "libtutti" in line}
        print("module:", tutti_torch.__file__, "libraries:", *libraries)
    dist.destroy_process_group()


sys.exit(any(job.forked(rank_main, 2, job.torch_store())))
END
export PYTHONPATH=$site:$here/../nccl
cd "$work" || exit 1
expect 0 timeout -k 5 100 "$python" -W ignore ranks.py
printed "module: $site/tutti_torch/__init__.py libraries: $site/tutti_torch/libtutti.so.0"

# Beside another PyTorch it says what to do.
sed -i "s/torch = .*/torch = '1.0.0'/" "$site/tutti_torch/_built.py"
expect 1 "$python" -W ignore -c "import tutti_torch"
said "tutti_torch was built for PyTorch 1.0.0, and this is " "build it again: pip install" "./dev wheel any"
finish
