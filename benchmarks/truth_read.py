"""How much of each answer an encoder reads: cut to one text as in the paper, and whole, in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.data import read_answers
from benchmarks.truth_corpora import ENGLISH, OTHERS
from univar.encoder.reading import PAPER, WHOLE, ReadOptions, RowReader
from univar.encoder.spec import resolve_parts
from univar.encoder.tokenizer import load_tokenizer

MAX_LENGTHS = {ENGLISH: 256, OTHERS: 512}
"""Tokens of a piece, those that the encoders read by themselves."""

ROWS_AT_ONCE = 2048


def reader(spec: str, options: ReadOptions) -> RowReader:
    """Reads as `univar embed` does with this encoder, without its weights."""
    folder = next(iter(resolve_parts(spec).values())).folder
    return RowReader(load_tokenizer(folder, MAX_LENGTHS[spec], 1), options)


def shares_read(source: str, language: str) -> dict[str, Any]:
    """Of one corpus, both sides: answers read to the end, answers of which nothing is read, tokens read."""
    table = pa.concat_tables(
        read_answers(["source", "language", "question", "answer"], side) for side in ("train", "eval")
    )
    kept = np.array(table["source"]) == source
    kept &= np.array(table["language"]) == language
    table = table.filter(pa.array(kept)).combine_chunks()
    spec = ENGLISH if language == "en" else OTHERS
    found = {options.mode: _shares(table, reader(spec, options)) for options in (PAPER, WHOLE)}
    return {"encoder": spec, "max_length": MAX_LENGTHS[spec], "rows": len(table), **found}


def _shares(table: pa.Table, reads: RowReader) -> dict[str, Any]:
    read, tokens, pieces = [], [], []
    for start in range(0, len(table), ROWS_AT_ONCE):
        part = table.slice(start, ROWS_AT_ONCE)
        found = reads.read(part["question"].combine_chunks(), part["answer"].combine_chunks())
        read.append(found.read)
        tokens.append(found.answer_tokens)
        pieces.append(found.per_answer)
    seen, has, n = (np.concatenate(parts) for parts in (read, tokens, pieces))
    return {
        "to_the_end": round(float((seen >= has).mean()), 4),
        "nothing_read": int(((seen == 0) & (has > 0)).sum()),
        "cut": int((seen < has).sum()),
        "tokens_read": round(float(seen.sum() / max(has.sum(), 1)), 4),
        "mean_pieces": round(float(n.mean()), 2),
    }
