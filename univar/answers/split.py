"""Answers in two files with no question in both, as `univar evaluate` wants them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from univar.answers.rows import RowBatch
from univar.errors import DataError, UsageError
from univar.files import make_folder, new_text_file, refuse_existing

SIDES = ("train", "eval")


@dataclass(frozen=True)
class SplitCounts:
    """Rows and values of the column on each side, by "train" and "eval"."""

    rows: dict[str, int]
    values: dict[str, int]


def split_rows(
    batches: Iterable[RowBatch],
    folder: Path,
    *,
    by: str = "question",
    share: float = 0.3,
    seed: int = 0,
    force: bool = False,
) -> SplitCounts:
    """Write train.jsonl and eval.jsonl in a folder: all rows of one value of a column are on one side.

    by:    "question" for the question's id, or another column
    share: of the values that go to eval, > 0 and < 1; which ones depends on the value and the seed alone,
           so that a question stays on its side when rows are added
    Raises UsageError for a share out of range and for files that exist, unless `force`; DataError for a
    column that is not there, and if one side would be empty.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share of eval must be between 0 and 1, got {share}")
    column = "question_id" if by == "question" else by
    paths = [folder / f"{side}.jsonl" for side in SIDES]
    for path in paths:
        refuse_existing(path, force)
    make_folder(folder)
    rows = dict.fromkeys(SIDES, 0)
    values: dict[str, set[str]] = {side: set() for side in SIDES}
    with new_text_file(paths[0]) as train, new_text_file(paths[1]) as eval:
        files = dict(zip(SIDES, (train, eval), strict=True))
        for batch in batches:
            if column not in batch.table.column_names:
                raise DataError(f"{batch.file} has no column {column!r} to split by")
            for row in batch.table.to_pylist():
                side = "eval" if _place(row[column], seed) < share else "train"
                files[side].write(json.dumps(row, ensure_ascii=False) + "\n")
                rows[side] += 1
                values[side].add(row[column])
        if not all(rows.values()):
            n = sum(map(len, values.values()))
            raise DataError(f"all rows ({n:,} different {column}) fell on one side: change share or seed")
    return SplitCounts(rows, {side: len(found) for side, found in values.items()})


def _place(value: str, seed: int) -> float:
    """A number in [0, 1) that only the value and the seed decide."""
    digest = hashlib.blake2b(f"{seed}:{value}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
