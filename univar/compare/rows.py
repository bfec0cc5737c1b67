"""Answers of one or more stores as what a comparison needs: who, which proposition, which prompt, a vector.

A *source* is whatever is compared: a model, a language, both, or any columns. A *prompt* is what two sources
must share for their answers to be paired: the question and its wording, and the model or the language where
that is not what is compared. A *cluster* is the proposition: all wordings and languages of one count once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from univar.compare.columns import column_codes, joined, question_codes, rest_codes
from univar.errors import DataError, UsageError

if TYPE_CHECKING:
    from univar.compare.releases import Releases
    from univar.store import Store

MIN_SHARED = 2
"""Propositions that two sources must share for a distance."""


@dataclass(frozen=True)
class Rows:
    """N answers.

    embeddings: (N, D) float32
    sources, clusters, prompts: names; source, cluster, prompt: (N,) int64, the code of each row
    wording:    (N,) int64, which wording of its proposition; rest: (N,) int64, model or language beside it
    text:       (N,) int64, code of the question's text
    notes:      what a reader has to know of how the rows were taken
    """

    embeddings: np.ndarray
    sources: list[str]
    source: np.ndarray
    clusters: list[str]
    cluster: np.ndarray
    prompts: list[str]
    prompt: np.ndarray
    wording: np.ndarray
    rest: np.ndarray
    text: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)


def part_of(store: Store, part: str | None) -> tuple[np.ndarray, str | None]:
    """((N, D) float32 embeddings of a part, None or a sentence on the part that was taken instead).

    part: "values", "source" or another of the store's parts; None: the whole vector
    """
    opened: Any = store
    parts = dict(getattr(opened, "parts", {}) or {})
    note = None
    if part is None or not parts:
        found = np.asarray(store.embeddings, dtype=np.float32)
    elif part in parts:
        found = np.asarray(opened.embeddings_of_part(part), dtype=np.float32)
    elif len(parts) == 1:
        only = next(iter(parts))
        style = ": distances are of style more than of values" if only == "source" else ""
        note = f"{store.path} has no part {part!r}; its only part, {only!r}, is compared{style}"
        found = np.asarray(opened.embeddings_of_part(only), dtype=np.float32)
    else:
        raise UsageError(f"{store.path} has no part {part!r}: its parts are {', '.join(parts)}")
    broken = int((~np.isfinite(found).all(axis=1)).sum())
    if broken:
        raise DataError(
            f"{store.path}: {broken:,} embeddings hold NaN or infinity; embed these answers again"
        )
    return found, note


def _part(store: Store | Releases, part: str | None) -> tuple[np.ndarray, str | None]:
    own = getattr(store, "part", None)
    return part_of(cast("Store", store), part) if own is None else own(part)


def rows_of(
    store: Store | Releases,
    by: Sequence[str],
    *,
    cluster: str | None = None,
    part: str | None = "values",
    beside: Sequence[str] = ("model", "language"),
) -> Rows:
    """The answers of a store, grouped `by` columns.

    by:      columns that make a source, e.g. ("model",) or ("model", "language"); "source" is both
    cluster: COLUMN or COLUMN:K, what counts once; None: the question
    beside:  columns that two answers must share to be paired, those of `by` apart
    Raises UsageError for unknown columns, DataError for an empty store or vectors that are not finite.
    """
    if not len(store):
        raise DataError(f"{store.path} holds no answers")
    embeddings, note = _part(store, part)
    columns = [name.replace("-", "_") for given in by for name in _expanded(given)]
    source, sources = joined([column_codes(store, column) for column in columns])
    clusters = column_codes(store, cluster) if cluster else question_codes(store)
    others = [column_codes(store, name) for name in beside if name not in columns]
    wordings = _wordings(store, cluster)
    by_column = [column_codes(store, "wording")] if "wording" in store.columns else []
    asked = [question_codes(store), *by_column, *others]
    prompt, prompts = joined(asked, " · ")
    n = len(store)
    return Rows(
        embeddings,
        sources,
        source,
        clusters[1],
        clusters[0],
        prompts,
        prompt,
        wordings[0] if wordings else np.zeros(n, np.int64),
        joined(others)[0] if others else np.zeros(n, np.int64),
        store.codes("question")[0].astype(np.int64),
        (note,) if note else (),
    )


def _expanded(name: str) -> tuple[str, ...]:
    return ("model", "language") if name == "source" else (name,)


def _wordings(store: Store | Releases, cluster: str | None) -> tuple[np.ndarray, list[str]] | None:
    """Codes of the wording of each row's proposition; None where nothing names one."""
    parts = []
    if "wording" in store.columns:
        parts.append(column_codes(store, "wording"))
    if cluster and ":" in cluster:
        parts.append(rest_codes(store, cluster))
    elif cluster:
        parts.append(question_codes(store))
    return joined(parts) if parts else None
