"""train.py RANKS...: a small transformer learns generated text on one GPU that all ranks share, by DistributedDataParallel and by FSDP2, with
init_process_group("nccl"). The losses are those of one rank that sees all of the data.

    LD_PRELOAD=build/release/lib/libnccl.so.2 python tests/gpu/train.py 2 4 8
"""

import os
import pathlib
import sys
import tempfile

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "dropin/nccl"))
import job

SYMBOLS, LENGTH, WIDTH, LAYERS, SEQUENCES, STEPS = 64, 128, 256, 4, 16, 20
TOLERANCE = 2e-3  # relative: sums of gradients are rounded in another order, and training amplifies it


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.symbol, self.place = nn.Embedding(SYMBOLS, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0, batch_first=True, norm_first=True) for _ in range(LAYERS)
        )
        self.head = nn.Linear(WIDTH, SYMBOLS)

    def forward(self, text):
        later = nn.Transformer.generate_square_subsequent_mask(LENGTH, device=text.device)
        x = self.symbol(text) + self.place.weight
        for layer in self.layers:
            x = layer(x, src_mask=later, is_causal=True)
        return self.head(x)


def sentences(step):
    """Each symbol follows from the two before it; LENGTH and one more."""
    numbers = torch.Generator().manual_seed(step)
    text = torch.randint(SYMBOLS, (SEQUENCES, LENGTH + 1), generator=numbers)
    for i in range(2, LENGTH + 1):
        text[:, i] = (text[:, i - 1] + 3 * text[:, i - 2] + 1) % SYMBOLS
    return text.cuda()


def train(rank, ranks, wrap):
    torch.manual_seed(0)
    model = wrap(Model().cuda())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for step in range(STEPS):
        text = sentences(step).chunk(ranks)[rank]
        loss = nn.functional.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach().clone()
        if ranks > 1:
            dist.all_reduce(mean, dist.ReduceOp.AVG)
        losses.append(mean.item())
    return losses


def ddp(model):
    return DistributedDataParallel(model, device_ids=[0])


def fsdp2(model):
    mesh = init_device_mesh("cuda", (dist.get_world_size(),))
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def rank_main(rank, ranks, wrap, file):
    torch.cuda.set_device(0)
    if ranks > 1:
        store = dist.PrefixStore(f"{ranks} {wrap.__name__}", dist.TCPStore("127.0.0.1", PORT, is_master=False))
        dist.init_process_group("nccl", store=store, rank=rank, world_size=ranks, device_id=torch.device("cuda:0"))
    losses = train(rank, ranks, wrap)
    if rank == 0:
        torch.save(losses, file)
    if ranks > 1:
        gathered = [None] * ranks
        dist.all_gather_object(gathered, losses[-1])
        assert gathered == [losses[-1]] * ranks, gathered
        dist.destroy_process_group()


def losses_of(ranks, wrap):
    file = os.path.join(tempfile.mkdtemp(), "losses")
    statuses = job.forked(rank_main, ranks, wrap, file)
    if any(statuses):
        sys.exit(f"{wrap.__name__} on {ranks} ranks: exit statuses {statuses}")
    return torch.load(file)


def alone(model):
    return model


if __name__ == "__main__":
    PORT = job.torch_store()
    reference = losses_of(1, alone)
    assert reference[-1] < reference[0] - 0.1, f"one rank does not learn: {reference}"
    print(f"one rank: loss {reference[0]:.4f} to {reference[-1]:.4f} in {STEPS} steps", flush=True)
    for ranks in map(int, sys.argv[1:]):
        for wrap in (ddp, fsdp2):
            losses = losses_of(ranks, wrap)
            worst = max(abs(l - r) / r for l, r in zip(losses, reference))
            print(f"{wrap.__name__} on {ranks} ranks: differs by {worst:.1e} at most", flush=True)
            assert worst < TOLERANCE, losses
