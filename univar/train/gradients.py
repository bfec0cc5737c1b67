"""Gradients of a batch of any size in limited memory, by several threads and processes, in a fixed order.

A gradient cache: first all embeddings, then the loss and its gradient by each embedding, then the gradients
of the weights chunk by chunk. A batch of few chunks keeps their graphs and computes nothing twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from univar.encoder.packing import Layout, micro_batches
from univar.train.trainable import TrainableEncoder

_CPU = torch.device("cpu")
Chunk = tuple[np.ndarray, np.ndarray, Layout]

KEPT_CHUNKS = 3
"""Graphs that a thread may keep at once."""

CUDA_CHUNKS = 16
"""A chunk on a CUDA device holds as many times the tokens of one on a CPU: by default 65,536."""


@dataclass(frozen=True)
class Processes:
    """Rank of this process, number of processes of a run, as torchrun starts them, and this one's device."""

    rank: int = 0
    world: int = 1
    device: torch.device = _CPU

    @classmethod
    def of_environment(cls, device: torch.device) -> Processes:
        """Join torchrun's group (RANK, WORLD_SIZE), if there is one: gloo for a CPU, nccl for a CUDA device.

        device: this process's own, with its index (`univar.runtime.choose_device`)
        """
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls(device=device)
        if not dist.is_initialized():
            if device.type == "cuda":
                dist.init_process_group("nccl", device_id=device)
            else:
                dist.init_process_group("gloo")
        return cls(dist.get_rank(), world, device)

    def gather(self, own: Tensor) -> list[Tensor]:
        """The rows of each process in the order of ranks, without gradients. own: (n of this rank, D)."""
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
        """Process 0's number, on every process."""
        if self.world == 1:
            return number
        shared = torch.tensor([number], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)

    @contextmanager
    def first_by_itself(self) -> Iterator[None]:
        """Process 0 runs the block first, then all others do."""
        if self.rank > 0:
            self.wait()
        yield
        if self.rank == 0:
            self.wait()

    def wait(self) -> None:
        """Wait until all processes have got here."""
        if self.world > 1:
            dist.barrier()


class Backpropagation:
    """Runs a batch through an encoder and back.

    workers: threads in which torch uses one thread each (`one_threaded_workers`); chunk i belongs to worker i
             modulo their number, so that sums are added up in the same order in every run
    """

    def __init__(
        self, encoder: TrainableEncoder, workers: ThreadPoolExecutor, n_workers: int, chunk_tokens: int
    ) -> None:
        self._encoder, self._workers, self._n_workers = encoder, workers, n_workers
        self._chunk_tokens = chunk_tokens * (CUDA_CHUNKS if encoder.word.device.type == "cuda" else 1)
        self.parameters = [parameter for parameter in encoder.parameters() if parameter.requires_grad]

    def run(
        self, ids: np.ndarray, cu_seqlens: np.ndarray, loss_of: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Loss () and embeddings (n, dim) of packed texts; adds the gradients to the parameters' `.grad`.

        loss_of: takes the embeddings as a leaf, (n, dim) float32, in the order of the texts
        """
        chunks = list(micro_batches(ids, cu_seqlens, self._budget(len(ids))))
        keep = len(chunks) <= KEPT_CHUNKS * self._n_workers
        outputs = self._each(chunks, lambda number: self._forward(chunks[number], keep))
        embeddings = _in_order(chunks, outputs).requires_grad_()
        loss = loss_of(embeddings)
        (gradient,) = torch.autograd.grad(loss, embeddings)
        self._backward(chunks, outputs if keep else None, gradient)
        return loss.detach(), embeddings.detach()

    def embed(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> Tensor:
        """Embeddings (n, dim) of packed texts, without gradients."""
        chunks = list(micro_batches(ids, cu_seqlens, self._budget(len(ids))))
        return _in_order(chunks, self._each(chunks, lambda number: self._forward(chunks[number], False)))

    def _budget(self, tokens: int) -> int:
        """Tokens per chunk: as many as allowed, fewer where threads would be idle."""
        rounds = -(-tokens // (self._chunk_tokens * self._n_workers))
        return max(1, -(-tokens // (rounds * self._n_workers)) + 256)

    def _forward(self, chunk: Chunk, with_graph: bool) -> Tensor:
        with torch.set_grad_enabled(with_graph):
            return self._encoder(chunk[1], chunk[2])

    def _each(self, chunks: Sequence[Chunk], run: Callable[[int], Tensor]) -> list[Tensor]:
        """run(number of the chunk) for each chunk; every worker does its own in order."""

        def share(worker: int) -> list[Tensor]:
            return [run(number) for number in range(worker, len(chunks), self._n_workers)]

        shares = list(self._workers.map(share, range(self._n_workers)))
        return [shares[number % self._n_workers][number // self._n_workers] for number in range(len(chunks))]

    def _backward(self, chunks: Sequence[Chunk], outputs: list[Tensor] | None, gradient: Tensor) -> None:
        sums: list[list[Tensor] | None] = [None] * self._n_workers

        def run(number: int) -> Tensor:
            rows = torch.from_numpy(chunks[number][0])
            output = self._forward(chunks[number], True) if outputs is None else outputs[number]
            found = torch.autograd.grad(output, self.parameters, gradient[rows], allow_unused=True)
            worker = number % self._n_workers
            own = sums[worker]
            if own is None:
                sums[worker] = [
                    torch.zeros_like(parameter) if part is None else part
                    for parameter, part in zip(self.parameters, found, strict=True)
                ]
                return gradient.new_zeros(())
            for place, part in enumerate(found):
                if part is not None:
                    own[place] += part
            return gradient.new_zeros(())

        self._each(chunks, run)
        for own in sums:
            for parameter, total in zip(self.parameters, own or (), strict=False):
                if parameter.grad is None:
                    parameter.grad = total.to_dense() if total.is_sparse else total
                else:
                    parameter.grad += total


def _in_order(chunks: Sequence[Chunk], outputs: Sequence[Tensor]) -> Tensor:
    """Embeddings of all texts in the order they were given, detached."""
    first = outputs[0]
    embeddings = torch.empty(sum(len(rows) for rows, _, _ in chunks), first.shape[1], device=first.device)
    for (rows, _, _), output in zip(chunks, outputs, strict=True):
        embeddings[torch.from_numpy(rows)] = output.detach()
    return embeddings
