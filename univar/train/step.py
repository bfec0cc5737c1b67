"""One optimizer step: views, packed forward, loss over the global batch, backward, update."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from univar.errors import DataError
from univar.train.gradients import Backpropagation
from univar.train.objective import Objective
from univar.train.optimizer import clip, make_optimizer
from univar.train.processes import Processes
from univar.train.settings import TrainSettings
from univar.train.trainable import TrainableEncoder
from univar.train.views import PairBatch, TokenCorpus

_NAMED_ROWS = 6


@dataclass(frozen=True)
class StepFacts:
    """What a step gave: its loss, the norm of its gradient before clipping, and this process's tokens."""

    loss: float
    gradient_norm: float
    tokens: int


class Stepper:
    """Model, loss and optimizer of a run."""

    def __init__(
        self,
        model: TrainableEncoder,
        settings: TrainSettings,
        processes: Processes,
        workers: ThreadPoolExecutor,
        n_workers: int,
        n_sources: int,
    ) -> None:
        objective = Objective(settings, n_sources, model.word.shape[1])
        self.model, self.objective = model, objective.to(model.word.device)
        self._settings, self._processes = settings, processes
        self.backpropagation = Backpropagation(model, workers, n_workers, settings.chunk_tokens)
        named = [*model.named_parameters(), *self.objective.named_parameters()]
        self.optimizer = make_optimizer(named, settings)

    def run(
        self,
        corpus: TokenCorpus,
        batch: PairBatch,
        learning_rate: float,
        max_length: int,
        non_value: tuple[TokenCorpus, np.ndarray] | None = None,
    ) -> StepFacts:
        """Take one step on the pairs of the whole batch, of which this process computes its part.

        non_value: a corpus without values and rows of it, for the loss "value_aware"
        Raises DataError, before anything is changed, where loss or gradient are not finite.
        """
        own = batch.part(self._processes.rank, self._processes.world)
        ids, cu_seqlens = corpus.views([*own.anchors, *own.positives], max_length)
        if non_value is not None:
            others, rows = non_value
            mine = np.array_split(rows, self._processes.world)[self._processes.rank]
            more, ends = others.views(list(mine[:, None]), max_length)
            ids, cu_seqlens = (
                np.concatenate([ids, more]),
                np.concatenate([cu_seqlens, cu_seqlens[-1] + ends[1:]]),
            )
        loss, embeddings = self.backpropagation.run(
            ids, cu_seqlens, lambda leaf: self._global_loss(leaf, batch, len(own))
        )
        weights = self.backpropagation.parameters
        self._processes.add_up([p.grad for p in weights if p.grad is not None])
        norm = clip([*weights, *self.objective.parameters()], self._settings.clip)
        facts = StepFacts(float(loss), norm, len(ids))
        if not (math.isfinite(facts.loss) and math.isfinite(norm)):
            raise DataError(_not_finite(corpus, own, embeddings, facts))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["times"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return facts

    def _global_loss(self, leaf: Tensor, batch: PairBatch, own: int) -> Tensor:
        """The loss of all processes' pairs. Gradients reach this process's rows and the objective's own."""
        anchor, positive, non_value = map(self._of_all, leaf.split([own, own, len(leaf) - 2 * own]))
        sources, rivals = (torch.from_numpy(each).to(leaf.device) for each in (batch.sources, batch.rivals))
        loss = self.objective(anchor, positive, sources, rivals, non_value)
        own_parameters = [p for p in self.objective.parameters() if p.requires_grad]
        if own_parameters:
            gradients = torch.autograd.grad(loss, own_parameters, retain_graph=True)
            for parameter, gradient in zip(own_parameters, gradients, strict=True):
                parameter.grad = gradient
        return loss

    def _of_all(self, own: Tensor) -> Tensor:
        """All processes' rows in order; gradients reach this process's `own` (n, D)."""
        parts = self._processes.gather(own.detach())
        return torch.cat([*parts[: self._processes.rank], own, *parts[self._processes.rank + 1 :]])


def _not_finite(corpus: TokenCorpus, own: PairBatch, embeddings: Tensor, facts: StepFacts) -> str:
    bad = (~torch.isfinite(embeddings).all(dim=1)).nonzero().flatten().tolist() or range(len(embeddings))
    views = [*own.anchors, *own.positives]
    places = list(dict.fromkeys(corpus.place(int(row)) for view in bad for row in np.asarray(views[view])))
    named = ", ".join(places[:_NAMED_ROWS]) + (
        f" and {len(places) - _NAMED_ROWS} more" if len(places) > _NAMED_ROWS else ""
    )
    return (
        f"training diverged (loss {facts.loss}, gradient norm {facts.gradient_norm}) at {named}; the last "
        "good checkpoint is kept: look at these rows, or continue with --resume after lowering --lr"
    )
