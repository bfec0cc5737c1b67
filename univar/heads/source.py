"""The head that turns a row into probabilities of sources: chosen and calibrated by questions left out.

Candidates are shrunk discriminants with several weights of the words block, a nearest-neighbour vote, for
small indexes a logistic probe, and the best of these beside the margins of a classifier of all terms. Each
gives log-odds of every row by a fit that did not see the row's question; each gets one temperature; the least
negative log-likelihood over questions wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from univar.heads import calibration
from univar.heads.bags import BagFactors, HeldOut, fit_factors
from univar.heads.geometry import Geometry
from univar.heads.lda import LinearHead, Moments, fit_lda
from univar.heads.neighbours import NEIGHBOURS, held_out_votes
from univar.heads.probe import PROBE_ROWS, fit_probe, held_out_probe
from univar.heads.terms import TermOdds, blend

FOLDS = 5
WORD_WEIGHTS = (0.0, 0.5, 1.0, 1.5)
"""Lengths of the words block that are tried, beside learnt parts of length 1 each."""
SHRINKAGES = (0.1, 0.3)
CALIBRATION_ROWS = 20_000
"""Held-out rows that an index keeps, drawn by whole propositions."""
LEVELS = (0.8, 0.9, 0.95)
"""Levels of the prediction sets."""
_SEED = 20261201


@dataclass(frozen=True)
class SourceHead:
    """A calibrated head.

    kind:        "lda", "probe" or "knn": what gives the log-odds
    linear:      the discriminant (or probe) over all blocks, the words' weight within it
    distance:    the discriminant, whatever gives the log-odds; geometry: of its class means
    temperature: of single answers; nll: held out, over questions
    tried:       each candidate's name and its nll, best first
    held_out:    calibration answers; strange: their products in `geometry`, (m, K) float32
    rows:        that the head was fitted on; propositions: that it was chosen and calibrated on
    thresholds:  level -> threshold of `calibration.set_scores`; empty below 20 propositions
    terms_weight: what the margins of terms are multiplied by within `linear`; 0: they are not used
    """

    kind: str
    linear: LinearHead
    distance: LinearHead
    geometry: Geometry
    temperature: float
    words_weight: float
    nll: float
    tried: list[dict[str, Any]]
    held_out: HeldOut
    strange: np.ndarray
    thresholds: dict[str, float]
    factors: BagFactors
    rows: int
    propositions: int = field(default=0)
    terms_weight: float = field(default=0.0)

    def log_p(self, log_odds: np.ndarray) -> np.ndarray:
        """(n, C) float64 calibrated log-probabilities of single answers."""
        return calibration.log_softmax(log_odds, self.temperature)


@dataclass(frozen=True)
class _Candidate:
    """What one candidate says of the rows: log-odds of a fit without their fold."""

    name: str
    kind: str
    words_weight: float
    shrinkage: float
    log_odds: np.ndarray
    temperature: float
    nll: float
    blend: tuple[float, float] = (1.0, 0.0)


def folds_of(clusters: np.ndarray, folds: int = FOLDS) -> np.ndarray:
    """(n,) a fold for each row, whole propositions together; fewer folds where there are fewer of them."""
    codes, place = np.unique(clusters, return_inverse=True)
    n = min(folds, len(codes))
    order = np.random.default_rng(_SEED).permutation(len(codes))
    fold = np.empty(len(codes), np.int64)
    fold[order] = np.arange(len(codes)) % n
    of_row: np.ndarray = fold[place]
    return of_row


def fit_source_head(
    x: np.ndarray,
    y: np.ndarray,
    clusters: np.ndarray,
    n_classes: int,
    words: slice | None,
    unseen: np.ndarray | None = None,
    may_vote: bool = True,
    terms: TermOdds | None = None,
) -> SourceHead | None:
    """Fit and choose the head of these rows; None where fewer than two sources or propositions answered.

    x: (N, D) float32, learnt parts and the words block, each of length 1; y: (N,) sources
    clusters: (N,) codes of the proposition, which is left out whole; words: columns of the words block
    unseen:   (N,) bool, rows that choose and calibrate; None: all. Rows that words were fitted on lie
              closer to its axes than any new row, and would make it look better than it is
    may_vote: whether neighbours may be chosen; they cannot be where an index does not search these rows
    terms:    margins of the rows by a classifier of their terms, whose fit is added to `linear`'s bias; its
    weights are not in `x`, and the caller adds them with `terms_weight`
    """
    folds = folds_of(clusters)
    if len(np.unique(y)) < 2 or folds.max(initial=0) < 1 or len(y) <= len(np.unique(y)):
        return None
    rows_of = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    parts = [Moments.of(x[rows], y[rows], n_classes) for rows in rows_of]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    if any(not _suffices((total - part).counts) for part in parts):
        return None
    at = np.arange(len(y)) if unseen is None else np.flatnonzero(unseen)
    if len(np.unique(y[at])) < 2:
        at = np.arange(len(y))
    weights = np.zeros(len(y))
    weights[at] = calibration.question_weights(clusters[at])
    found = [
        _scored(
            f"lda, words {weight:g}, shrinkage {shrinkage:g}", "lda", weight, shrinkage, log_odds, y, weights
        )
        for weight, shrinkage, log_odds in _discriminants(x, rows_of, parts, total, words)
    ]
    lda = min(found, key=lambda candidate: candidate.nll)
    scale = _scale(x.shape[1], words, lda.words_weight)
    found += _alternatives(x * scale, y, folds, n_classes, weights, lda, clusters)
    if terms is not None:
        found.append(
            _blended(min((c for c in found if c.kind != "knn"), key=lambda c: c.nll), terms, y, weights)
        )
    allowed = [candidate for candidate in found if may_vote or candidate.kind != "knn"]
    best = min(allowed, key=lambda candidate: candidate.nll)
    discriminant = fit_lda(_scaled(total, scale), lda.shrinkage)
    linear = fit_probe(x * scale, y, n_classes) if best.kind == "probe" else discriminant
    own, of_terms = best.blend
    bias = own * linear.bias if terms is None else own * linear.bias + of_terms * terms.head.bias
    geometry = Geometry.of(_scaled(total, scale), discriminant)
    kept = at[_calibration_rows(clusters[at])]
    held_out = HeldOut(best.log_odds[kept].astype(np.float32), y[kept], clusters[kept])
    return SourceHead(
        best.kind,
        LinearHead((own * linear.weights * scale[:, None]).astype(np.float32), bias.astype(np.float32)),
        LinearHead((discriminant.weights * scale[:, None]).astype(np.float32), discriminant.bias),
        geometry,
        best.temperature,
        lda.words_weight,
        best.nll,
        [{"name": c.name, "nll": round(c.nll, 4)} for c in sorted(found, key=lambda c: c.nll)],
        held_out,
        geometry.products(lda.log_odds[kept]).astype(np.float32),
        set_thresholds(held_out, best.temperature),
        fit_factors(held_out, best.temperature),
        len(y),
        len(np.unique(clusters[kept])),
        of_terms,
    )


def _suffices(counts: np.ndarray) -> bool:
    """Whether a discriminant can be fitted to so many rows of each source: two sources, and one row more."""
    present = int(np.count_nonzero(counts))
    return present >= 2 and int(counts.sum()) > present


def set_thresholds(held_out: HeldOut, temperature: float) -> dict[str, float]:
    """Threshold of the prediction sets of single answers by level; empty below 20 propositions."""
    if len(np.unique(held_out.clusters)) < calibration.MIN_QUESTIONS:
        return {}
    scores = calibration.set_scores(calibration.log_softmax(held_out.log_odds, temperature))
    true = scores[np.arange(len(held_out.y)), held_out.y]
    return {f"{level:g}": calibration.set_threshold(true, held_out.clusters, level) for level in LEVELS}


def _discriminants(
    x: np.ndarray,
    rows_of: Sequence[np.ndarray],
    parts: Sequence[Moments],
    total: Moments,
    words: slice | None,
) -> list[tuple[float, float, np.ndarray]]:
    """(words weight, shrinkage, held-out log-odds) of each discriminant that is tried."""
    out = []
    for weight in WORD_WEIGHTS if words is not None else (0.0,):
        scale = _scale(x.shape[1], words, weight)
        for shrinkage in SHRINKAGES:
            odds = np.empty((len(x), len(total.counts)), np.float32)
            for rows, part in zip(rows_of, parts, strict=True):
                head = fit_lda(_scaled(total - part, scale), shrinkage)
                odds[rows] = x[rows] @ (head.weights * scale[:, None]).astype(np.float32) + head.bias
            out.append((weight, shrinkage, odds))
    return out


def _alternatives(
    x: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    n_classes: int,
    weights: np.ndarray,
    lda: _Candidate,
    clusters: np.ndarray,
) -> list[_Candidate]:
    """The vote of neighbours, and for few rows the probe, on rows scaled as the best discriminant is."""
    made = []
    if len(y) <= CALIBRATION_ROWS:
        votes = held_out_votes(x, y, folds, n_classes)
        made.append(
            _scored(f"vote of {NEIGHBOURS}", "knn", lda.words_weight, lda.shrinkage, votes, y, weights)
        )
    if len(y) <= PROBE_ROWS:
        odds = held_out_probe(x, y, folds, n_classes)
        made.append(_scored("probe", "probe", lda.words_weight, lda.shrinkage, odds, y, weights))
    return made


def _blended(best: _Candidate, terms: TermOdds, y: np.ndarray, weights: np.ndarray) -> _Candidate:
    """A candidate and the margins of terms, in the shares that make the true sources likeliest."""
    a, b = blend(best.log_odds, terms.held_out, y, weights)
    odds = (a * best.log_odds + b * terms.held_out).astype(np.float32)
    name = f"{best.name}, terms {b / a:.2g}"
    made = _scored(name, best.kind, best.words_weight, best.shrinkage, odds, y, weights)
    return replace(made, blend=(a, b))


def _scored(
    name: str,
    kind: str,
    words_weight: float,
    shrinkage: float,
    log_odds: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
) -> _Candidate:
    pull = float(weights.max())  # about one over the number of questions
    temperature = calibration.fit_temperature(log_odds, y, weights, pull=pull)
    losses = calibration.nll(calibration.log_softmax(log_odds, temperature), y)
    return _Candidate(
        name, kind, words_weight, shrinkage, log_odds, temperature, float((losses * weights).sum())
    )


def _scale(dims: int, words: slice | None, weight: float) -> np.ndarray:
    """(D,) float32 factors of the columns: 1, and `weight` for the words block."""
    scale = np.ones(dims, np.float32)
    if words is not None:
        scale[words] = weight
    return scale


def _scaled(moments: Moments, scale: np.ndarray) -> Moments:
    """The moments of rows whose columns are multiplied by `scale`."""
    return Moments(moments.counts, moments.sums * scale, moments.products * np.outer(scale, scale))


def _calibration_rows(clusters: np.ndarray) -> np.ndarray:
    """Rows of as many whole propositions as CALIBRATION_ROWS hold, in their order."""
    if len(clusters) <= CALIBRATION_ROWS:
        return np.arange(len(clusters))
    codes, place, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    order = np.random.default_rng(_SEED).permutation(len(codes))
    taken = order[np.cumsum(counts[order]) <= CALIBRATION_ROWS]
    return np.flatnonzero(np.isin(place, taken))
