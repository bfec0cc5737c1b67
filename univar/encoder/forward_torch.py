"""The forward in torch over any number of packed texts: on the CPU one micro-batch to each worker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from univar.encoder.config import ModelConfig
from univar.encoder.forward import PackedTransformer
from univar.encoder.packing import Layout, micro_batches
from univar.encoder.weights import Weights

BATCH_TOKENS = {"cpu": 2048, "cuda": 65_536}
"""Tokens of one micro-batch; on the CPU each worker thread has one in hand."""


class TorchForward:
    """A loaded encoder on any device. On the CPU each of `threads` workers runs torch with one thread."""

    def __init__(self, config: ModelConfig, weights: Weights, dtype: str, device: torch.device, threads: int):
        self.batch_tokens = BATCH_TOKENS[device.type]
        self._threads = threads if device.type == "cpu" else 1
        self._transformer = PackedTransformer(config, weights, dtype, device)
        self._workers = one_threaded_workers(self._threads)

    def batches(self, ids: np.ndarray, cu_seqlens: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(rows (b,) int64, embeddings (b, dim) float32) of packed texts, batch by batch."""
        share = -(-len(ids) // self._threads)  # a small call too keeps all threads busy
        budget = max(1, min(self.batch_tokens, share))

        def run(batch: tuple[np.ndarray, np.ndarray, Layout]) -> tuple[np.ndarray, np.ndarray]:
            rows, batch_ids, layout = batch
            return rows, self._transformer(batch_ids, layout).numpy()

        return self._workers.map(run, micro_batches(ids, cu_seqlens, budget))


def one_threaded_workers(n: int) -> ThreadPoolExecutor:
    """n threads in which torch uses one thread each; the setting of all other threads stays."""
    before = torch.get_num_threads()
    all_started = threading.Barrier(n)

    def start(_: int) -> None:
        torch.get_num_threads()  # torch sets a thread up at its first question, undoing what came before
        torch.set_num_threads(1)
        all_started.wait()

    workers = ThreadPoolExecutor(n, thread_name_prefix="univar-encoder")
    list(workers.map(start, range(n)))
    torch.set_num_threads(before)
    return workers
