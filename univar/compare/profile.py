"""The values that each source's answers carry, which it puts first, and how sure that is.

A probe's log-odds are linear in the embedding, so a source's score is a mean over questions, its interval a
jackknife-t over them, and centring scores is the same as centring embeddings. Scores are in standard
deviations of the labelled answers. Centred scores say what a source adds to what other sources answered to
the same question in the same language; scores as they are also hold what the questions were about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import DataError, UsageError
from univar.heads.value_probes import ValueProbes
from univar.questions.cultures import unread_languages
from univar.statistics import intervals
from univar.statistics.centring import LEAST, centre
from univar.statistics.intervals import Interval
from univar.statistics.permutation import holm
from univar.statistics.ranks import Ranks, ranks

if TYPE_CHECKING:
    from univar.store import Store

CENTRES = ("auto", "question", "none")
BY = ("source", "model", "language")
MIN_CENTRED = 0.5
"""Share of a store's rows that must have LEAST answers of other sources for `auto` to centre."""


@dataclass(frozen=True)
class Difference:
    """A source minus the one it is set against, over the questions of both; p after Holm over the values."""

    interval: Interval
    p: float


@dataclass(frozen=True)
class SourceProfile:
    """One source's values, in the order of the probes.

    answers, questions: that the scores rest on
    scores, anchors:    (V) means over questions by the probes and by the anchor sentences
    ranks:              of the measurable values, in their order; None where there is none
    agreement:          Spearman's correlation of the two orders over the measurable values, NaN below three
    against:            (V) differences to the source it is set against, None without one
    """

    name: str
    language: str
    answers: int
    questions: int
    scores: list[Interval]
    anchors: list[Interval]
    ranks: Ranks | None
    agreement: float
    against: list[Difference] | None = None


@dataclass(frozen=True)
class Profile:
    """All sources of a store.

    centre:   "question" or "none": what the scores are
    against:  the model that others are set against, None without one
    notes:    what was left out, and why
    """

    store: str
    encoder: str
    part: str
    by: str
    centre: str
    probes: ValueProbes
    sources: list[SourceProfile]
    against: str | None = None
    notes: list[str] = field(default_factory=list)

    def first(self, source: SourceProfile) -> Iterator[tuple[str, int, int, int]]:
        """(value, rank, low, high) of the measurable values, the first one first."""
        if source.ranks is not None:
            names = np.array(self.probes.values, object)[self.probes.measurable]
            for place in np.argsort(source.ranks.rank, kind="stable").tolist():
                found = source.ranks
                yield str(names[place]), int(found.rank[place]), int(found.low[place]), int(found.high[place])


