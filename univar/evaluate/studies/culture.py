"""Do languages lie to each other as the cultures of their speakers do in surveys of people?

Kinship of languages is not controlled for here: `univar culture` does that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from univar.evaluate.against import Encoded
from univar.evaluate.report import Mantel
from univar.questions.cultures import table_code, tables
from univar.statistics.mantel import mantel

if TYPE_CHECKING:
    from univar.store import Store

MIN_LANGUAGES = 3


def culture(
    folder: Path, store: Store, encoders: list[Encoded], within: str | None
) -> dict[str, dict[str, Mantel]]:
    """Encoder to table to r, p and the languages: Mantel's test of both distances between languages.

    folder: with the files of TABLES, those that are there
    store:  the evaluated rows, on the encoders' side "eval"
    A language lies at the mean over its models of their mean embedding; distance is 1 - cosine. A culture
    lies at the mean of its countries' standardised scores, the latest year of each. Groups of `within` that
    have three languages are tested too, as "table (group)": only there did the models answer alike questions.
    """
    scores = tables(folder)
    parts: dict[str, np.ndarray] = {"": np.arange(len(store))}
    if within is not None:
        codes, names = store.codes(within)
        parts.update({f" ({name})": np.flatnonzero(codes == code) for code, name in enumerate(names)})
    found: dict[str, dict[str, Mantel]] = {}
    for encoder in encoders:
        for suffix, rows in parts.items():
            centres = _language_centres(store, encoder, rows)
            for name, table in scores.items():
                languages = sorted(set(centres) & set(table))
                if len(languages) >= MIN_LANGUAGES:
                    apart = _cosine_distances(np.stack([centres[language] for language in languages]))
                    r, p = mantel(apart, _distances([table[language] for language in languages]))
                    found.setdefault(encoder.name, {})[name + suffix] = Mantel(r, p, languages)
    return found


def _language_centres(store: Store, encoder: Encoded, rows: np.ndarray) -> dict[str, np.ndarray]:
    sources, labels = store.codes("source")
    languages = store.column("language")
    centres: dict[str, list[np.ndarray]] = {}
    for code in range(len(labels)):
        own = rows[sources[rows] == code]
        if len(own):
            language = table_code(languages[own[0]])
            centres.setdefault(language, []).append(encoder.matrix("eval", own).mean(axis=0))
    return {language: np.mean(found, axis=0) for language, found in centres.items()}


def _cosine_distances(centres: np.ndarray) -> np.ndarray:
    unit = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    distances: np.ndarray = 1.0 - unit @ unit.T
    return distances


def _distances(scores: list[np.ndarray]) -> np.ndarray:
    points = np.stack(scores)
    distances: np.ndarray = np.linalg.norm(points[:, None] - points[None], axis=2)
    return distances
