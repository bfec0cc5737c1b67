"""One optimizer step: views, packed forward, loss over the global batch, backward, update.

`Objective` has the losses, `make_optimizer` AdamW, `Stepper` the step.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from univar.errors import DataError
from univar.kernels.info_nce import info_nce
from univar.train.corpus import TokenCorpus
from univar.train.gradients import Backpropagation, Processes
from univar.train.options import TrainSettings
from univar.train.sampler import PairBatch
from univar.train.trainable import TrainableEncoder

BARLOW_OFF_DIAGONAL = 0.0051
VALUE_WEIGHT = 200.0
MAX_LOG_SCALE = math.log(100.0)
PROTOTYPES_RATE = 100.0
"""Factor on the learning rate of prototypes, which start at random and have far to go."""

_NAMED_ROWS = 6


class Objective(nn.Module):
    """The loss of anchors and positives, and the parameters that only the loss has.

    log_scale:  (), -log of the temperature, trained if that is learned
    prototypes: (n_sources, dim), a direction for each source, if `settings.prototypes` is above 0. A pair
                meets few other sources in its batch; prototypes tell it from all its rivals (normalised
                softmax, arXiv 1811.12649)
    """

    def __init__(self, settings: TrainSettings, n_sources: int = 0, dim: int = 0) -> None:
        super().__init__()
        self._settings = settings
        scale = torch.tensor(-math.log(settings.temperature))
        self.log_scale = nn.Parameter(scale, requires_grad=settings.learn_temperature)
        if settings.prototypes:
            random = torch.Generator().manual_seed(settings.seed)
            start = torch.randn(n_sources, dim, generator=random)
            self.prototypes = nn.Parameter(F.normalize(start, dim=1))

    def forward(
        self, anchor: Tensor, positive: Tensor, sources: Tensor, rivals: Tensor, non_value: Tensor
    ) -> Tensor:
        """The loss, ().

        anchor, positive: (B, D) float32, rows of length 1, but as they are pooled for "value_aware"
        sources: (B,) int64; rivals: (B, n_sources) bool (`PairBatch`), for prototypes only
        non_value: (M, D) of texts without values, for "value_aware" only
        """
        if self._settings.loss != "value_aware":
            return self._contrast(anchor, positive, sources, rivals)
        contrast = self._contrast(F.normalize(anchor, dim=1), F.normalize(positive, dim=1), sources, rivals)
        return contrast + VALUE_WEIGHT * value_distance(torch.cat([anchor, positive]), non_value)

    def _contrast(self, anchor: Tensor, positive: Tensor, sources: Tensor, rivals: Tensor) -> Tensor:
        dims = sorted({*self._settings.matryoshka, anchor.shape[1]})
        total = anchor.new_zeros(())
        for dim in dims:
            a, p = anchor, positive
            if dim < anchor.shape[1]:
                a, p = F.normalize(a[:, :dim], dim=1), F.normalize(p[:, :dim], dim=1)
            total = total + self._at_one_dim(a, p, sources, rivals)
        return total / len(dims)

    def _at_one_dim(self, anchor: Tensor, positive: Tensor, sources: Tensor, rivals: Tensor) -> Tensor:
        share = self._settings.prototypes
        if not share:
            return self._pair_loss(anchor, positive, sources)
        by_anchor, by_positive = (
            self._prototype_loss(views, sources, rivals) for views in (anchor, positive)
        )
        return share * (by_anchor + by_positive) / 2 + (1 - share) * self._pair_loss(
            anchor, positive, sources
        )

    def _pair_loss(self, anchor: Tensor, positive: Tensor, sources: Tensor) -> Tensor:
        if self._settings.loss == "barlow_twins":
            return barlow_twins(anchor, positive)
        return info_nce(
            anchor,
            positive,
            log_scale=self._scale(),
            labels=sources,
            same_source=self._settings.same_source,
            symmetric=self._settings.symmetric,
        )

    def _prototype_loss(self, views: Tensor, sources: Tensor, rivals: Tensor) -> Tensor:
        """Cross-entropy of each view (B, dim) over the prototypes of its rivals, ()."""
        prototypes = F.normalize(self.prototypes[:, : views.shape[1]], dim=1)
        logits = views @ prototypes.T * self._scale().exp()
        return F.cross_entropy(logits.masked_fill(~rivals, -torch.inf), sources)

    def _scale(self) -> Tensor:
        """log_scale, (), at most MAX_LOG_SCALE if it is learned."""
        return self.log_scale.clamp(max=MAX_LOG_SCALE) if self.log_scale.requires_grad else self.log_scale


def value_distance(value: Tensor, non_value: Tensor) -> Tensor:
    """Squared distance of non-value rows from zero and of value rows from a norm of at least 1; ().

    value: (N, D), non_value: (M, D) float32; squares are averaged over rows and dims
    """
    short = (1 - torch.linalg.vector_norm(value, dim=1)).clamp(min=0).square().mean() / value.shape[1]
    return short + non_value.square().mean()


def barlow_twins(anchor: Tensor, positive: Tensor) -> Tensor:
    """Squared distance of the correlation matrix of the two sides' dims from the identity; ().

    anchor, positive: (B, D) float32, B >= 2. Off-diagonal entries weigh BARLOW_OFF_DIAGONAL.
    """
    a, p = ((x - x.mean(0)) / x.std(0, correction=0).clamp(min=1e-6) for x in (anchor, positive))
    correlation = a.T @ p / len(a)  # (D, D)
    diagonal = torch.diagonal(correlation)
    off = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + BARLOW_OFF_DIAGONAL * off


def make_optimizer(named: Iterable[tuple[str, nn.Parameter]], settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with weight decay on the encoder's matrices only; betas 0.9 and 0.999, eps 1e-8.

    "rate_factor" of a group multiplies the learning rate of its parameters.
    """
    factors = {"prototypes": PROTOTYPES_RATE, "word": settings.word_rate}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            decays = parameter.ndim >= 2 and name != "prototypes"
            key = (settings.weight_decay if decays else 0.0, factors.get(name, 1.0))
            groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": own, "weight_decay": decay, "rate_factor": rate}
            for (decay, rate), own in groups.items()
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.999),
        eps=1e-8,
        fused=True,
    )


