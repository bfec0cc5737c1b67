"""Do languages lie to each other as the cultures of their speakers do, beyond kinship of the languages?

A language lies where its answers do. Only languages count in which the same models answered the same
questions; a distance is the unbiased D2 over these questions (`univar.statistics.distances`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import DataError
from univar.questions import cultures
from univar.statistics.distances import DistanceMatrix, all_pairs
from univar.statistics.mantel import Agreement, agreement, mantel
from univar.statistics.permutation import holm

if TYPE_CHECKING:
    from univar.store import Store

MIN_LANGUAGES = 3
MIN_QUESTIONS = 5
NEAR_KM = 2000.0
"""Where the nearness of two languages has fallen to 1/e; it enters the kinship's eigenvectors only."""

KINSHIP = ("family", "script", "geography")


@dataclass(frozen=True)
class TableResult:
    """Agreement with one table of human values; p_holm: of the partial test, over the tables."""

    table: str
    languages: list[str]
    found: Agreement
    p_holm: float


@dataclass(frozen=True)
class Culture:
    """What `univar culture` found.

    languages:  codes of those that are compared; distances: D2 between them
    models:     whose answers are used; questions: that all of these languages answered
    dropped:    language to why it is not compared
    kinship:    "family", "script", "geography" to (r, p) of Mantel's test with the distances
    explained:  share of the variance of the distances that the three explain together
    skipped:    table to why it was not tested
    """

    store: str
    encoder: str
    part: str
    languages: list[str]
    models: list[str]
    questions: int
    distances: DistanceMatrix
    dropped: dict[str, str]
    kinship: dict[str, tuple[float, float]]
    explained: float
    tables: list[TableResult] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def culture(store: Store, folder: Path | None = None, *, part: str = "values", seed: int = 0) -> Culture:
    """Distances between a store's languages, their kinship, and agreement with tables of human values.

    folder: with the files of `cultures.TABLES`, those that are there; None: no table is tested
    Raises DataError where fewer than three languages answered five questions in common.
    """
    scores = {} if folder is None else cultures.tables(folder)
    answers, codes, models, dropped, notes = _shared_answers(store, part)
    if unread := cultures.unread_languages(str(store.encoder["id"]), codes):
        notes.append(unread)
    distances = all_pairs(answers)
    if not np.any(np.abs(distances.d2) > 1e-12):
        raise DataError(
            f"{store.path}: the answers of all languages have the same vectors, nothing can be compared"
        )
    apart = np.sqrt(np.maximum(distances.d2, 0.0))
    controls = kinship_distances(codes)
    upper = np.triu_indices(len(codes), 1)
    kin = {
        name: mantel(apart, control, seed) for name, control in controls.items() if np.ptp(control[upper]) > 0
    }
    found = Culture(
        str(store.path),
        str(store.encoder["id"]),
        part,
        codes,
        models,
        len(answers),
        distances,
        dropped,
        kin,
        _explained(apart[upper], [control[upper] for control in controls.values()]),
        notes=notes,
    )
    _add_tables(found, scores, seed)
    return found


def kinship_distances(codes: list[str]) -> dict[str, np.ndarray]:
    """The three controls, (L, L) each: family in [0, 1], script 0 or 1, geography log(1 + km / 100)."""
    return {
        "family": cultures.family_distances(codes),
        "script": cultures.script_distances(codes),
        "geography": np.log1p(cultures.place_distances(codes) / 100),
    }


def kinship_similarity(codes: list[str]) -> np.ndarray:
    """(L, L) whose eigenvectors carry the random signs: shared levels of kin, and nearness."""
    near = np.exp(-cultures.place_distances(codes) / NEAR_KM)
    similarity: np.ndarray = (1 - cultures.family_distances(codes) + near) / 2
    return similarity


def _explained(distances: np.ndarray, controls: list[np.ndarray]) -> float:
    design = np.column_stack([np.ones(len(distances)), *controls])
    left = distances - design @ np.linalg.lstsq(design, distances, rcond=None)[0]
    total = float(((distances - distances.mean()) ** 2).sum())
    if len(distances) <= design.shape[1]:
        return float("nan")  # as many controls as pairs explain everything
    return 1 - float((left**2).sum()) / max(total, 1e-300)


