"""training_test.py [CASE...]: a small transformer trained in every way that PyTorch parallelizes it, over the backend "tutti". The losses must be
those of one process that trains on the whole batch, and those of the same way over "gloo".
"""

import datetime
import gc
import itertools
import json
import math
import pathlib
import random
import sys
import tempfile
import time
import warnings

import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as calls
import torch.distributed.checkpoint as checkpoint
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe, ScheduleInterleaved1F1B
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import ColwiseParallel, PrepareModuleInput, RowwiseParallel, SequenceParallel, parallelize_module
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention
from torch.nn.parallel import DistributedDataParallel

import job

warnings.filterwarnings("ignore")
SECONDS = datetime.timedelta(seconds=60)
STEPS, BATCH, LENGTH = 8, 12, 24  # sequences in the batch of all ranks; characters in one
WIDTH, HEADS, LAYERS = 32, 4, 4
COMPILER = "aot_eager"  # needs no compiler of C++
LETTERS = "abcdefghijklmnopqrstuvwxyz .,:;!"
# Relative differences of losses: additions in another order than one process has them, and than gloo has them.
FROM_ONE_PROCESS, FROM_GLOO = 1e-5, 1e-6


# ---- What is trained, and on what


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))

    def forward(self, x):
        query, key, value = (f(x).unflatten(-1, (-1, WIDTH // HEADS)).transpose(1, 2) for f in (self.query, self.key, self.value))
        return self.out(scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return self.down(gelu(self.up(x)))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attention, self.norm2, self.feed_forward = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH), FeedForward()

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.feed_forward(self.norm2(x))


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), WIDTH), nn.Parameter(torch.randn(LENGTH, WIDTH) / 10)

    def forward(self, letters):
        return self.letters(letters) + self.places


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.layers = Embedding(), nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def forward(self, letters):
        x = self.embedding(letters)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def new_model(seed=0):
    torch.manual_seed(seed)
    return Transformer()


def new_optimizer(parameters):
    """One to which the size of gradients matters, and which has a state."""
    return torch.optim.SGD(parameters, lr=0.2, momentum=0.9)


def batches():
    """For each step the letters of the sequences, and those that follow them."""
    dice = random.Random(1)
    words = ["".join(dice.choices(LETTERS[:26], k=dice.randint(2, 6))) for _ in range(20)]
    text = ""
    while len(text) < STEPS * BATCH * LENGTH + 1:
        text += dice.choice(words) + dice.choice([" ", " ", " ", ", ", ". ", "! "])
    letters = torch.tensor([LETTERS.index(letter) for letter in text[: STEPS * BATCH * LENGTH + 1]])
    return zip(letters[:-1].view(STEPS, BATCH, LENGTH), letters[1:].view(STEPS, BATCH, LENGTH))


def loss_of(output, targets):
    return cross_entropy(output.flatten(0, 1), targets.flatten())


def mean_of_ranks(loss, ranks):
    loss = loss.detach().clone()
    dist.all_reduce(loss)
    return loss.item() / ranks


def train(model, optimizer, batches, part=lambda tensor: tensor, loss_of_all=lambda loss: loss.item()):
    """Losses of the steps; this rank takes its part of each batch."""
    losses = []
    for inputs, targets in batches:
        loss = loss_of(model(part(inputs)), part(targets))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss_of_all(loss))
    return losses


def train_on_part(model, rank, ranks, optimizer=None, batches_left=None):
    optimizer = optimizer or new_optimizer(model.parameters())
    return train(model, optimizer, batches_left or batches(), lambda tensor: tensor.chunk(ranks)[rank], lambda loss: mean_of_ranks(loss, ranks))


def cpu_mesh(*sizes, names=("ranks",)):
    mesh = init_device_mesh("cpu", sizes, mesh_dim_names=names)
    for name in names:
        assert dist.get_backend(mesh.get_group(name)) == dist.get_backend(), f"the mesh's groups are of {dist.get_backend(mesh.get_group(name))}"
    return mesh


# ---- The batch in parts


def data_parallel(rank, ranks):
    return train_on_part(DistributedDataParallel(new_model()), rank, ranks)


