"""Which encoder embeds answers when nobody names one, and which rows it can't read."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from univar.encoder.spec import COMPOSITES, PACKAGED
from univar.errors import UsageError
from univar.schema import DEFAULT_ENCODERS, ENGLISH_ONLY

if TYPE_CHECKING:
    import pyarrow as pa

    from univar.answers.inputs import Reading

ENGLISH, MULTILINGUAL = DEFAULT_ENCODERS
MOST_UNKNOWN = 0.5
"""Share of unknown tokens above which an answer is not read."""


@dataclass(frozen=True)
class DefaultEncoder:
    """The encoder that was chosen, the tokens it reads (None: its own limit), and why, in half a sentence."""

    spec: str
    max_length: int | None
    why: str


def choose_encoder(
    inputs: Sequence[str | Path], store: str | Path, reading: Reading | None = None
) -> DefaultEncoder:
    """The store's encoder where it has one, else by the languages of all rows.

    Raises UsageError for a store whose encoder univar doesn't ship: name it.
    """
    from univar.store.reader import Store

    if Store.exists(store):
        made_by = Store(store).encoder
        if made_by["id"] not in (*PACKAGED, *COMPOSITES):
            raise UsageError(
                f"{store} was made with the encoder {made_by['id']}, which univar does not ship: "
                "name its folder or hub id with --encoder"
            )
        return DefaultEncoder(made_by["id"], made_by["max_length"], f"{store} was made with it")
    if not all(_is_file(path) for path in inputs):
        return DefaultEncoder(MULTILINGUAL, None, "an input that can be read only once may hold any language")
    other = _other_language(inputs, reading)
    if other is None:
        return DefaultEncoder(ENGLISH, None, "every row is in English")
    return DefaultEncoder(MULTILINGUAL, None, f"the answers are not all in English ({other})")


def _is_file(path: str | Path) -> bool:
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return os.fspath(path) != "-"  # reading it says what is wrong
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _other_language(inputs: Sequence[str | Path], reading: Reading | None) -> str | None:
    """The first language that isn't English; None if there is none."""
    from univar.answers import read_rows

    for batch in read_rows(inputs, reading=reading, on_rejected=_pass_over, on_note=_pass_over):
        for language in batch.table.column("language").unique().to_pylist():
            if language != "eng":
                return str(language)
    return None


def _pass_over(what: object) -> None:
    """The run itself tells of rejected rows and columns."""


def unreadable(encoder_id: str, answers: pa.Array, unknown: np.ndarray) -> dict[int, str]:
    """Row -> why a default encoder can't read its answer.

    answers: (n,) large_string; unknown: (n,) float32 share of unknown tokens
    """
    remedy = f"embed it with -e {MULTILINGUAL} into another store"
    if encoder_id == MULTILINGUAL:
        remedy = "embed it with an encoder of its language, named with -e"
    reasons = {}
    for row in np.flatnonzero(unknown > MOST_UNKNOWN).tolist():
        reasons[row] = f"{100 * unknown[row]:.0f} % of its answer is unknown to {encoder_id}: {remedy}"
    if encoder_id in ENGLISH_ONLY:
        for row in np.flatnonzero(other_scripts(answers) > 0.5).tolist():
            reasons.setdefault(row, f"its answer is in a script that {encoder_id} can't read: {remedy}")
    return reasons


def other_scripts(texts: pa.Array) -> np.ndarray:
    """(n,) float32 share of letters beyond Latin script, by the first bytes of UTF-8; 0 without letters.

    Marks, punctuation, symbols and emoji are no letters. texts: (n,) large_string
    """
    from univar.encoder.tokenizer import text_buffers

    offsets, data = text_buffers(texts)
    folded = data | 0x20
    latin = (data < 0x80) & (folded >= 0x61) & (folded <= 0x7A)
    latin |= (data >= 0xC3) & (data <= 0xC9)  # U+00C0 to U+027F
    following = np.append(data[1:], np.uint8(0))
    symbols = (data == 0xE2) | ((data == 0xE1) & (following >= 0xB8) & (following <= 0xBB))
    symbols |= (data == 0xEF) | (data == 0xF0) & (following >= 0x9F)  # full-width forms, emoji
    symbols |= (data == 0xE3) & (following == 0x80)  # CJK punctuation
    other = (data >= 0xCD) & (data < 0xF8) & ~symbols
    counts = [np.concatenate([[0], np.cumsum(kind)])[offsets] for kind in (latin, other)]
    n_latin, n_other = (np.diff(count) for count in counts)
    return (n_other / np.maximum(n_latin + n_other, 1)).astype(np.float32)
