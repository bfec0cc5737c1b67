"""The processes of one training run, as torchrun starts them; one process needs nothing of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """This process's number and how many there are."""

    rank: int = 0
    world: int = 1

    @classmethod
    def of_environment(cls) -> Processes:
        """Join torchrun's group (RANK, WORLD_SIZE) with gloo on the CPU and nccl on CUDA, if there is one."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        if not dist.is_initialized():
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(dist.get_rank(), world)

    def gather(self, own: Tensor) -> list[Tensor]:
        """The rows of each process in the order of their ranks, without gradients. own: (n_rank, D)."""
        if self.world == 1:
            return [own]
        sizes = [torch.zeros(1, dtype=torch.int64, device=own.device) for _ in range(self.world)]
        dist.all_gather(sizes, torch.tensor([len(own)], device=own.device))
        padded = own.new_zeros(max(int(size) for size in sizes), own.shape[1])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        dist.all_gather(parts, padded)
        return [part[: int(size)] for part, size in zip(parts, sizes, strict=True)]

    def add_up(self, gradients: list[Tensor]) -> None:
        """Replace each tensor by the sum over all processes."""
        if self.world == 1 or not gradients:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))

    def agree(self, number: float) -> float:
        """Process 0's number, everywhere."""
        if self.world == 1:
            return number
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        shared = torch.tensor([number], dtype=torch.float64, device=device)
        dist.broadcast(shared, 0)
        return float(shared)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Process 0 goes through the block first, then all others."""
        if self.rank > 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            dist.barrier()
