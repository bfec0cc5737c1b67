"""The taxonomy: values of the literature, each with family, definition, opposite pole and reference."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.errors import DataError, did_you_mean
from univar.files import read_toml

TAXONOMY = Path(__file__).with_name("values.toml")

_ID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_WORD = re.compile(r"[a-z]{3,}")
_ENDINGS = frozenset(
    "y ty ity ies ness iness eness fulness ful ing ed e s es ly al ous ment dom ce t cy ence ent ance ant "
    "ion ation ive iveness ism ist ship hood".split()
) | {""}
_FAMILY_KEYS = {"id", "name", "reference"}
_VALUE_KEYS = {"id", "name", "family", "definition", "opposite", "reference"}
_OPTIONAL = {"opposite", "reference"}
_OLD_KEY = "source"
"""What `reference` was called before; files may still use it."""


@dataclass(frozen=True)
class Family:
    """A theory or inventory of values. reference: where the literature describes it."""

    id: str
    name: str
    reference: str


@dataclass(frozen=True)
class Value:
    """One value. opposite: the other pole, "" if the theory has none; reference: the literature."""

    id: str
    name: str
    family: str
    definition: str
    opposite: str
    reference: str


@dataclass(frozen=True)
class Taxonomy:
    """Families and values by id, in the order of the files."""

    families: dict[str, Family]
    values: dict[str, Value]

    def select(
        self, families: Iterable[str] = (), ids: Iterable[str] = (), search: str = ""
    ) -> tuple[Value, ...]:
        """Values of `families`, among `ids` (each: all if empty), that contain the text `search`.

        Where none contains it, those that have all its words in another form: `honesty` finds `honest`.
        Raises DataError for an unknown family or value.
        """
        families, ids = set(families), set(ids)
        _known("family", families, self.families)
        _known("value", ids, self.values)
        among = [
            value
            for value in self.values.values()
            if (not families or value.family in families) and (not ids or value.id in ids)
        ]
        needle = search.casefold()
        found = tuple(value for value in among if needle in _texts(value).casefold())
        words = _WORD.findall(needle)
        return found or tuple(value for value in among if _has_words(words, _texts(value)))


def _texts(value: Value) -> str:
    return " ".join((value.id, value.name, value.definition, value.opposite))


def _has_words(words: list[str], text: str) -> bool:
    there = _WORD.findall(text.casefold())
    return bool(words) and all(any(_alike(word, other) for other in there) for word in words)


def _alike(word: str, other: str) -> bool:
    """Whether two words differ in their endings alone."""
    shared = next(
        (n for n, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other))
    )
    return shared >= 4 and {word[shared:], other[shared:]} <= _ENDINGS


def load_taxonomy(extra: Iterable[str | os.PathLike[str]] = ()) -> Taxonomy:
    """The shipped taxonomy, with the families and values of the user's own TOML files added.

    A file has tables `[[family]]` (id, name, reference) and `[[value]]` (id, name, family, definition, and
    optionally opposite and reference, which defaults to that of the family). Ids are lower-case words joined
    by hyphens, and unique. Raises DataError that names the file and the entry.
    """
    taxonomy = Taxonomy({}, {})
    for path in (TAXONOMY, *extra):
        _add(taxonomy, read_toml(path), os.fspath(path))
    return taxonomy


def _add(taxonomy: Taxonomy, tables: dict[str, Any], file: str) -> None:
    unknown = sorted(tables.keys() - {"family", "value"})
    if unknown:
        raise DataError(f"{file}: unknown table {unknown[0]!r}: use [[family]] and [[value]]")
    for entry in _entries(tables, "family", file):
        fields = _fields(entry, _FAMILY_KEYS, f"{file}: family {entry.get('id', '?')!r}")
        _new(fields["id"], taxonomy.families, f"{file}: family")
        taxonomy.families[fields["id"]] = Family(**fields)
    for entry in _entries(tables, "value", file):
        place = f"{file}: value {entry.get('id', '?')!r}"
        fields = _fields(entry, _VALUE_KEYS, place)
        _new(fields["id"], taxonomy.values, f"{file}: value")
        if fields["family"] not in taxonomy.families:
            raise DataError(
                f"{place} has the unknown family {fields['family']!r}: add a [[family]] with that id"
            )
        fields["reference"] = fields["reference"] or taxonomy.families[fields["family"]].reference
        taxonomy.values[fields["id"]] = Value(**fields)


def _entries(tables: dict[str, Any], kind: str, file: str) -> list[dict[str, Any]]:
    entries = tables.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{file}: write each {kind} as a table [[{kind}]]")
    return entries


def _fields(entry: dict[str, Any], keys: set[str], place: str) -> dict[str, str]:
    """The entry's texts, missing optional ones as "". Raises DataError for a missing or unknown field."""
    if _OLD_KEY in entry and "reference" not in entry:
        entry = {"reference" if key == _OLD_KEY else key: text for key, text in entry.items()}
    unknown = sorted(entry.keys() - keys)
    if unknown:
        raise DataError(f"{place} has the unknown field {unknown[0]!r}: use {', '.join(sorted(keys))}")
    required = keys - _OPTIONAL if "definition" in keys else keys
    for key in sorted(required):
        if not str(entry.get(key, "")).strip():
            raise DataError(f"{place} has no {key}: add it")
    for key, text in entry.items():
        if not isinstance(text, str):
            raise DataError(f"{place}: {key} must be a text in quotes, not {text!r}")
    return {key: " ".join(entry.get(key, "").split()) for key in sorted(keys)}


def _new(id: str, known: dict[str, Any], what: str) -> None:
    if not _ID.fullmatch(id):
        raise DataError(f"{what} {id!r}: use lower-case words joined by hyphens, such as 'inner-harmony'")
    if id in known:
        raise DataError(f"{what} {id!r} occurs twice: give one of them another id")


def _known(what: str, asked: set[str], known: dict[str, Any]) -> None:
    unknown = sorted(asked - known.keys())
    if unknown:
        near = did_you_mean(unknown[0], known)
        raise DataError(f"the taxonomy has no {what} {unknown[0]!r}{near}: see `univar values`")
