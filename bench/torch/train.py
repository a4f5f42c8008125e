"""A rank of a training by DistributedDataParallel over the backend "tutti", on ordinary tensors: bench/adopt_programs.py times it."""

import time

import torch
import torch.distributed as dist
import tutti_torch  # noqa: F401

STEPS, WIDTH, LAYERS, ROWS = 200, 1024, 4, 8

dist.init_process_group("tutti")
torch.manual_seed(1)
torch.set_num_threads(1)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
rows = torch.randn(ROWS, WIDTH)
start = time.perf_counter()
for _ in range(STEPS):
    optimizer.zero_grad(set_to_none=False)
    model(rows).square().mean().backward()
    optimizer.step()
if dist.get_rank() == 0:
    print(f"{time.perf_counter() - start:.6f} seconds of training")
dist.destroy_process_group()
