"""The folders of UniVaR's own data: <corpus>/qa_translated/<model>.csv, or <corpus>/qa/<model>.csv.

Columns qid, question, answer, lang, model, mt_lang. One corpus or a folder of several may be named.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

from univar.answers.rows import RowBatch
from univar.schema import SOURCE_CORPUS

COLUMNS = {"question_id": "qid", "language": "lang"}
ANSWER_FOLDERS = ("qa_translated", "qa")
"""Answers translated back to English come first: the paper embeds those."""


def answer_files(given: str | os.PathLike[str]) -> list[tuple[str, str | None]]:
    """(file, corpus) of every answer file in a folder of this layout; what was given, None for all else."""
    folder = Path(given)
    if os.fspath(given) == "-" or not folder.is_dir():
        return [(os.fspath(given), None)]
    found: list[tuple[str, str | None]] = []
    for corpus in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        for name in ANSWER_FOLDERS:
            files = sorted((corpus / name).glob("*.csv"))
            if files:
                found += [(str(file), corpus.resolve().name) for file in files]
                break
    return found or [(os.fspath(given), None)]


def of_corpus(batch: RowBatch, corpus: str) -> RowBatch:
    """The batch with its corpus as a column, and question ids that are unlike those of other corpora."""
    table = batch.table
    ids = [f"{corpus}:{question_id}" for question_id in table.column("question_id").to_pylist()]
    place = table.column_names.index("question_id")
    table = table.set_column(place, "question_id", pa.array(ids, pa.large_string()))
    if SOURCE_CORPUS in table.column_names:
        table = table.drop_columns([SOURCE_CORPUS])
    names = pa.array([corpus] * table.num_rows, pa.large_string())
    return RowBatch(table.append_column(SOURCE_CORPUS, names), batch.file, batch.rows)
