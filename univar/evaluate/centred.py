"""Embeddings and TF-IDF minus what other sources answered: `--centre`.

The panel of a row is the answers of other sources on the row's own side: to its question, in its language, or
to its question in its language; at least 3, else those to its proposition where `--cluster` names one, else
the row stays as it is and is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from univar.evaluate import protocol
from univar.evaluate.against import Encoded
from univar.evaluate.protocol import SIDES, EvalSettings
from univar.evaluate.report import CentredRows
from univar.statistics.centring import centre, centre_sparse

if TYPE_CHECKING:
    from univar.store import Store


def centred(
    encoders: list[Encoded], stores: tuple[Store, Store], settings: EvalSettings
) -> tuple[list[Encoded], dict[str, CentredRows] | None]:
    """The encoders with centred rows of length 1, and how many rows of each side were centred by what."""
    if settings.centre == "none":
        return encoders, None
    counts: dict[str, CentredRows] = {}
    out = []
    for encoder in encoders:
        sides: dict[str, Any] = {}
        for side, store in zip(SIDES, stores, strict=True):
            if side == SIDES[1] and stores[0] is stores[1]:
                sides[side] = sides[SIDES[0]]
                continue
            panels = _panels(store, np.arange(len(store)), settings)
            found = centre(encoder.matrix(side, np.arange(len(store))), *panels)
            length = np.linalg.norm(found.embeddings, axis=1, keepdims=True)
            sides[side] = found.embeddings / np.maximum(length, 1e-12)
            levels = np.bincount(found.level, minlength=3).tolist()
            counts[side] = CentredRows(levels[1], levels[2], levels[0])
        out.append(replace(encoder, sides=sides))
    return out, counts


def _panels(
    store: Store, rows: np.ndarray, settings: EvalSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Codes (n,) of sources, of what rows are centred by, and of propositions or None."""
    sources = store.codes("source")[0][rows].astype(np.int64)
    language = store.codes("language")[0][rows].astype(np.int64)
    question = store.codes("question_id")[0][rows].astype(np.int64)
    both = question * (int(language.max(initial=0)) + 1) + language
    groups = {"question": question, "language": language, "language-question": both}[settings.centre]
    if settings.cluster is None or settings.centre == "language":
        return sources, groups, None
    names = protocol.clusters(store, rows, settings.cluster)
    return sources, groups, np.unique(names, return_inverse=True)[1].astype(np.int64)


def sparse_centring(store: Store, rows: np.ndarray, settings: EvalSettings) -> Callable[[Any], Any] | None:
    """What centres sparse features (n, F) of some rows in the same way; None where nothing is centred.

    By language alone words are not centred: a language's words are its own, and no mean of them is sparse.
    """
    if settings.centre in ("none", "language"):
        return None
    panels = _panels(store, rows, settings)
    return lambda x: centre_sparse(x, *panels)
