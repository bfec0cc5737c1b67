"""Small tables as JSONL, CSV or TSV files."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from univar.errors import UsageError
from univar.files import new_text_file, refuse_existing

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


def check_target(path: str | os.PathLike[str], force: bool = False) -> Path:
    """`path`, if a table may be written there; UsageError for another ending or a file that is there."""
    path = Path(path)
    if path.suffix not in (".jsonl", *_DELIMITERS):
        raise UsageError(f"{path} ends neither in .jsonl nor in .csv or .tsv: name it so")
    refuse_existing(path, force)
    return path


def write_table(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], force: bool = False) -> None:
    """Write `rows`, all with the same keys, as the ending says; the file is there whole or not at all.

    Raises UsageError as `check_target` does, ProviderError if the disk refuses.
    """
    with new_text_file(check_target(path, force)) as file:
        file.write(as_text(rows, Path(path).suffix))


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
