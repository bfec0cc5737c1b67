"""Verdicts as a table: the input's columns, then what was found, a line for each answer or bag."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from univar import files
from univar.errors import UsageError

ENDINGS = (".jsonl", ".csv", ".parquet")
FOUND = ("source_model", "source_language", "probability", "share", "n", "effective_n", "set_90", "unknown_p",
         "warnings")  # fmt: skip
_ROWS_AT_ONCE = 4096


class VerdictTable:
    """Writes verdicts line by line. `left_out` counts the columns that the first rows lacked."""

    def __init__(self, target: files.NewFile, ending: str) -> None:
        self._target, self._ending = target, ending
        self._columns: list[str] | None = None
        self._waiting: list[dict[str, Any]] = []
        self._parquet: Any = None
        self.left_out: set[str] = set()

    def write(self, facts: dict[str, Any]) -> None:
        """Take in a verdict with the `columns` of its input."""
        self._waiting.append(_line(facts))
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what waits; the columns are those of the rows that came by then first."""
        if not self._waiting:
            return
        names = list(dict.fromkeys(name for line in self._waiting for name in line))
        first = self._columns is None
        columns = names if self._columns is None else self._columns
        self._columns = columns
        self.left_out |= set(names) - set(columns)
        if self._ending == ".jsonl":
            lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self._waiting)
            self._target.write(lines.encode("utf-8", "replace"))
        elif self._ending == ".csv":
            self._target.write(_csv(self._waiting, columns, first).encode("utf-8", "replace"))
        else:
            self._write_parquet(columns)
        self._waiting = []

    def close(self) -> None:
        """Write the end of the file."""
        self.flush()
        if self._parquet is not None:
            self._parquet.close()

    def _write_parquet(self, columns: list[str]) -> None:
        import pyarrow.parquet as pq

        schema = pa.schema([(name, _TYPES.get(name, pa.large_string())) for name in columns])
        table = pa.table({c: [line.get(c) for line in self._waiting] for c in columns}, schema=schema)
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._target, schema, compression="zstd")
        self._parquet.write_table(table)


_TYPES = {
    "row": pa.int64(),
    "probability": pa.float64(),
    "share": pa.float64(),
    "n": pa.int64(),
    "effective_n": pa.float64(),
    "unknown_p": pa.float64(),
}


def ending_of(path: str) -> str:
    """The ending of an output file. Raises UsageError for one that is not in ENDINGS."""
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{path} does not end in {', '.join(ENDINGS)}: choose one of these formats")
    return ending


@contextmanager
def verdict_table(path: str, *, force: bool = False) -> Iterator[VerdictTable]:
    """A table at `path`, there whole or not at all. Raises UsageError where something is there already."""
    ending = ending_of(path)
    files.refuse_existing(Path(path), force)
    with files.new_file(Path(path)) as target:
        table = VerdictTable(target, ending)
        yield table
        table.close()


def _line(facts: dict[str, Any]) -> dict[str, Any]:
    """One line: the input's columns, row or bag, the best source and how sure it is."""
    best = facts["sources"][0] if facts["sources"] else {}
    found = {
        "source_model": best.get("model"),
        "source_language": best.get("language"),
        "probability": best.get("probability"),
        "share": best.get("share"),
        "n": facts.get("n"),
        "effective_n": facts.get("effective_n"),
        "set_90": _names(facts.get("sets", {}).get("0.9")),
        "unknown_p": (facts.get("none_of_these") or {}).get("p"),
        "warnings": "; ".join(facts.get("warnings", [])) or None,
    }
    own = {("bag" if "bag" in facts else "row"): facts.get("bag", facts.get("row"))}
    columns = {name: text for name, text in facts.get("columns", {}).items() if name not in (*found, *own)}
    return {**own, **columns, **found}


def _names(sources: list[dict[str, str]] | None) -> str | None:
    return None if sources is None else "; ".join(f"{s['model']}/{s['language']}" for s in sources)


def _csv(lines: list[dict[str, Any]], columns: list[str], header: bool) -> str:
    import io

    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()
