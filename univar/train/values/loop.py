"""The loop of both tasks: one cycle of AdamW steps over packed texts, with checkpoints.

A task says which texts a step has and what their vectors lose (`Task`); everything else is here. A run that
was killed continues from its last checkpoint and ends with the same weights, bit for bit.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from univar import runtime
from univar.encoder.adapter import adapted_weights
from univar.encoder.checkpoint import Weights
from univar.encoder.config import EncoderConfig
from univar.encoder.forward_torch import TORCH_DTYPES, one_threaded_workers
from univar.encoder.spec import ResolvedSpec
from univar.encoder.tokenizer import take_texts
from univar.errors import DataError, UsageError
from univar.train.gradients import Backpropagation
from univar.train.run_folder import RunFolder, load_tensors, read_state
from univar.train.step import clip_gradients
from univar.train.trainable import TrainableEncoder
from univar.train.values.objective import one_cycle
from univar.train.values.settings import ValueSettings

FORMAT = 1
"""Format of checkpoints."""


class Task(Protocol):
    """What is trained: packed texts, the order of steps, and the loss of a step.

    ids, cu_seqlens: the packed texts; objective: the parameters that only the loss has
    identity:        what must be the same when a run is continued
    """

    ids: np.ndarray
    cu_seqlens: np.ndarray
    objective: nn.Module
    identity: dict[str, Any]

    def steps_per_epoch(self) -> int:
        """Steps in which every text is seen once."""

    def rows(self, step: int) -> np.ndarray:
        """(b,) int64 texts of a step, a function of seed and step alone."""

    def loss(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """() of the unit vectors (b, D) of the texts `rows`."""


@dataclass
class Progress:
    """Where a run is."""

    steps: int
    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    loss: float = float("nan")
    stopped: str = ""


class ValueRun:
    """A run of a task in the working folder `folder`."""

    def __init__(
        self,
        base: ResolvedSpec,
        config: EncoderConfig,
        task: Task,
        settings: ValueSettings,
        folder: Path,
        *,
        threads: int | None = None,
        device: str = "auto",
        resume: bool = False,
        checkpoint_every: int = 50,
    ) -> None:
        self.settings, self.folder = settings, RunFolder(folder)
        self._task, self._every = task, checkpoint_every
        self._device = torch.device(runtime.choose_device(device))
        self.dtype = runtime.choose_dtype(settings.dtype, self._device.type).chosen
        encoder = TrainableEncoder(config, adapted_weights(base, config), TORCH_DTYPES[self.dtype])
        self.encoder = _upper_layers(encoder, settings.trained_layers).to(self._device)
        self._objective = task.objective.to(self._device)
        n = runtime.thread_count(threads) if self._device.type == "cpu" else 1
        self._back = Backpropagation(self.encoder, one_threaded_workers(n), n, settings.chunk_tokens)
        self.optimizer = self._make_optimizer()
        steps = max(1, round(settings.epochs * task.steps_per_epoch()))
        self.progress = Progress(steps)
        self._identity: dict[str, Any] = json.loads(
            json.dumps(
                {
                    "format": FORMAT,
                    "settings": settings.to_dict(),
                    "base": base.revision,
                    "dtype": self.dtype,
                    **task.identity,
                }
            )
        )
        self._restore(resume)

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that are trained, by name."""
        named = [*self.encoder.named_parameters(), *self._objective.named_parameters()]
        return [(name, parameter) for name, parameter in named if parameter.requires_grad]

    def train(
        self,
        on_progress: Callable[[Progress], Any] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Weights | None:
        """The trained weights, or None where `should_stop` said so: a checkpoint then holds the run."""
        progress = self.progress
        while progress.step < progress.steps:
            started = time.monotonic()
            self._step()
            progress.seconds += time.monotonic() - started
            stop = should_stop is not None and should_stop()
            if progress.step % self._every == 0 or stop or progress.step == progress.steps:
                self._save()
            if on_progress is not None:
                on_progress(progress)
            if stop and progress.step < progress.steps:
                progress.stopped = "interrupted"
                return None
        progress.stopped = "all steps done"
        return self.encoder.weights()

    def embed(self) -> np.ndarray:
        """(n, D) float32 unit vectors of all texts of the task, by the weights as they are now."""
        vectors: np.ndarray = self._back.embed(self._task.ids, self._task.cu_seqlens).cpu().numpy()
        return vectors

    def _step(self) -> None:
        progress, settings = self.progress, self.settings
        rows = self._task.rows(progress.step)
        ids, cu_seqlens = take_texts(self._task.ids, self._task.cu_seqlens, rows)
        loss, _ = self._back.run(ids, cu_seqlens, lambda x: self._loss(x, rows))
        norm = clip_gradients([*self._back.parameters, *self._own()], settings.clip)
        if not (math.isfinite(float(loss)) and math.isfinite(norm)):
            raise DataError(
                f"training diverged at step {progress.step} (loss {float(loss)}, gradient norm {norm}): "
                "the last good checkpoint is kept; start again with a lower learning_rate"
            )
        rate = one_cycle(settings.learning_rate, progress.step, progress.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_factor"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        progress.step += 1
        progress.tokens += len(ids)
        progress.loss = float(loss)

    def _loss(self, x: Tensor, rows: np.ndarray) -> Tensor:
        loss = self._task.loss(x, rows)
        own = self._own()
        for parameter, gradient in zip(own, torch.autograd.grad(loss, own, retain_graph=True), strict=True):
            parameter.grad = gradient
        return loss

    def _own(self) -> list[nn.Parameter]:
        return list(self._objective.parameters())

    def _make_optimizer(self) -> torch.optim.AdamW:
        weights = self._back.parameters
        groups = [
            ([p for p in weights if p.ndim >= 2], self.settings.weight_decay, 1.0),
            ([p for p in weights if p.ndim < 2], 0.0, 1.0),
            (self._own(), 0.0, self.settings.head_rate),
        ]
        return torch.optim.AdamW(
            [
                {"params": own, "weight_decay": decay, "rate_factor": factor}
                for own, decay, factor in groups
                if own
            ],
            lr=self.settings.learning_rate,
            fused=True,
        )

    def _save(self) -> None:
        progress = self.progress
        kept = {"seconds": progress.seconds, "tokens": progress.tokens, "loss": progress.loss}
        self.folder.save(progress.step, self, {"identity": self._identity, "progress": kept})

    def _restore(self, resume: bool) -> None:
        found = self.folder.checkpoints()
        if not found:
            return
        if not resume:
            raise UsageError(
                f"{self.folder.path} holds an unfinished run: continue it with --resume, or remove the folder"
            )
        state = read_state(found[-1])
        if state.get("identity") != self._identity:
            raise UsageError(
                f"{self.folder.path} belongs to a run with other inputs, other settings or another version "
                "of univar: resume with the same ones, or choose another --out"
            )
        load_tensors(found[-1], state["step"], self)
        self.progress = Progress(self.progress.steps, state["step"], **state["progress"])


def _upper_layers(encoder: TrainableEncoder, trained: int) -> TrainableEncoder:
    """The same encoder with all but its `trained` upper layers frozen; 0 freezes none."""
    if trained > len(encoder.layers):
        raise UsageError(f"trained_layers is {trained}, but the base has {len(encoder.layers)} layers")
    if trained:
        encoder.requires_grad_(False)
        for layer in list(encoder.layers)[-trained:]:
            layer.requires_grad_(True)
    return encoder
