"""Names of the input's columns: cleaned, renamed as the user asked, kept few and unambiguous."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from univar.answers.rows import MAX_COLUMN_NAME, MAX_COLUMNS
from univar.errors import DataError, UsageError
from univar.schema import SOURCE_CORPUS


class ColumnNames:
    """How the columns of one file are called here. rename: our name to the input's name."""

    def __init__(self, rename: Mapping[str, str] | None = None) -> None:
        self._rename: dict[str, str] = {}
        self._seen: set[str] = set()
        for ours, theirs in (rename or {}).items():
            if theirs.strip() in self._rename:
                raise UsageError(f"column {theirs!r} is mapped twice: give each input column one name")
            try:
                self._rename[theirs.strip()] = _clean(ours)
            except DataError as error:
                raise UsageError(f"cannot map {ours!r} to {theirs!r}: {error}") from None

    def resolve(self, found: Iterable[str]) -> dict[str, str]:
        """Our name of each column in `found`. Raises DataError for a bad name, two alike, or too many."""
        ours: dict[str, str] = {}
        theirs: dict[str, str] = {}
        for name in found:
            column = self._name(name)
            if column in theirs:
                unmapped = theirs[column] if name.strip() in self._rename else name
                raise DataError(
                    f"columns {theirs[column]!r} and {name!r} are both {column!r} here: "
                    f"give one of them another name, such as --map other_{column}={unmapped.strip()}"
                )
            ours[name], theirs[column] = column, name
        if not self._seen.issuperset(theirs):
            if len(self._seen.union(theirs)) > MAX_COLUMNS:
                raise DataError(f"more than {MAX_COLUMNS} different columns: leave out those you do not need")
            self._seen.update(theirs)
        return ours

    def require(self, found: Iterable[str], required: Iterable[str]) -> dict[str, str]:
        """`resolve` for a file with one header: all of `required` and all renamed columns must be there."""
        ours = self.resolve(found)
        for theirs, column in self._rename.items():
            if column not in ours.values():
                raise DataError(f"no column {theirs!r} to map to {column!r}; {_listing(ours)}")
        for column in required:
            if column not in ours.values():
                raise DataError(f"no column {column!r}; {_listing(ours)}; name it with --map {column}=COLUMN")
        return ours

    def _name(self, found: str) -> str:
        name = self._rename.get(found.strip()) or _clean(found)
        return SOURCE_CORPUS if name == "source" else name


def _clean(name: str) -> str:
    name = name.strip()
    if not name:
        raise DataError("a column has no name")
    if len(name) > MAX_COLUMN_NAME:
        raise DataError(f"the column name {name[:20] + '...'!r} is longer than {MAX_COLUMN_NAME} characters")
    if "/" in name or any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name):
        raise DataError(f"the column name {name!r} has a '/' or a control character")
    return name


def _listing(found: Iterable[str]) -> str:
    names = [repr(name) for name in found]
    return "it has " + ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
