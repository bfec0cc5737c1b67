"""Source heads on real answers: probabilities, prediction sets, bags and unknown sources.

Heads are fitted on TRAIN as `univar index` fits them. A row of EVAL is scored twice: as it is, as `attribute`
scores an answer to a question that the index lacks; and minus the mean of the other sources' answers of EVAL
to its question, as for a question that the index holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import DataError
from univar.evaluate.head_scores import BagScores, HeadScores, UnknownScores
from univar.evaluate.metrics import Estimate
from univar.heads import calibration
from univar.heads.bags import HeldOut, over_propositions, summed
from univar.heads.geometry import Geometry
from univar.heads.lda import Moments, fit_lda
from univar.heads.source import LEVELS, SourceHead
from univar.search.fit_sources import fit_sources
from univar.search.panel import Groups
from univar.search.sources import CENTRED, UNCENTRED, SourceModel
from univar.statistics import auc, intervals
from univar.statistics.centring import centre
from univar.statistics.intervals import Interval, jackknife_t

if TYPE_CHECKING:
    from univar.store import Store

SIZES = (1, 5, 20, 50)
UNKNOWN_SIZES = (5, 10, 20)
BAGS, SPLITS, DRAWS = 500, 50, 20
FALSE_ALARM_SIZE, ALPHA = 10, 0.05


@dataclass(frozen=True)
class Scored:
    """Rows of a store as a head takes them. x: (n, D) float32; y: (n,) int64; clusters: (n,) propositions."""

    x: np.ndarray
    y: np.ndarray
    clusters: np.ndarray


def fitted(train: Store, cluster: str | None, on_note: Callable[[str], object]) -> SourceModel:
    """The heads of a store, as `univar index` fits them; DataError where it has too little for them."""
    model = fit_sources(train, cluster=cluster, on_note=on_note)
    if model is None:
        raise DataError(f"{train.path}: too few sources or questions for source heads")
    return model


def head_scores(
    model: SourceModel, train: Store, eval: Store, kept: np.ndarray, cluster: str | None
) -> list[HeadScores]:
    """Scores of both heads of a model, which was fitted on `train`.

    kept: (n,) bool, rows of `eval` whose question is not in `train`; DataError where none is left
    """
    sides = [routes(model, store, cluster) for store in (train, eval)]
    found = []
    for route, rows, usable in sides[1]:
        at = np.flatnonzero(usable & kept & (rows.y >= 0))
        head = model.heads.get(route)
        if head is None or not len(at):
            continue
        own = next(own for name, own, _ in sides[0] if name == route)
        found.append(_scores(route, model, head, own, _take(rows, at)))
    if not found:
        raise DataError(f"{eval.path} has no answer of a source of {train.path} to a new question")
    return found


def routes(model: SourceModel, store: Store, cluster: str | None) -> list[tuple[str, Scored, np.ndarray]]:
    """(head, rows, (n,) bool which of them it is for) for the uncentred and the centred head."""
    names = {(label["model"], label["language"]): n for n, label in enumerate(model.labels)}
    pairs = zip(store.column("model"), store.column("language"), strict=True)
    y = np.array([names.get(pair, -1) for pair in pairs])
    columns = [store.column(c).tolist() for c in ("answer", "question", "question_id", "language")]
    queries = model.queries(np.asarray(store.embeddings), *columns)
    raw = queries.x.copy()
    if CENTRED in model.heads:
        inside = queries.group >= 0
        raw[inside] += model.means.means[queries.group[inside]]
    groups = Groups.of(store, model.facts["centre"], cluster)
    moved = centre(raw, store.codes("source")[0], groups.questions, groups.centred_clusters)
    everything = np.ones(len(y), bool)
    return [
        (UNCENTRED, Scored(raw, y, groups.clusters), everything),
        (CENTRED, Scored(moved.embeddings, y, groups.clusters), moved.is_centred),
    ]


def _take(rows: Scored, at: np.ndarray) -> Scored:
    return Scored(rows.x[at], rows.y[at], rows.clusters[at])


def _scores(route: str, model: SourceModel, head: SourceHead, train: Scored, rows: Scored) -> HeadScores:
    log_p = head.log_p(model.log_odds(route, rows.x))
    right = (log_p.argmax(axis=1) == rows.y).astype(float)
    return HeadScores(
        head=route,
        kind=head.kind,
        rows=len(rows.y),
        nll=_estimate(intervals.mean(calibration.nll(log_p, rows.y), rows.clusters)),
        accuracy=_estimate(intervals.mean(right, rows.clusters)),
        brier=float(calibration.brier(log_p, rows.y).mean()),
        ece=float(calibration.classwise_ece(log_p, rows.y)),
        coverage=coverage(head.held_out, head.log_p(head.held_out.log_odds)),
        bags=bag_scores(head, rows, log_p),
        unknown=unknown_scores(model, head, train, rows),
        false_alarms=false_alarms(head, rows),
    )


def _estimate(found: Interval) -> Estimate:
    low, high = (None if bound is None else float(bound) for bound in (found.low, found.high))
    return Estimate(float(found.estimate), low, high)


def coverage(held_out: HeldOut, log_p: np.ndarray) -> dict[float, float] | None:
    """Coverage of prediction sets on one half of the propositions, calibrated on the other; mean of SPLITS.

    None where a half would have fewer than `calibration.MIN_QUESTIONS` propositions.
    """
    codes, place = np.unique(held_out.clusters, return_inverse=True)
    if len(codes) < 2 * calibration.MIN_QUESTIONS:
        return None
    true = calibration.set_scores(log_p)[np.arange(len(held_out.y)), held_out.y]
    rng = np.random.default_rng(0)
    out: dict[float, list[float]] = {level: [] for level in LEVELS}
    for _ in range(SPLITS):
        first = (rng.permutation(len(codes)) < len(codes) // 2)[place]
        weights = calibration.question_weights(held_out.clusters[~first])
        for level in LEVELS:
            bound = calibration.set_threshold(true[first], held_out.clusters[first], level)
            out[level].append(float((weights * (true[~first] <= bound)).sum()))
    return {level: float(np.mean(found)) for level, found in out.items()}


def bag_scores(head: SourceHead, rows: Scored, log_p: np.ndarray) -> list[BagScores]:
    """Bags by the sum of their log posteriors and by their mean vector, as far as propositions suffice."""
    pool, out = HeldOut(log_p, rows.y, rows.clusters), []
    for size in SIZES:
        drawn, truth = pool.draw(size, BAGS, seed=size)
        if len(np.unique(truth)) < 2:
            break
        sums = np.stack([summed(log_p[at], np.arange(len(at))) for at in drawn])
        means = np.stack([rows.x[at].mean(axis=0) for at in drawn])
        tempered = calibration.log_softmax(sums * head.factors.factor(size))
        out.append(
            BagScores(
                size=size,
                bags=len(drawn),
                summed=float(np.mean(sums.argmax(axis=1) == truth)),
                mean_vector=float(np.mean(head.distance.log_odds(means).argmax(axis=1) == truth)),
                nll=float(calibration.nll(tempered, truth).mean()),
            )
        )
    return out


def unknown_scores(
    model: SourceModel,
    head: SourceHead,
    train: Scored,
    rows: Scored,
    leave: Sequence[np.ndarray] | None = None,
) -> list[UnknownScores]:
    """AUROC of bags of sources that a discriminant never saw.

    leave: codes of the sources that each draw leaves out; default: a random third, DRAWS times
    """
    scale = np.ones(rows.x.shape[1], np.float32)
    if "words" in model.blocks.slices:
        scale[model.blocks.slices["words"]] = head.words_weight
    if "terms" in model.blocks.slices:
        scale[model.blocks.slices["terms"]] = 0
    sources = np.unique(model.codes)
    drawn = {
        size: bags
        for size in UNKNOWN_SIZES
        if (bags := _bag_means(rows, size, 20 * len(sources))) is not None
    }
    strange: dict[int, list[np.ndarray]] = {size: [] for size in drawn}
    if leave is None:
        rng = np.random.default_rng(0)
        leave = [rng.permutation(sources)[: max(1, len(sources) // 3)] for _ in range(DRAWS)]
    codes = model.codes.astype(np.int64)
    for out in leave if drawn else ():
        kept = ~np.isin(codes, out)
        moments = Moments.of(train.x[kept] * scale, codes[kept], len(model.labels))
        discriminant = fit_lda(moments)
        geometry = Geometry.of(moments, discriminant)
        for size, (means, _) in drawn.items():
            products = geometry.products(discriminant.log_odds(means * scale))
            strange[size].append(geometry.strangeness(products))
    return [
        UnknownScores(
            size, len(leave), _over_sources(strange[size], [np.isin(truth, it) for it in leave], truth)
        )
        for size, (_, truth) in drawn.items()
    ]


def _bag_means(rows: Scored, size: int, bags: int) -> tuple[np.ndarray, np.ndarray] | None:
    """((b, D) means of bags over propositions, (b,) their sources); None where two sources have no bag."""
    drawn, truth = HeldOut(np.zeros((len(rows.y), 1)), rows.y, rows.clusters).draw(size, bags, seed=5)
    if len(np.unique(truth)) < 2:
        return None
    return np.stack([over_propositions(rows.x[at], rows.clusters[at]).mean(axis=0) for at in drawn]), truth


def _over_sources(strange: list[np.ndarray], unknown: list[np.ndarray], truth: np.ndarray) -> Estimate:
    """Mean AUROC over draws, each source's bags left out in turn for the interval."""
    areas, without = [], []
    for scores, labels in zip(strange, unknown, strict=True):
        area, left = auc.areas(scores[:, None], labels[:, None], truth)
        if np.isfinite(area[0]):
            areas.append(float(area[0]))
            without.append(left[:, 0])
    if not areas:
        return Estimate(float("nan"), None, None)
    found = _estimate(jackknife_t(float(np.mean(areas)), np.nanmean(np.stack(without), axis=0)))
    low, high = (None if bound is None else min(max(bound, 0.0), 1.0) for bound in (found.low, found.high))
    return Estimate(found.value, low, high)  # few sources give intervals beyond what an area can be


def false_alarms(head: SourceHead, rows: Scored) -> float | None:
    """Share of bags of known sources that "none of these" calls unknown at ALPHA."""
    products = head.geometry.products(head.distance.log_odds(rows.x)).astype(np.float32)
    drawn, _ = HeldOut(products, rows.y, rows.clusters).draw(FALSE_ALARM_SIZE, BAGS, seed=3)
    known, _ = head.held_out.draw(FALSE_ALARM_SIZE, 999, seed=2)
    if not drawn or not known:
        return None
    found, calibrated = (
        head.geometry.strangeness(np.stack([table[at].mean(axis=0) for at in some]).astype(float))
        for table, some in ((products, drawn), (head.strange, known))
    )
    return float(np.mean(calibration.conformal_p(found, calibrated) <= ALPHA))
