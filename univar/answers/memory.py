"""Answers that are in memory, as the readers take them: a DataFrame, an Arrow table, a list of dicts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from univar.answers.rows import NAMES
from univar.errors import DataError


def in_memory(inputs: Any) -> bool:
    """Whether `inputs` are rows themselves, not the names of files."""
    if isinstance(inputs, list | tuple):
        return bool(inputs) and all(isinstance(row, dict) for row in inputs)
    return hasattr(inputs, "columns") and not isinstance(inputs, str)


NAME = "the rows given"
"""Stands in messages for the file."""


@contextmanager
def as_file(inputs: Any) -> Iterator[Path]:
    """A file of the rows while the context lasts; rows are numbered from 1.

    inputs: a pandas or polars DataFrame, an Arrow table or a list of dicts
    Raises DataError for values that no file can hold.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="univar-") as folder:
        path = Path(folder) / "table.parquet"
        try:
            if isinstance(inputs, list | tuple):
                names = dict.fromkeys(name for row in inputs for name in row)
                table = pa.table({str(name): [row.get(name) for row in inputs] for name in names})
            elif isinstance(inputs, pa.Table):
                table = inputs
            elif hasattr(inputs, "to_arrow"):
                table = inputs.to_arrow()
            else:
                table = pa.Table.from_pandas(inputs, preserve_index=False)
            pq.write_table(table, path)
        except (pa.ArrowException, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"the rows cannot be read as a table: {reason}") from None
        NAMES[str(path)] = NAME
        try:
            yield path
        finally:
            del NAMES[str(path)]
