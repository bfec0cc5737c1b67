"""Small tables as JSONL, CSV or TSV files."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from univar.errors import DataError, UsageError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def check_target(path: str | os.PathLike[str], force: bool = False) -> Path:
    """`path`, if a table may be written there; UsageError for another ending or a file that is there."""
    path = Path(path)
    if path.suffix not in (".jsonl", *_DELIMITERS):
        raise UsageError(f"{path} ends neither in .jsonl nor in .csv or .tsv: name it so")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already: name another file or add --force")
    return path


def write_table(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], force: bool = False) -> None:
    """Write `rows`, all with the same keys, as the ending says; the file is there whole or not at all.

    Raises UsageError as `check_target` does, DataError if the disk refuses.
    """
    path = check_target(path, force)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(as_text(rows, path.suffix), encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}): name another place") from None


def as_text(rows: Sequence[Mapping[str, Any]], suffix: str = ".jsonl") -> str:
    """`rows` as one JSON object a line, or as CSV or TSV with a header; booleans as JSON writes them."""
    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), delimiter=_DELIMITERS[suffix], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: json.dumps(v) if isinstance(v, bool) else v for k, v in row.items()})
    return buffer.getvalue()