def _add_tables(found: Culture, scores: dict[str, dict[str, np.ndarray]], seed: int) -> None:
    tested: list[tuple[str, list[str], Agreement]] = []
    for name, table in scores.items():
        kept = [place for place, code in enumerate(found.languages) if code in table]
        if len(kept) < MIN_LANGUAGES:
            found.skipped[name] = f"it has {len(kept)} of the languages, {MIN_LANGUAGES} are needed"
            continue
        codes = [found.languages[place] for place in kept]
        apart = np.sqrt(np.maximum(found.distances.d2[np.ix_(kept, kept)], 0.0))
        points = np.stack([table[code] for code in codes])
        controls = list(kinship_distances(codes).values())
        tested.append((name, codes, agreement(apart, points, controls, kinship_similarity(codes), seed)))
    corrected = holm([it.partial_p for _, _, it in tested])
    for (name, codes, it), p in zip(tested, corrected, strict=True):
        found.tables.append(TableResult(name, codes, it, float(p)))


def _shared_answers(
    store: Store, part: str
) -> tuple[np.ndarray, list[str], list[str], dict[str, str], list[str]]:
    """(Q, L, D) float32 mean answers, the L languages, the models, what was dropped, notes."""
    x = store.embeddings_of_part(part)
    given, names = store.codes("language")
    codes = [cultures.table_code(name) for name in names]
    known = sorted({code for code in codes if code in cultures.languages()})
    dropped = {
        name: "the table of languages does not have it"
        for name, code in zip(names, codes, strict=True)
        if code not in known
    }
    place = np.array([known.index(code) if code in known else -1 for code in codes], np.int64)[given]
    vectors = np.asarray(x[:], np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    notes = []
    if not finite.all():
        notes.append(f"{int((~finite).sum()):,} rows left out: their embedding holds NaN or infinity")
    rows = np.flatnonzero((place >= 0) & finite)
    models, model_names = store.codes("model")
    questions = store.codes("question_id" if "question_id" in store.columns else "question")[0]
    cells, of_row = np.unique(np.stack([questions[rows], models[rows]], axis=1), axis=0, return_inverse=True)
    there = np.zeros((len(cells), len(known)), bool)
    there[of_row.ravel(), place[rows]] = True
    kept = _kept_languages(
        there, cells[:, 0] if len(cells) else np.empty(0, int), known, dropped, str(store.path)
    )
    complete = there[:, kept].all(axis=1)
    asked, question_of = np.unique(cells[complete, 0], return_inverse=True)
    number = np.full(len(cells), -1)
    number[complete] = np.arange(int(complete.sum()))
    means = np.zeros((int(complete.sum()), len(kept), vectors.shape[1]), np.float32)
    counts = np.zeros(means.shape[:2], np.float32)
    column = {language: at for at, language in enumerate(kept)}
    for row, cell in zip(rows.tolist(), of_row.ravel().tolist(), strict=True):
        if number[cell] >= 0 and int(place[row]) in column:
            at = number[cell], column[int(place[row])]
            means[at] += vectors[row]
            counts[at] += 1
    means /= counts[..., None]
    answers = np.zeros((len(asked), *means.shape[1:]), np.float32)
    np.add.at(answers, question_of, means)
    answers /= np.bincount(question_of).astype(np.float32)[:, None, None]
    used = sorted({model_names[code] for code in cells[complete, 1].tolist()})
    return answers, [known[at] for at in kept], used, dropped, notes


def _kept_languages(
    there: np.ndarray, question: np.ndarray, known: list[str], dropped: dict[str, str], path: str
) -> list[int]:
    """Numbers of languages that share MIN_QUESTIONS questions of the same models; others go to `dropped`.

    The language without which the others share most goes first; of equals, the one that shares least.
    """
    kept = list(range(len(known)))

    def shared(languages: list[int]) -> int:
        return len(np.unique(question[there[:, languages].all(axis=1)])) if languages else 0

    while len(kept) > MIN_LANGUAGES and shared(kept) < MIN_QUESTIONS:
        without = [shared([other for other in kept if other != language]) for language in kept]
        most = max(without)
        common = there[:, kept].T.astype(np.int64) @ there[:, kept]  # cells that each two have in common
        overlap = common.sum(axis=0) - np.diag(common)
        worst = min((n for n, gain in enumerate(without) if gain == most), key=lambda n: overlap[n])
        dropped[known[kept[worst]]] = (
            "its questions, by the same models, are not those of the other languages"
        )
        kept.pop(worst)
    if len(kept) < MIN_LANGUAGES or shared(kept) < MIN_QUESTIONS:
        raise DataError(
            f"{path}: no {MIN_LANGUAGES} languages have {MIN_QUESTIONS} questions that the same model "
            f"answered in all of them (languages known: {', '.join(known) or 'none'}): ask the same "
            "questions in each language"
        )
    return kept
