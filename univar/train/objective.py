"""The losses over a batch's embeddings."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from univar.kernels.info_nce import info_nce
from univar.train.settings import TrainSettings

BARLOW_OFF_DIAGONAL = 0.0051
VALUE_WEIGHT = 200.0
MAX_LOG_SCALE = math.log(100.0)


class Objective(nn.Module):
    """Loss of anchors and positives, with the parameters that only the loss has.

    log_scale:  (), -log of the temperature, if that is learned
    prototypes: (n_sources, dim), a direction for each source where `settings.prototypes` asks for them: what
                a view of endlessly many answers would come to. A pair meets few of the other sources in its
                batch; by these it is told from all its rivals (normalised softmax, arXiv 1811.12649)
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

        anchor, positive: (B, D) float32, rows of length 1, or as they are pooled for "value_aware"
        sources: (B,) int64; rivals: (B, n_sources) bool (`PairBatch`), only read for prototypes
        non_value: (M, D) of texts without values, empty but for "value_aware"
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
            total = total + self._one(a, p, sources, rivals)
        return total / len(dims)

    def _one(self, anchor: Tensor, positive: Tensor, sources: Tensor, rivals: Tensor) -> Tensor:
        share = self._settings.prototypes
        if not share:
            return self._of_pairs(anchor, positive, sources)
        of_anchors, of_positives = (self._of_sources(views, sources, rivals) for views in (anchor, positive))
        return share * (of_anchors + of_positives) / 2 + (1 - share) * self._of_pairs(
            anchor, positive, sources
        )

    def _of_pairs(self, anchor: Tensor, positive: Tensor, sources: Tensor) -> Tensor:
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

    def _of_sources(self, views: Tensor, sources: Tensor, rivals: Tensor) -> Tensor:
        """Cross-entropy of the similarities of views (B, dim) and their rivals' prototypes, ()."""
        prototypes = F.normalize(self.prototypes[:, : views.shape[1]], dim=1)
        logits = views @ prototypes.T * self._scale().exp()
        return F.cross_entropy(logits.masked_fill(~rivals, -torch.inf), sources)

    def _scale(self) -> Tensor:
        """log_scale, (), no higher than MAX_LOG_SCALE if it is learned."""
        return self.log_scale.clamp(max=MAX_LOG_SCALE) if self.log_scale.requires_grad else self.log_scale


def value_distance(value: Tensor, non_value: Tensor) -> Tensor:
    """How far non-value rows are from zero, and value rows from a length of at least 1; ().

    value: (N, D), non_value: (M, D) float32; squares are averaged over rows and dims
    """
    short = (1 - torch.linalg.vector_norm(value, dim=1)).clamp(min=0).square().mean() / value.shape[1]
    return short + non_value.square().mean()


def barlow_twins(anchor: Tensor, positive: Tensor) -> Tensor:
    """How far the correlation of the two sides' dims over the batch is from the identity; ().

    anchor, positive: (B, D) float32, B >= 2. Off-diagonal entries weigh BARLOW_OFF_DIAGONAL.
    """
    a, p = ((x - x.mean(0)) / x.std(0, correction=0).clamp(min=1e-6) for x in (anchor, positive))
    correlation = a.T @ p / len(a)  # (D, D)
    diagonal = torch.diagonal(correlation)
    off = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + BARLOW_OFF_DIAGONAL * off
