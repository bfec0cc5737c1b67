"""Do languages lie to each other as the cultures of their speakers do in surveys of people?"""

from __future__ import annotations

import csv
import itertools
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from univar.errors import DataError
from univar.evaluate.against import Encoded
from univar.evaluate.report import Mantel
from univar.schema import base_language

if TYPE_CHECKING:
    from univar.store import Store

TABLES = {
    "inglehart_welzel": ("inglehart_welzel_by_year.csv", "country", ("tradagg", "self_expression")),
    "hofstede": ("hofstede_6d_2015.csv", "country", ("pdi", "idv", "mas", "uai", "ltowvs", "ivr")),
    "schwartz": (
        "schwartz_7_orientations.csv",
        "country_long",
        ("harmony", "embedded", "hierarchy", "mastery", "aff_auton", "intel_auton", "egalitar"),
    ),
}
"""Name to file, column of the country, columns of the scores."""

COUNTRIES = {
    "ara": "egypt jordan morocco iraq arabcountries saudiarabia yemen",
    "bul": "bulgaria",
    "ces": "czechrep czechia",
    "dan": "denmark",
    "deu": "germany austria",
    "ell": "greece",
    "eng": "usa unitedstates greatbritain unitedkingdom australia austrialia canada ireland newzealand",
    "est": "estonia",
    "fas": "iran",
    "fin": "finland",
    "fra": "france",
    "hat": "haiti",
    "hin": "india",
    "hun": "hungary",
    "ind": "indonesia",
    "ita": "italy",
    "jpn": "japan",
    "kor": "koreasouth southkorea",
    "msa": "malaysia",
    "nld": "netherlands",
    "nor": "norway",
    "pol": "poland",
    "por": "portugal brazil",
    "que": "peru bolivia",
    "ron": "romania",
    "rus": "russia russianfederation",
    "spa": "spain mexico argentina colombia chile peru venezuela",
    "swa": "tanzania kenya",
    "swe": "sweden",
    "tgl": "philippines",
    "tha": "thailand",
    "tur": "turkey",
    "ukr": "ukraine",
    "vie": "vietnam",
    "zho": "china taiwan taiwanroc",
}
"""Languages to countries where most people speak them, as the tables call them, letters only."""

_SAME = {
    "arb": "ara",
    "cmn": "zho",
    "fil": "tgl",
    "pes": "fas",
    "prs": "fas",
    "quy": "que",
    "swh": "swa",
    "zsm": "msa",
}

MIN_LANGUAGES = 3
PERMUTATIONS = 10_000


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


def tables(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Name to language to scores of every table in the folder. Raises DataError for none or broken ones."""
    scores = {name: table for name in TABLES if (table := _language_scores(folder, name))}
    if not scores:
        files = ", ".join(file for file, _, _ in TABLES.values())
        raise DataError(f"{folder} holds none of {files}")
    return scores


def _language_centres(store: Store, encoder: Encoded, rows: np.ndarray) -> dict[str, np.ndarray]:
    sources, labels = store.codes("source")
    languages = store.column("language")
    centres: dict[str, list[np.ndarray]] = {}
    for code in range(len(labels)):
        own = rows[sources[rows] == code]
        if len(own):
            spoken = base_language(languages[own[0]])
            language = _SAME.get(spoken, spoken)
            centres.setdefault(language, []).append(encoder.matrix("eval", own).mean(axis=0))
    return {language: np.mean(found, axis=0) for language, found in centres.items()}


def _language_scores(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Language to standardised scores, NaN where no country has one; empty without the file."""
    file, country_column, columns = TABLES[name]
    path = folder / file
    if not path.exists():
        return {}
    latest: dict[str, tuple[float, list[float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                key, year = re.sub("[^a-z]", "", row[country_column].lower()), float(row.get("year") or 0)
                if key not in latest or year >= latest[key][0]:
                    latest[key] = year, [float(row[column] or "nan") for column in columns]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} is no CSV file with {country_column}, {', '.join(columns)}: {error}"
        ) from None
    values = np.array([scores for _, scores in latest.values()])
    values = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    of_country = dict(zip(latest, values, strict=True))
    found = {}
    for language, names in COUNTRIES.items():
        own = [of_country[country] for country in names.split() if country in of_country]
        complete = [scores for scores in own if not np.isnan(scores).any()]
        if complete:
            found[language] = np.mean(complete, axis=0)
    return found


def _cosine_distances(centres: np.ndarray) -> np.ndarray:
    unit = centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
    distances: np.ndarray = 1.0 - unit @ unit.T
    return distances


def _distances(scores: list[np.ndarray]) -> np.ndarray:
    points = np.stack(scores)
    distances: np.ndarray = np.linalg.norm(points[:, None] - points[None], axis=2)
    return distances


def mantel(first: np.ndarray, second: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Correlation of the distances, and the one-sided p-value of so high a one.

    first, second: (n, n) distances, symmetric, n >= 3
    The things of one table are renamed in every order while there are at most 10,000 orders, else in 10,000
    random ones and as they are. With n = 3 p cannot be below 1/6, with 4 below 1/24, with 5 below 1/120.
    """
    n = len(first)
    upper = np.triu_indices(n, 1)
    target = _standardised(second[upper])
    if math.factorial(n) <= PERMUTATIONS:
        orders = np.array(list(itertools.permutations(range(n))))
    else:
        rng = np.random.default_rng(seed)
        orders = np.stack([np.arange(n), *(rng.permutation(n) for _ in range(PERMUTATIONS))])
    values = np.array([_standardised(first[np.ix_(order, order)][upper]) @ target for order in orders])
    return float(values[0]), float((values >= values[0] - 1e-12).mean())


def _standardised(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    unit: np.ndarray = centred / max(float(np.linalg.norm(centred)), 1e-12)
    return unit
