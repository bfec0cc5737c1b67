"""What passes through the readers: raw batches with our column names, made into rows that can be embedded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from univar.errors import DataError, UsageError
from univar.schema import IDENTITY_COLUMNS, REQUIRED_COLUMNS, SOURCE_CORPUS, normalize_language

BATCH_ROWS = 4096
BATCH_BYTES = 16 << 20
MAX_ROW_BYTES = 32 << 20
"""A longer row is rejected without being held whole."""

MAX_COLUMNS = 256
MAX_COLUMN_NAME = 64

TOO_LONG = f"the row is longer than {MAX_ROW_BYTES >> 20} MiB"


def is_empty(column: str) -> str:
    """Why a row is rejected that has nothing in `column`."""
    return f"{column} is empty"


NAMES: dict[str, str] = {}
"""What stands in messages for files that the user did not name (`univar.answers.memory`), by path."""


@dataclass(frozen=True)
class RowBatch:
    """Rows that can be embedded.

    table: non-null large_string columns: `schema.IDENTITY_COLUMNS`, then the input's others in the order they
        came; a column of a JSONL file is there if a row of this batch has it.
    file: the input as it was given, "stdin" for "-".
    rows: (n,) int64, where each row is in `file`, from 1: its first line, in Parquet its number.
    """

    table: pa.Table
    file: str
    rows: np.ndarray


@dataclass(frozen=True)
class RejectedRow:
    """A row that cannot be used: `row` as in `RowBatch.rows`, `reason` as a sentence without the place."""

    file: str
    row: int
    reason: str


OnRejected = Callable[[RejectedRow], Any]


@dataclass
class RawBatch:
    """Rows as a format's reader found them; names are already ours.

    rows: as in RowBatch. columns: name to one value per row, a list of Python values or a large_string array,
    either with nulls. rejected: (row, reason) of rows that could not even be taken apart.
    """

    rows: list[int] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)
    rejected: list[tuple[int, str]] = field(default_factory=list)


ALIASES = {
    "prompt": "question",
    "query": "question",
    "instruction": "question",
    "response": "answer",
    "output": "answer",
    "completion": "answer",
    "generation": "answer",
    "model_name": "model",
    "model_id": "model",
    "lang": "language",
    "qid": "question_id",
}
"""Names that others give our columns; read so where ours is absent, and told."""

_OURS = (*IDENTITY_COLUMNS, "wording", "value")


class ColumnNames:
    """How the columns of one file are called here; what a row cannot keep is left out, and told once.

    rename:   our name to the input's name
    constant: our name to the value that every row has; the file must not have the column itself
    on_note:  called with a sentence on each column that is left out or read under another name
    """

    def __init__(
        self,
        rename: Mapping[str, str] | None = None,
        constant: Mapping[str, str] | None = None,
        on_note: Callable[[str], object] = lambda note: None,
    ) -> None:
        self._rename: dict[str, str] = {}
        self.constant = dict(constant or {})
        self._on_note, self._told = on_note, set[str]()
        self._seen: set[str] = set()
        for ours, theirs in (rename or {}).items():
            if theirs.strip() in self._rename:
                raise UsageError(f"column {theirs!r} is mapped twice: give each input column one name")
            if fault := _name_fault(ours.strip()):
                raise UsageError(f"cannot map {ours!r} to {theirs!r}: {fault}")
            self._rename[theirs.strip()] = ours.strip()

    def resolve(self, found: Iterable[str]) -> dict[str, str]:
        """Our name of each column in `found` that is kept.

        Raises DataError where two columns would both be one of `schema.IDENTITY_COLUMNS`, or a constant's.
        """
        names = list(found)
        aliases = self._aliases(names)
        ours: dict[str, str] = {}
        theirs: dict[str, str] = {}
        for name in names:
            column = self._rename.get(name.strip()) or aliases.get(name) or name.strip()
            column = SOURCE_CORPUS if column == "source" else column
            fault = _name_fault(column)
            if column in self.constant:
                raise DataError(f"there is a column {name!r}: leave out --constant {column}=...")
            if column in theirs and column in IDENTITY_COLUMNS:
                unmapped = theirs[column] if name.strip() in self._rename else name
                raise DataError(
                    f"columns {theirs[column]!r} and {name!r} are both {column!r} here: "
                    f"give one of them another name, such as --map other_{column}={unmapped.strip()}"
                )
            if column in theirs:
                fault = f"there is another {column!r}"
            elif column not in self._seen and len(self._seen) >= MAX_COLUMNS:
                fault = f"a row keeps at most {MAX_COLUMNS} columns"
            if fault:
                self._note(f"column {_shortened(name)} is left out: {fault}; --map NAME=COLUMN names it anew")
                continue
            ours[name], theirs[column] = column, name
            self._seen.add(column)
        return ours

    def require(self, found: Iterable[str], required: Iterable[str]) -> dict[str, str]:
        """`resolve` for a file with one header: all of `required` and all renamed columns must be there."""
        names = list(found)
        ours = self.resolve(names)
        for theirs, column in self._rename.items():
            if theirs not in (name.strip() for name in names):
                raise DataError(f"no column {theirs!r} to map to {column!r}; {_listing(names)}")
        for column in required:
            if column not in ours.values() and column not in self.constant:
                raise DataError(
                    f"no column {column!r}; {_listing(names)}; name it with --map {column}=COLUMN, "
                    f"or give all rows one value with --constant {column}=VALUE"
                )
        return ours

    def leave_out(self, name: str, reason: str) -> None:
        """Tell that a column is left out for what it holds."""
        self._note(f"column {_shortened(name)} is left out: {reason}")

    def renamed_in(self, names: Collection[str]) -> int:
        """How many of `names` are renamed here."""
        return sum(name.strip() in self._rename for name in names)

    def _aliases(self, names: list[str]) -> dict[str, str]:
        """Columns that others call so, or that are ours in capitals, where ours is absent."""
        taken = {self._rename.get(name.strip(), name.strip()) for name in names} | set(self.constant)
        aliases: dict[str, str] = {}
        for name in names:
            low = name.strip().lower().replace(" ", "_")
            column = ALIASES.get(low, low if low in _OURS else "")
            if column and name.strip() not in self._rename and column not in taken:
                aliases[name] = column
                taken.add(column)
                self._note(f"column {name!r} is read as {column!r}")
        return aliases

    def _note(self, note: str) -> None:
        if note not in self._told:
            self._told.add(note)
            self._on_note(note)


def _name_fault(name: str) -> str:
    """Why a row cannot keep a column of this name; "" where it can."""
    if not name:
        return "it has no name"
    if len(name) > MAX_COLUMN_NAME:
        return f"its name is longer than {MAX_COLUMN_NAME} characters"
    if "/" in name or any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name):
        return "its name has a '/' or a control character"
    return ""


def _shortened(name: str) -> str:
    return repr(name if len(name) <= 40 else name[:37] + "...")


def _listing(found: Iterable[str]) -> str:
    names = [_shortened(name) for name in found]
    return "it has " + ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


_SHOWN = 40  # characters of a stranger's value in a message
_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def normalize(
    raw: RawBatch, file: str, required: Collection[str], on_rejected: OnRejected
) -> RowBatch | None:
    """The rows of `raw` that can be used, None if there are none; the others go to `on_rejected` in order."""
    n = len(raw.rows)
    bad: dict[int, str] = {}  # place in the batch -> the first thing found wrong
    columns = {name: _text(name, values, required, bad) for name, values in raw.columns.items()}
    for name in {*IDENTITY_COLUMNS, *required}.difference(columns):
        columns[name] = _text(name, pa.nulls(n, pa.large_string()), required, bad)
    for name in required:
        for place in np.flatnonzero(_blank(columns[name])):
            bad.setdefault(int(place), is_empty(name))
    columns["model"] = pc.utf8_trim_whitespace(columns["model"])
    columns["language"] = _languages(columns["language"], bad)

    rejected = raw.rejected + [(raw.rows[place], reason) for place, reason in bad.items()]
    for row, reason in sorted(rejected):
        on_rejected(RejectedRow(file, row, reason))
    if len(bad) == n:
        return None
    rows = np.array(raw.rows, dtype=np.int64)
    if bad:
        keep = np.ones(n, dtype=bool)
        keep[list(bad)] = False
        rows = rows[keep]
        columns = {name: column.filter(pa.array(keep)) for name, column in columns.items()}
    columns["question_id"] = _question_ids(columns["question_id"], columns["question"])
    order = dict.fromkeys((*IDENTITY_COLUMNS, *columns))
    return RowBatch(pa.table({name: columns[name] for name in order}), file, rows)


def _text(name: str, values: Any, required: Collection[str], bad: dict[int, str]) -> pa.Array:
    """`values` as large_string without nulls; places that are no text, or must not be null, go to `bad`."""
    if isinstance(values, pa.Array):
        column = values
    else:
        try:
            column = pa.array(values, pa.large_string())
        except (TypeError, UnicodeEncodeError):  # something that is no string, or half a surrogate pair
            column = pa.array(_cells(name, values, bad), pa.large_string())
    if not column.null_count:
        return column
    if name in required:
        for place in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)):
            bad.setdefault(int(place), f"{name} is missing or null")
    return column.fill_null("")


def _cells(name: str, values: list[Any], bad: dict[int, str]) -> list[str | None]:
    """Cell by cell: strings and nulls as they are, everything else as JSON text where it may be."""
    cells: list[str | None] = []
    for place, value in enumerate(values):
        try:
            cells.append(_cell(name, value))
        except DataError as error:
            bad.setdefault(place, str(error))
            cells.append("")
    return cells


def _cell(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        if name in REQUIRED_COLUMNS:
            raise DataError(f"{name} is {_KINDS[type(value)]} ({_shown(value)}), not text")
        value = json_text(name, value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(value[error.start]):04x}"
        raise DataError(f"{name} has half of a surrogate pair ({half}), which is no character") from None
    return value


def json_text(name: str, value: Any) -> str:
    """A number, boolean, list or object as JSON text, keys sorted. Raises DataError where JSON has none."""
    try:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    except RecursionError:
        raise DataError(f"{name} is nested too deeply") from None
    except (TypeError, ValueError):
        raise DataError(f"{name} holds values that have no JSON text: leave the column out") from None


def _shown(value: Any) -> str:
    text = json_text("the value", value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _blank(column: pa.Array) -> np.ndarray:
    """(n,) bool: nothing but white space."""
    return pc.equal(pc.binary_length(pc.utf8_trim_whitespace(column)), 0).to_numpy(zero_copy_only=False)


def _languages(column: pa.Array, bad: dict[int, str]) -> pa.Array:
    """ISO 639-3 codes; "" stays "" (only a required language cannot be empty)."""
    encoded = pc.utf8_trim_whitespace(column).dictionary_encode()
    codes: list[str] = []
    for code, language in enumerate(encoded.dictionary.to_pylist()):
        try:
            codes.append(normalize_language(language[:_SHOWN]) if language else "")
        except DataError as error:
            codes.append("")
            for place in np.flatnonzero(encoded.indices.to_numpy() == code):
                bad.setdefault(int(place), str(error))
    return pa.array(codes, pa.large_string()).take(encoded.indices)


def _question_ids(ids: pa.Array, questions: pa.Array) -> pa.Array:
    """`ids`, and where one is blank the question's hash: the same question has the same id in every file."""
    blank = _blank(ids)
    if not blank.any():
        return ids
    encoded = pc.utf8_trim_whitespace(questions).dictionary_encode()
    hashed = [
        "q-" + hashlib.blake2b(question.encode(), digest_size=8).hexdigest() if question else ""
        for question in encoded.dictionary.to_pylist()
    ]
    return pc.if_else(pa.array(blank), pa.array(hashed, pa.large_string()).take(encoded.indices), ids)
