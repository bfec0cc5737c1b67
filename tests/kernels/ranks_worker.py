"""One process of a group: compares its part of the loss and gradients with those of a single process."""

from __future__ import annotations

import itertools

import torch
import torch.distributed as dist
from torch import Tensor

from tests.kernels.cases import Pairs, loss_and_gradients, random_pairs
from univar import info_nce
from univar.errors import UsageError
from univar.kernels.info_nce import SAME_SOURCE

ROWS = 9
NUMBERS = (
    (20.0, torch.float32),
    (90.0, torch.float64),
)  # scale and dtype; at 90 sums are kept by their maxima
CASES = list(itertools.product(("gather", "ring"), SAME_SOURCE, (True, False), NUMBERS))


def run(rank: int, world: int, folder: str, results) -> None:
    """Put (case, largest relative error over loss and gradients) of every case into `results`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    pairs = random_pairs(ROWS * world, 13, torch.device("cpu"), labels=7)
    own = Pairs(*(x[rank * ROWS : (rank + 1) * ROWS] for x in (pairs.anchor, pairs.positive, pairs.labels)))
    for exchange, same_source, symmetric, (scale, dtype) in CASES:
        options = {"same_source": same_source, "symmetric": symmetric}
        alone = loss_and_gradients(pairs.to(dtype), scale, "chunked", **options)
        options |= {"group": dist.group.WORLD, "exchange": exchange}
        got = loss_and_gradients(own.to(dtype), scale, "chunked", **options)
        dist.all_reduce(got[3])
        mine = slice(rank * ROWS, (rank + 1) * ROWS)
        expected = [alone[0], alone[1][mine], alone[2][mine], alone[3]]
        results.put(((exchange, same_source, symmetric, scale), _largest_error(got, expected)))
    results.put((("uneven",), _uneven_is_refused(rank)))
    dist.destroy_process_group()


def _largest_error(got: list[Tensor], expected: list[Tensor]) -> float:
    return max(float((g - e).norm() / e.norm()) for g, e in zip(got, expected, strict=True))


def _uneven_is_refused(rank: int) -> float:
    pairs = random_pairs(ROWS, 4 + rank, torch.device("cpu"))
    try:
        info_nce(pairs.anchor, pairs.positive, log_scale=1.0, group=dist.group.WORLD)
    except UsageError:
        return 0.0
    return 1.0
