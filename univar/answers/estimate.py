"""How many rows are to come, for a progress bar."""

from __future__ import annotations

import os
from collections.abc import Iterable

from univar.answers.inputs import Input, find_input
from univar.answers.paper_folder import answer_files

SAMPLE_BYTES = 1 << 20


def estimate_rows(inputs: Iterable[str | os.PathLike[str]], format: str | None = None) -> int | None:
    """About how many rows `inputs` hold; None where only reading would tell (stdin, .gz, .zst).

    Parquet files know it; for others it follows from the size and the lines in the first megabyte.
    """
    files = [path for given in inputs for path, _ in answer_files(given)]
    counts = [_estimate(find_input(path, format)) for path in files]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _estimate(source: Input) -> int | None:
    if source.path is None or source.codec:
        return None
    if source.format == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(source.path).num_rows
        except (OSError, pa.ArrowException):
            return None  # the reader will say what is wrong with the file
    with open(source.path, "rb") as file:
        sample = file.read(SAMPLE_BYTES)
    lines = sample.count(b"\n")
    return round(lines * os.path.getsize(source.path) / len(sample)) if sample else 0