@dataclass(frozen=True)
class _Rows:
    """Rows that are profiled: scores (n, V) twice, and codes of what they belong to."""

    probe: np.ndarray
    anchor: np.ndarray
    question: np.ndarray
    cluster: np.ndarray
    source: np.ndarray

    def of(self, source: int) -> _Rows:
        kept = self.source == source
        return _Rows(*(array[kept] for array in vars(self).values()))

    def by_question(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Questions (m,), their clusters (m,) and mean scores (m, V) twice: answers to one come first."""
        names, first, place = np.unique(self.question, return_index=True, return_inverse=True)
        counts = np.bincount(place)[:, None]
        sums = []
        for scores in (self.probe, self.anchor):
            total = np.zeros((len(names), scores.shape[1]))
            np.add.at(total, place, scores)
            sums.append(total / counts)
        return names, self.cluster[first], sums[0], sums[1]


def profile(
    store: Store,
    probes: ValueProbes,
    *,
    by: str = "source",
    centring: str = "auto",
    against: str | None = None,
    cluster: str | None = None,
) -> Profile:
    """Score every source of a store on the probes' values.

    by:       "source" (a model in a language), "model" or "language"
    centring: "question": minus the mean answer of at least 3 other sources to the same question in the same
              language, rows without them left out; "none": as they are; "auto": centred if most rows can be
    against:  a model; each other source is also compared with it in its own language, question by question
    cluster:  column whose values are left out in turn for intervals, by default question_id
    Raises DataError where no row is left, UsageError for options that make no sense.
    """
    if by not in BY or centring not in CENTRES:
        raise UsageError(f"profiles are by {', '.join(BY)}, and centred as {', '.join(CENTRES)}")
    x = np.asarray(store.embeddings_of_part(probes.part)[:], np.float32)
    if x.shape[1] != len(probes.head.weights):
        raise DataError(f"{store.path} holds {x.shape[1]} dims, the probes read {len(probes.head.weights)}")
    notes: list[str] = []
    finite: np.ndarray = np.asarray(np.isfinite(x).all(axis=1))
    if not finite.all():
        notes.append(f"{int((~finite).sum()):,} rows left out: their embedding holds NaN or infinity")
    if unread := unread_languages(str(store.encoder["id"]), store.codes("language")[1]):
        notes.append(unread)
    rows, done = _centred(store, probes, x, finite, centring, by, cluster, notes)
    codes, names = store.codes(by)
    if not len(rows.source):
        raise DataError(f"{store.path}: no row is left to profile. {' '.join(notes)}")
    languages = np.array(store.column("language"), object)
    sources = []
    for code in np.unique(rows.source).tolist():
        own = sorted(set(languages[codes == code].tolist()))
        sources.append(_one(names[code], ", ".join(own), rows.of(code), probes))
    lost = sorted(set(names) - {it.name for it in sources})
    if lost:
        notes.append(f"no row is left of {', '.join(lost)}")
    if against is not None:
        sources = _set_against(against, sources, names, rows, by)
    return Profile(
        str(store.path), str(store.encoder["id"]), probes.part, by, done, probes, sources, against, notes
    )


def _centred(
    store: Store,
    probes: ValueProbes,
    x: np.ndarray,
    kept: np.ndarray,
    centring: str,
    by: str,
    cluster: str | None,
    notes: list[str],
) -> tuple[_Rows, str]:
    """The rows that are profiled, and whether their scores are centred by "question" or "none"."""
    scores = np.hstack([probes.scores(x), probes.anchor_scores(x)])
    question = _question_codes(store)
    clusters = question if cluster is None else store.codes(cluster)[0].astype(np.int64)
    who = store.codes("model")[0].astype(np.int64)
    language = store.codes("language")[0].astype(np.int64)
    asked = question * (int(language.max(initial=0)) + 1) + language
    done = "none"
    if centring != "none":
        asked = np.where(kept, asked, -1)
        found = centre(np.nan_to_num(scores), who, asked)
        share = float(found.is_centred[kept].mean()) if kept.any() else 0.0
        if centring == "question" or share >= MIN_CENTRED:
            left = int((kept & ~found.is_centred).sum())
            if left:
                notes.append(
                    f"{left:,} of {int(kept.sum()):,} rows left out: fewer than {LEAST} other sources "
                    "answered their question in their language"
                )
            scores, kept, done = found.embeddings, kept & found.is_centred, "question"
        else:
            notes.append(
                f"not centred: only {share:.0%} of the rows have {LEAST} answers of other sources to their "
                "question, so the scores also hold what the questions were about"
            )
    width = scores.shape[1] // 2
    codes = store.codes(by)[0]
    parts = scores[:, :width], scores[:, width:], question, clusters, codes
    return _Rows(*(part[kept] for part in parts)), done


def _question_codes(store: Store) -> np.ndarray:
    """(N,) int64 code of each row's question: its id, or its text where the store has none."""
    column = "question_id" if "question_id" in store.columns else "question"
    return store.codes(column)[0].astype(np.int64)


def _one(name: str, language: str, rows: _Rows, probes: ValueProbes) -> SourceProfile:
    _, clusters, probe, anchor = rows.by_question()
    found = [[intervals.mean(column, clusters) for column in table.T] for table in (probe, anchor)]
    kept = probes.measurable
    order = ranks(probe[:, kept], clusters) if kept.any() else None
    return SourceProfile(
        name,
        language,
        len(rows.source),
        len(clusters),
        found[0],
        found[1],
        order,
        _spearman(probe.mean(axis=0)[kept], anchor.mean(axis=0)[kept]),
    )


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import rankdata

    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def _set_against(
    model: str, sources: list[SourceProfile], names: list[str], rows: _Rows, by: str
) -> list[SourceProfile]:
    """Each source with its differences to `model`, in the same language where sources have one."""
    if by == "language":
        raise UsageError("--against compares models: use --by source or model")
    number = {name: code for code, name in enumerate(names)}

    def base_of(source: SourceProfile) -> str:
        return model if by == "model" else f"{model}/{source.language}"

    if not any(base_of(source) == source.name for source in sources):
        raise UsageError(f"--against {model}: no such model has rows; there are {', '.join(names[:10])}")
    out = []
    for source in sources:
        base = base_of(source)
        if base != source.name and base in number and (rows.source == number[base]).any():
            found = _differences(rows.of(number[source.name]), rows.of(number[base]))
            out.append(SourceProfile(**{**vars(source), "against": found}))
        else:
            out.append(source)
    return out


def _differences(ours: _Rows, theirs: _Rows) -> list[Difference] | None:
    """(V) paired differences over the questions of both; None where they share none."""
    from scipy.stats import t

    a, clusters, x, _ = ours.by_question()
    b, _, y, _ = theirs.by_question()
    _, of_a, of_b = np.intersect1d(a, b, return_indices=True)
    if not len(of_a):
        return None
    found = [intervals.mean(d, clusters[of_a]) for d in (x[of_a] - y[of_b]).T]
    p = [
        float("nan") if it.se is None else float(2 * t.sf(abs(it.estimate) / it.se, it.clusters - 1))
        for it in found
    ]
    return [Difference(it, float(corrected)) for it, corrected in zip(found, holm(p), strict=True)]
