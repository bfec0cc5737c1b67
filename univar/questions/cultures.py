"""Languages with their kin, script and place; tables of human values by country, as one score a language.

The table of languages is ours and ships. Tables of human values do not ship, since their terms are unclear:
they are read from a folder.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from univar.errors import DataError
from univar.files import read_toml
from univar.schema import ENGLISH_ONLY, base_language

LANGUAGES = Path(__file__).with_name("languages.toml")

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

_SAME = {
    "arb": "ara",
    "cmn": "zho",
    "ekk": "est",
    "fil": "tgl",
    "lvs": "lav",
    "nob": "nor",
    "pes": "fas",
    "prs": "fas",
    "quy": "que",
    "swh": "swa",
    "zsm": "msa",
}
_EARTH_KM = 6371.0


@dataclass(frozen=True)
class Language:
    """What is known of a language. family: four levels; place: latitude and longitude in degrees."""

    code: str
    name: str
    family: tuple[str, ...]
    script: str
    place: tuple[float, float]
    countries: tuple[str, ...]


@functools.cache
def languages() -> dict[str, Language]:
    """ISO 639-3 code to language, of the shipped table."""
    return {
        code: Language(
            code,
            it["name"],
            tuple(it["family"]),
            it["script"],
            tuple(it["place"]),
            tuple(it["countries"].split()),
        )
        for code, it in read_toml(LANGUAGES).items()
    }


def unread_languages(encoder: str, codes: Iterable[str]) -> str | None:
    """A sentence where a packaged encoder of English alone embedded other languages; None elsewhere."""
    others = sorted({code for code in codes if base_language(code) != "eng"})
    if encoder not in ENGLISH_ONLY or not others:
        return None
    return (
        f"{encoder} reads English only: what it makes of {', '.join(others)} is not to be trusted; "
        "embed them with a multilingual encoder"
    )


def table_code(code: str) -> str:
    """The code that the table has of a language: `cmn` and `zho_Hant` are `zho`."""
    spoken = base_language(code)
    return _SAME.get(spoken, spoken)


def family_distances(codes: list[str]) -> np.ndarray:
    """(L, L) in [0, 1]: the share of five levels that two languages do not share, themselves the last."""
    paths = [languages()[code].family for code in codes]
    shared = np.array([[_shared(a, b) for b in paths] for a in paths])
    apart: np.ndarray = 1 - shared / (len(paths[0]) + 1)
    np.fill_diagonal(apart, 0.0)
    return apart


def _shared(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    levels = 0
    for a, b in zip(first, second, strict=True):
        if a != b:
            break
        levels += 1
    return levels


def script_distances(codes: list[str]) -> np.ndarray:
    """(L, L): 0 for languages of one script, else 1."""
    scripts = np.array([languages()[code].script for code in codes], object)
    return (scripts[:, None] != scripts[None]).astype(np.float64)


def place_distances(codes: list[str]) -> np.ndarray:
    """(L, L) kilometres along the Earth's surface."""
    latitude, longitude = np.radians(np.array([languages()[code].place for code in codes])).T
    a = np.sin((latitude[:, None] - latitude) / 2) ** 2
    b = np.cos(latitude[:, None]) * np.cos(latitude) * np.sin((longitude[:, None] - longitude) / 2) ** 2
    distances: np.ndarray = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(a + b, 0, 1)))
    return distances


def tables(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Name to language to scores of every table in the folder. Raises DataError for none or broken ones."""
    scores = {name: table for name in TABLES if (table := language_scores(folder, name))}
    if not scores:
        files = ", ".join(file for file, _, _ in TABLES.values())
        raise DataError(f"{folder} holds none of {files}")
    return scores


def language_scores(folder: Path, name: str) -> dict[str, np.ndarray]:
    """Language to standardised scores, the mean of its countries that have them all; empty without the file.

    Of several years of a country the latest counts. Raises DataError for a file of another kind.
    """
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
    if not latest:
        raise DataError(f"{path} has no rows")
    values = np.array([scores for _, scores in latest.values()])
    values = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    of_country = dict(zip(latest, values, strict=True))
    found = {}
    for code, language in languages().items():
        own = [of_country[country] for country in language.countries if country in of_country]
        complete = [scores for scores in own if not np.isnan(scores).any()]
        if complete:
            found[code] = np.mean(complete, axis=0)
    return found