def learning_rate(settings: TrainSettings, step: int, progress: float) -> float:
    """Learning rate of step `step`, counted from 0.

    progress: share of the run that is done, 0..1, for the cosine only
    Both curves rise linearly from 0 over warmup_steps; then they follow the inverse square root of the step,
    or half a cosine down to 0.
    """
    warmup = settings.warmup_steps
    if step < warmup:
        return settings.learning_rate * step / warmup
    if settings.schedule == "inverse_sqrt":
        return settings.learning_rate * math.sqrt(max(1, warmup) / max(1, step))
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def clip_gradients(parameters: list[Tensor], max_norm: float) -> float:
    """Scale the gradients so that their joint norm is at most `max_norm`; returns the norm before."""
    norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return float(norm)


@dataclass(frozen=True)
class StepFacts:
    """Loss of a step, norm of its gradient before clipping, and tokens of this process."""

    loss: float
    gradient_norm: float
    tokens: int


class Stepper:
    """Encoder, loss and optimizer of a run."""

    def __init__(
        self,
        encoder: TrainableEncoder,
        settings: TrainSettings,
        processes: Processes,
        workers: ThreadPoolExecutor,
        n_workers: int,
        n_sources: int,
    ) -> None:
        objective = Objective(settings, n_sources, encoder.word.shape[1])
        self.encoder, self.objective = encoder, objective.to(encoder.word.device)
        self._settings, self._processes = settings, processes
        self.backpropagation = Backpropagation(encoder, workers, n_workers, settings.chunk_tokens)
        self.optimizer = make_optimizer(self._named(), settings)

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that are trained, by name."""
        return [(name, parameter) for name, parameter in self._named() if parameter.requires_grad]

    def _named(self) -> list[tuple[str, nn.Parameter]]:
        return [*self.encoder.named_parameters(), *self.objective.named_parameters()]

    def run(
        self,
        corpus: TokenCorpus,
        batch: PairBatch,
        learning_rate: float,
        max_length: int,
        non_value: tuple[TokenCorpus, np.ndarray] | None = None,
    ) -> StepFacts:
        """Take one step on all pairs of a batch, of which this process computes its part.

        non_value: a corpus without values and rows of it, for the loss "value_aware"
        Raises DataError, before anything is changed, where loss or gradient is not finite.
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
        norm = clip_gradients([*weights, *self.objective.parameters()], self._settings.clip)
        facts = StepFacts(float(loss), norm, len(ids))
        if not (math.isfinite(facts.loss) and math.isfinite(norm)):
            raise DataError(_not_finite(corpus, own, embeddings, facts))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate * group["rate_factor"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return facts

    def _global_loss(self, leaf: Tensor, batch: PairBatch, own: int) -> Tensor:
        """The loss of the pairs of all processes. Gradients reach the rows of this one, and the objective."""
        anchor, positive, non_value = map(self._all_rows, leaf.split([own, own, len(leaf) - 2 * own]))
        sources, rivals = (torch.from_numpy(each).to(leaf.device) for each in (batch.sources, batch.rivals))
        loss = self.objective(anchor, positive, sources, rivals, non_value)
        own_parameters = [p for p in self.objective.parameters() if p.requires_grad]
        if own_parameters:
            gradients = torch.autograd.grad(loss, own_parameters, retain_graph=True)
            for parameter, gradient in zip(own_parameters, gradients, strict=True):
                parameter.grad = gradient
        return loss

    def _all_rows(self, own: Tensor) -> Tensor:
        """The rows of all processes in order; gradients reach `own` (n, D), those of this process."""
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
        "good checkpoint is kept: check these rows, or start again with a lower --lr"
    )