def buckets_as_gradients(rank, ranks):
    """Many small buckets, which are the gradients."""
    model = DistributedDataParallel(new_model(), gradient_as_bucket_view=True, bucket_cap_mb=0.02, static_graph=True)
    return train_on_part(model, rank, ranks)


def accumulated(rank, ranks):
    """Gradients of two halves are added, and only the second half's backward communicates."""
    model = DistributedDataParallel(new_model())
    optimizer = new_optimizer(model.parameters())
    losses = []
    for inputs, targets in batches():
        halves = list(zip(inputs.chunk(ranks)[rank].chunk(2), targets.chunk(ranks)[rank].chunk(2)))
        with model.no_sync():
            first = loss_of(model(halves[0][0]), halves[0][1]) / 2
            first.backward()
        second = loss_of(model(halves[1][0]), halves[1][1]) / 2
        second.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(mean_of_ranks(first + second, ranks))
    return losses


def halved_gradients(rank, ranks):
    """Gradients travel as float16."""
    model = DistributedDataParallel(new_model())
    model.register_comm_hook(None, fp16_compress_hook)
    return train_on_part(model, rank, ranks)


# ---- Parameters in parts


def sharded(model, mesh):
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def fully_sharded(rank, ranks):
    return train_on_part(sharded(new_model(), cpu_mesh(ranks)), rank, ranks)


def sharded_and_replicated(rank, ranks):
    mesh = cpu_mesh(2, ranks // 2, names=("replicas", "shards"))
    return train_on_part(sharded(new_model(), mesh), rank, ranks)


def checkpointed(rank, ranks):
    """What was saved goes on as what was not stopped; it is saved twice, the second time while training goes on."""
    directory = pathlib.Path(from_rank_0(tempfile.mkdtemp() if rank == 0 else None))
    model = sharded(new_model(), cpu_mesh(ranks))
    optimizer = new_optimizer(model.parameters())
    halfway = STEPS // 2

    def state(model, optimizer):
        return dict(zip(("model", "optimizer"), get_state_dict(model, optimizer)))

    losses = train_on_part(model, rank, ranks, optimizer, itertools.islice(batches(), halfway))
    checkpoint.save(state(model, optimizer), checkpoint_id=directory / "first")
    saving = checkpoint.async_save(state(model, optimizer), checkpoint_id=directory / "second", process_group=dist.new_group())
    losses += train_on_part(model, rank, ranks, optimizer, itertools.islice(batches(), halfway, None))
    saving.result()
    dist.barrier()
    for name in ("first", "second"):
        model = sharded(new_model(seed=1), cpu_mesh(ranks))
        optimizer = new_optimizer(model.parameters())
        loaded = state(model, optimizer)
        checkpoint.load(loaded, checkpoint_id=directory / name)
        set_state_dict(model, optimizer, model_state_dict=loaded["model"], optim_state_dict=loaded["optimizer"])
        again = train_on_part(model, rank, ranks, optimizer, itertools.islice(batches(), halfway, None))
        assert again == losses[halfway:], f"from the {name} checkpoint: {again}, not {losses[halfway:]}"
    return losses


def from_rank_0(value):
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]


# ---- Layers in parts


def split_layers(model, mesh):
    """Each rank has some heads of the attention and some of the wide middle of the feed-forward layers."""
    plan = {f"attention.{name}": ColwiseParallel() for name in ("query", "key", "value")}
    plan |= {"attention.out": RowwiseParallel(), "feed_forward.up": ColwiseParallel(), "feed_forward.down": RowwiseParallel()}
    for layer in model.layers:
        parallelize_module(layer, mesh, plan)
    return model


def tensor_parallel(rank, ranks):
    model = split_layers(new_model(), cpu_mesh(ranks))
    return train(model, new_optimizer(model.parameters()), batches())


