"""`info_nce` over several processes equals that of one process with all their pairs."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.kernels import ranks_worker
from univar import info_nce
from univar.errors import UsageError


@pytest.mark.parametrize("world", [2, 4])
def test_loss_and_gradients_are_those_of_one_process(world, tmp_path):
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["torch", "tests.kernels.ranks_worker"])
    results = context.SimpleQueue()
    processes = [
        context.Process(target=ranks_worker.run, args=(rank, world, str(tmp_path), results))
        for rank in range(world)
    ]
    for process in processes:
        process.start()
    errors = [results.get() for _ in range(world * (len(ranks_worker.CASES) + 1))]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for case, error in errors:
        assert error < 1e-5, case


def test_dense_with_a_group_is_refused(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        with pytest.raises(UsageError, match="one process only"):
            info_nce(torch.ones(3, 2), torch.ones(3, 2), log_scale=1.0, impl="dense", group=dist.group.WORLD)
    finally:
        dist.destroy_process_group()
