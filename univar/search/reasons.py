"""Why a verdict came out: which parts and phrases speak for the likeliest source, and what it may rest on.

A part's share is what the log-probability of the likeliest source loses when that part is set to zero. A
phrase's weight is its own term of the head's log-odds: TF-IDF times what its SVD axes, and its own weights
where the head has margins of terms, give the likeliest source beyond the others, which are weighed by their
probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.heads.calibration import log_softmax
from univar.search.sources import Queries, SourceModel

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PHRASES = 5
_SURE = 0.5
"""Length-only probability of the likeliest source from which a warning is given."""


def part_shares(model: SourceModel, route: str, x: np.ndarray, best: int) -> dict[str, float]:
    """Share of each part in the verdict for source `best`: losses by dropping it, negative ones as 0.

    x: (n, D) of one way; returns {} for a head of votes. Shares sum to 1, or are all 0.
    """
    head = model.heads[route]
    if head.kind == "knn":
        return {}
    whole = head.log_p(head.linear.log_odds(x))[:, best].sum()
    losses = {}
    for name, part in model.blocks.slices.items():
        without = x.copy()
        without[:, part] = 0
        losses[name] = max(float(whole - head.log_p(head.linear.log_odds(without))[:, best].sum()), 0.0)
    total = sum(losses.values())
    return {name: round(loss / total, 4) if total else 0.0 for name, loss in losses.items()}


def phrases(
    model: SourceModel,
    route: str,
    answers: Sequence[str],
    log_p: np.ndarray,
    best: int,
    n: int = PHRASES,
    weighed: csr_matrix | None = None,
) -> list[dict[str, Any]]:
    """The terms of the answers that speak most for source `best`, best first: {phrase, weight}.

    log_p: (C,) of the verdict; weighed: what `Words.weigh` makes of the answers, where it is there. Empty
    without words. Of phrases within each other the heavier is kept.
    """
    head = model.heads[route]
    if model.words is None or head.kind == "knn":
        return []
    p = np.exp(log_p)
    p[best] = 0
    others = p / p.sum() if p.sum() > 0 else np.full(len(p), 1 / len(p))
    beyond = {
        name: weights[:, best] - weights @ others
        for name, part in model.blocks.slices.items()
        if name in ("words", "terms")
        for weights in [head.linear.weights[part].astype(np.float64)]
    }
    counts = model.words.weigh(answers) if weighed is None else weighed
    length = np.maximum(np.linalg.norm(counts @ model.words.axes, axis=1), 1e-12)
    there, place = np.unique(counts.indices, return_inverse=True)
    summed = np.bincount(place, counts.data * np.repeat(1 / length, np.diff(counts.indptr)))
    worth = summed * (model.words.axes[there] @ beyond["words"])
    if model.words.scores is not None:
        own = np.bincount(place, counts.data, len(there))
        worth += own * (model.words.scores[there] @ beyond["terms"])
    worth /= head.temperature
    chosen: list[dict[str, Any]] = []
    for at in np.argsort(-worth)[: 20 * n]:
        term = model.words.terms[there[at]]
        if worth[at] <= 0 or len(chosen) == n:
            break
        if not any(term in one["phrase"] or one["phrase"] in term for one in chosen):
            chosen.append({"phrase": term, "weight": round(float(worth[at]), 4)})
    return chosen


def warnings(
    model: SourceModel,
    answers: Sequence[str],
    languages: Sequence[str],
    probabilities: np.ndarray,
    best: int,
) -> list[str]:
    """Sentences on what the verdict may rest on beside how and what the source answers.

    probabilities: (C,); best: the likeliest source
    """
    import pyarrow as pa

    from univar.answers.declined import is_declined
    from univar.answers.maker_names import mask_names

    told = []
    texts = pa.array(list(answers), pa.large_string())
    n = len(answers)
    named = int(np.count_nonzero(mask_names(texts)[1]))
    if named:
        told.append(f"{_of(named, n)} the name of an assistant or its maker: the verdict may rest on it")
    declined = sum(is_declined(a, g or "eng") for a, g in zip(answers, languages, strict=True))
    if 2 * declined >= n:
        told.append(
            f"{declined} of {n} answers decline to answer: such answers of different sources are alike"
        )
    own = model.labels[best]["language"]
    fellows = [i for i, label in enumerate(model.labels) if label["language"] == own]
    among = probabilities[fellows].sum()
    if (
        1 < len(fellows) < len(model.labels)
        and among > 0
        and probabilities[best] / among < 1.5 / len(fellows)
    ):
        told.append(f"only the language ({own}) is recognised, not which of its {len(fellows)} sources")
    if _by_length(model, answers)[best] >= max(_SURE, float(probabilities[best])):
        told.append("the length of the answers alone gives the same verdict")
    return told


def _of(count: int, n: int) -> str:
    return "the answer contains" if n == 1 else f"{count} of {n} answers contain"


def _by_length(model: SourceModel, answers: Sequence[str]) -> np.ndarray:
    """(C,) probabilities of sources from the log of the answers' lengths alone, each source normal."""
    lengths = np.log([max(len(answer), 1) for answer in answers])
    means, spread = model.lengths.astype(np.float64).T
    densities = -(((lengths[:, None] - means) / spread) ** 2) / 2 - np.log(spread)
    out: np.ndarray = np.exp(log_softmax(densities.sum(axis=0, keepdims=True)))[0]
    return out


def speaking(log_p: np.ndarray, best: int) -> np.ndarray:
    """(n,) how much each answer speaks for source `best`: its log-probability beyond the best other's."""
    others = np.delete(log_p, best, axis=1)
    lead: np.ndarray = log_p[:, best] - others.max(axis=1)
    return lead


def of_bag(model: SourceModel, queries: Queries, best: int) -> dict[str, float]:
    """Shares of the parts over all answers of a bag, each by its own way."""
    ways = [(route, own) for route, own in model.by_route(queries) if len(own)]
    shares = [(len(own), part_shares(model, route, queries.x[own], best)) for route, own in ways]
    n = sum(count for count, found in shares if found)
    names = dict.fromkeys(name for _, found in shares for name in found)
    return {
        name: round(sum(count * found.get(name, 0.0) for count, found in shares) / n, 4) for name in names
    }