def sequence_parallel(rank, ranks):
    """As tensor_parallel, and between those each rank has some places of the sequences."""
    mesh, model = cpu_mesh(ranks), new_model()
    gathered = {"input_layouts": (Shard(1),), "desired_input_layouts": (Replicate(),)}
    plan = {f"attention.{name}": ColwiseParallel() for name in ("query", "key", "value")}
    plan |= {"attention.out": RowwiseParallel(output_layouts=Shard(1)), "feed_forward.down": RowwiseParallel(output_layouts=Shard(1))}
    plan |= {"attention": PrepareModuleInput(**gathered), "feed_forward": PrepareModuleInput(**gathered), "feed_forward.up": ColwiseParallel()}
    plan |= {"norm1": SequenceParallel(), "norm2": SequenceParallel()}
    for layer in model.layers:
        parallelize_module(layer, mesh, plan)
    whole = {"input_layouts": (Replicate(),), "desired_input_layouts": (Shard(1),), "use_local_output": True}
    parallelize_module(model, mesh, {"layers.0": PrepareModuleInput(**whole), "norm": SequenceParallel(),
                                     "head": ColwiseParallel(input_layouts=Shard(1), output_layouts=Replicate())})
    return train(model, new_optimizer(model.parameters()), batches())


def sharded_tensor_parallel(rank, ranks):
    """Two groups of ranks share the batch; in each, layers are split."""
    mesh = cpu_mesh(2, ranks // 2, names=("data", "tensor"))
    model = sharded(split_layers(new_model(), mesh["tensor"]), mesh["data"])
    row = mesh["data"].get_local_rank()
    return train(model, new_optimizer(model.parameters()), batches(), lambda tensor: tensor.chunk(2)[row], lambda loss: mean_of_ranks(loss, ranks))


# ---- Layers one after the other


class Stage(nn.Module):
    """Those layers of the model that a stage of the pipeline has."""

    def __init__(self, stage, stages):
        super().__init__()
        model = new_model()
        first, last = stage == 0, stage == stages - 1
        each = LAYERS // stages
        self.parts = nn.Sequential(*([model.embedding] if first else []), *model.layers[stage * each : (stage + 1) * each],
                                   *([model.norm, model.head] if last else []))

    def forward(self, x):
        return self.parts(x)


def train_stages(rank, ranks, schedule, at_once):
    """at_once stages on each rank; the batch goes through them in parts of two sequences."""
    stages = at_once * ranks
    mine = [PipelineStage(Stage(n, stages), n, stages, torch.device("cpu")) for n in range(rank, stages, ranks)]
    pipeline = schedule(mine if at_once > 1 else mine[0], n_microbatches=BATCH // 2, loss_fn=loss_of)
    optimizer = new_optimizer([parameter for stage in mine for parameter in stage.submod.parameters()])
    last = ranks - 1
    losses = []
    for inputs, targets in batches():
        parts = []
        pipeline.step(*([inputs] if rank == 0 else []), **({"target": targets, "losses": parts} if rank == last else {}))
        optimizer.step()
        optimizer.zero_grad()
        loss = torch.stack(parts).mean().detach() if rank == last else torch.zeros(())
        dist.broadcast(loss, src=last)
        losses.append(loss.item())
    return losses


def pipeline_all_forward(rank, ranks):
    return train_stages(rank, ranks, ScheduleGPipe, 1)


def pipeline_alternating(rank, ranks):
    return train_stages(rank, ranks, Schedule1F1B, 1)


def pipeline_interleaved(rank, ranks):
    return train_stages(rank, ranks, ScheduleInterleaved1F1B, 2)


# ---- Compiled


def compiled(rank, ranks):
    """One graph forward and one backward, with the collectives in it: each rank has its part of all parameters in one vector."""
    model, group = new_model(), dist.group.WORLD
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    vector = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    count = vector.numel()
    each = math.ceil(count / ranks)
    mine = nn.Parameter(nn.functional.pad(vector, (0, each * ranks - count))[rank * each : (rank + 1) * each].clone())

    @torch.compile(backend=COMPILER, fullgraph=True)
    def loss_of_part(mine, inputs, targets):
        whole = calls.wait_tensor(calls.all_gather_tensor_autograd(mine, 0, group))
        pieces = whole[:count].split([shape.numel() for shape in shapes.values()])
        parameters = {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces)}
        loss = loss_of(torch.func.functional_call(model, parameters, (inputs,)), targets) / ranks
        return loss, calls.all_reduce(loss.detach(), "sum", group)

    optimizer = new_optimizer([mine])
    losses = []
    for inputs, targets in batches():
        loss, sum = loss_of_part(mine, inputs.chunk(ranks)[rank], targets.chunk(ranks)[rank])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(sum.item())
    return losses


# On how many ranks.
CASES = {
    data_parallel: (2, 4),
    buckets_as_gradients: (3,),
    accumulated: (2,),
    halved_gradients: (2,),
    fully_sharded: (2, 3),
    sharded_and_replicated: (4,),
    checkpointed: (3,),
    tensor_parallel: (2, 4),
    sequence_parallel: (2,),
    sharded_tensor_parallel: (4,),
    pipeline_all_forward: (2,),
    pipeline_alternating: (4,),
    pipeline_interleaved: (2,),
    compiled: (2,),
}
TOLERANCES = {halved_gradients: 1e-4}


def rank_main(rank, ranks, port, case, results):
    torch.set_num_threads(1)
    for backend in ("tutti", "gloo"):
        store = dist.PrefixStore(f"{case.__name__}/{ranks}/{backend}", dist.TCPStore("127.0.0.1", port, timeout=SECONDS))
        dist.init_process_group(backend, store=store, rank=rank, world_size=ranks, timeout=SECONDS)
        assert dist.get_backend() == backend
        losses = case(rank, ranks)
        dist.barrier()
        dist.destroy_process_group()
        (results / f"{backend}.{rank}").write_text(json.dumps(losses))


def alone(_rank, _ranks, results):
    torch.set_num_threads(1)
    model = new_model()
    (results / "alone").write_text(json.dumps(train(model, new_optimizer(model.parameters()), batches())))


def difference(losses, wanted):
    return max(abs(loss - other) / other for loss, other in zip(losses, wanted, strict=True))


def compare(case, ranks, results, reference):
    """Whether the losses are what they must be, and in words how far they are from that."""
    tutti, gloo = ([json.loads((results / f"{backend}.{rank}").read_text()) for rank in range(ranks)] for backend in ("tutti", "gloo"))
    if any(losses != tutti[0] for losses in tutti):
        return False, f"ranks have other losses: {tutti}"
    from_alone, from_gloo = difference(tutti[0], reference), difference(tutti[0], gloo[0])
    told = f"differs by {from_alone:.1e} from one process, {from_gloo:.1e} from gloo"
    if from_alone <= TOLERANCES.get(case, FROM_ONE_PROCESS) and from_gloo <= FROM_GLOO:
        return True, told
    return False, f"{told}: {tutti[0]}, alone {reference}, gloo {gloo[0]}"


def main():
    port = job.torch_store()
    wanted = set(sys.argv[1:]) or {case.__name__ for case in CASES}
    unknown = wanted - {case.__name__ for case in CASES}
    assert not unknown, f"no such cases: {unknown}"
    results = pathlib.Path(tempfile.mkdtemp())
    assert job.forked(alone, 1, results) == [0]
    reference = json.loads((results / "alone").read_text())
    assert reference[-1] < 0.9 * reference[0], f"one process learns nothing: {reference}"
    print(f"alone: {reference[0]:.3f} to {reference[-1]:.3f}")
    # Ranks are copies of this process: none imports what the compiler needs once more, nor looks for garbage among the modules.
    torch._dynamo.lookup_backend(COMPILER)
    gc.freeze()
    failed = []
    for case, ranks in ((case, ranks) for case, sizes in CASES.items() for ranks in sizes if case.__name__ in wanted):
        start = time.monotonic()
        statuses = job.forked(rank_main, ranks, port, case, results)
        good, told = (False, f"exit statuses {statuses}") if any(statuses) else compare(case, ranks, results, reference)
        print(f"{case.__name__} on {ranks} ranks: {'ok' if good else 'wrong'}, {told} ({time.monotonic() - start:.1f} s)", flush=True)
        if not good:
            failed.append(case.__name__)
    sys.exit(f"failed: {failed}" if failed else 0)


if __name__ == "__main__":
    main()
