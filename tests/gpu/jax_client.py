"""jax_client.py RANKS: a sum over JAX's processes, which share one GPU."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "dropin/nccl"))
import job

PORT = 29871


def rank_main(rank, ranks, pipes):
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax
    import numpy
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    jax.distributed.initialize(f"127.0.0.1:{PORT}", ranks, rank, local_device_ids=[0])
    mesh = Mesh(numpy.array(jax.devices()), "ranks")
    mine = numpy.arange(1000, dtype=numpy.float32)[None, :] + rank
    array = jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec("ranks")), mine)
    out = jax.jit(lambda a: a.sum(0), out_shardings=NamedSharding(mesh, PartitionSpec()))(array)
    wanted = ranks * numpy.arange(1000) + ranks * (ranks - 1) // 2
    assert (numpy.asarray(out.addressable_data(0)) == wanted).all()


if __name__ == "__main__":
    job.run("jax", rank_main, int(sys.argv[1]))
