"""elastic_test.py DIRECTORY [RANK]: a worker of torchrun. It trains over the backend "tutti" and keeps what it has reached in DIRECTORY, where it
goes on from when it is started again. Rank RANK kills itself in the first attempt. What happens is written to files:

    attempt.A.R  the step with which rank R started in attempt A
    failure.R    what ended rank R's training
    losses.R     the losses of all steps
"""

import json
import os
import pathlib
import signal
import sys
import time
import warnings

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

warnings.filterwarnings("ignore")
STEPS, FATAL_STEP, BATCH = 8, 3, 16


class Training:
    def __init__(self, kept):
        torch.manual_seed(0)
        self.kept, self.losses = kept, []
        self.model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1)))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.02, momentum=0.9)
        if kept.exists():
            model, optimizer, self.losses = torch.load(kept)
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict(optimizer)

    def step(self):
        numbers = torch.Generator().manual_seed(len(self.losses))
        inputs = torch.randn(BATCH, 8, generator=numbers).chunk(dist.get_world_size())[dist.get_rank()]
        loss = nn.functional.mse_loss(self.model(inputs), inputs.sum(1, keepdim=True))
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        whole = loss.detach()
        dist.all_reduce(whole)
        self.losses.append(whole.item() / dist.get_world_size())

    def keep(self):
        """Once a rank returns from this, the file is complete."""
        if dist.get_rank() == 0:
            unfinished = self.kept.with_suffix(".new")
            torch.save((self.model.state_dict(), self.optimizer.state_dict(), self.losses), unfinished)
            unfinished.rename(self.kept)
        dist.barrier()


def meet(rank, attempt, directory, step):
    """A barrier and a message that nothing of another attempt may be taken for."""
    time.sleep(0.5 * rank)
    (directory / f"attempt.{attempt}.{rank}").write_text(str(step))
    dist.monitored_barrier()
    missing = [other for other in range(dist.get_world_size()) if not (directory / f"attempt.{attempt}.{other}").exists()]
    assert not missing, f"rank {rank} did not wait for {missing}"
    number = torch.tensor(attempt if rank == 0 else -1)
    if rank == 0:
        dist.send(number, 1)
    else:
        dist.recv(number, 0)
        assert number.item() == attempt, f"rank {rank} received what was sent in attempt {number.item()}"


def main(directory, fatal_rank=-1):
    directory, attempt = pathlib.Path(directory), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    if attempt == 0:  # the agent ends a worker as soon as another one has died, but this one shall tell first what it has seen
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif os.environ["RANK"] == "0":  # others come first, and find what the first attempt's rank 0 has told them
        time.sleep(1)
    torch.set_num_threads(1)
    dist.init_process_group("tutti")
    rank = dist.get_rank()
    training = Training(directory / "kept")
    meet(rank, attempt, directory, len(training.losses))
    try:
        while len(training.losses) < STEPS:
            if attempt == 0 and rank == int(fatal_rank) and len(training.losses) == FATAL_STEP:
                os.kill(os.getpid(), signal.SIGKILL)
            training.step()
            training.keep()
    except dist.DistBackendError as error:
        (directory / f"failure.{rank}").write_text(str(error))
        raise
    (directory / f"losses.{rank}").write_text(json.dumps(training.losses))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
