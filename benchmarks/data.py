"""Answers for the benchmarks: the development data where they are, else the demo corpus."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from univar.schema import qa_texts

CHECKOUT = Path(__file__).resolve().parent.parent
DEMO = CHECKOUT / "examples" / "demo" / "answers.jsonl"


def data_folder() -> Path:
    """Folder of the development data: UNIVAR_DATA, else shared/data beside the checkout."""
    return Path(os.environ.get("UNIVAR_DATA", CHECKOUT.parent / "shared" / "data"))


def answers_file(side: str = "eval", folder: Path | None = None) -> Path:
    """The file of answers, side "train" or "eval"; the demo corpus where the folder lacks it."""
    path = (folder or data_folder()) / f"answers_{side}.parquet"
    return path if path.exists() else DEMO


def read_answers(
    columns: list[str] | None = None,
    side: str = "eval",
    rows: int | None = None,
    folder: Path | None = None,
) -> pa.Table:
    """String columns (all by default) of the first `rows` answers, in one chunk each."""
    path = answers_file(side, folder)
    if path.suffix == ".parquet":
        table = pq.read_table(path, columns=columns)
    else:
        table = pyarrow.json.read_json(path)
        table = table.select(columns or table.column_names)
    return table.slice(0, rows).combine_chunks()


def read_texts(rows: int | None = None, side: str = "eval", folder: Path | None = None) -> list[str]:
    """Texts of the first `rows` answers, in the form that is embedded."""
    return texts_of(read_answers(["question", "answer"], side, rows, folder))


def texts_of(table: pa.Table) -> list[str]:
    """Texts of a table of answers."""
    columns = (table[name].combine_chunks() for name in ("question", "answer"))
    return qa_texts(*columns).to_pylist()
