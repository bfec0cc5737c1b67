"""Gradients of a batch of any size on any memory, by several threads and processes, in a fixed order.

A gradient cache: embeddings first, then the loss and its gradient by each embedding, then chunk by chunk
the gradients of the weights. A batch whose chunks fit in hand keeps its graphs and computes nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from univar.encoder.packing import Layout, micro_batches
from univar.train.trainable import TrainableEncoder

Chunk = tuple[np.ndarray, np.ndarray, Layout]

KEPT_CHUNKS = 3
"""Graphs that each thread may keep at once."""


class Backpropagation:
    """Runs a batch through an encoder and back.

    workers: threads that torch runs with one thread each (`univar.encoder.encoder`); chunk i belongs to
             worker i modulo their number, so that sums are made in the same order every time
    """

    def __init__(
        self, model: TrainableEncoder, workers: ThreadPoolExecutor, n_workers: int, chunk_tokens: int
    ) -> None:
        self._model, self._workers, self._n_workers = model, workers, n_workers
        self._chunk_tokens = chunk_tokens
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def run(
        self, ids: np.ndarray, cu_seqlens: np.ndarray, loss_of: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Loss () and embeddings (n, dim) of packed texts; adds the gradients to the parameters' `.grad`.

        loss_of: gets the embeddings as a leaf, (n, dim) float32, in the order of the texts
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
        """Tokens of a chunk: as many as allowed, fewer where threads would have nothing to do."""
        rounds = -(-tokens // (self._chunk_tokens * self._n_workers))
        return max(1, -(-tokens // (rounds * self._n_workers)) + 256)

    def _forward(self, chunk: Chunk, with_graph: bool) -> Tensor:
        with torch.set_grad_enabled(with_graph):
            return self._model(chunk[1], chunk[2])

    def _each(self, chunks: Sequence[Chunk], run: Callable[[int], Tensor]) -> list[Tensor]:
        """run(number of the chunk) for each, every worker its own in order."""

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
