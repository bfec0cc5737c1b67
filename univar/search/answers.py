"""Answers of unknown origin: embedded as the store was, attributed at all levels from one search."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from univar import schema
from univar.errors import DataError, UsageError
from univar.search.index import Index
from univar.search.vote import neighbour_labels, ranked, votes

if TYPE_CHECKING:
    from univar.encoder.encoder import Encoder
    from univar.store import Store

LEVELS = {"source": "sources", "model": "models", "language": "languages"}
"""Column to the name of its ranking in the result; another column keeps its name."""


def attribute_answers(
    store: Store,
    inputs: str | Sequence[str],
    *,
    k: int = 50,
    by: str = "source",
    top: int = 5,
    evidence: int = 3,
    on_rejected: Callable[[Any], Any],
    format: str | None = None,
    rename: dict[str, str] | None = None,
    encoder: Encoder | str | None = None,
) -> Iterator[dict[str, Any]]:
    """Say for each answer which sources, models and languages its k nearest rows speak for.

    inputs:   files or "-"; `answer` is required, `question` and `id` are used where present
    by:       a column to rank beside source, model and language
    top:      labels to name at each level; evidence: nearest rows to show
    encoder:  the store's, or where it is; found by its id if not given
    Yields one dict per answer: row, id, sources [{label, model, language, share}], models and languages
    [{label, share}], evidence [{row, score, model, language, question, answer}], and the column `by` if it is
    another one. Rejected rows go to on_rejected as in `read_rows`.
    """
    from univar.answers import read_rows

    batches = read_rows(inputs, required=("answer",), on_rejected=on_rejected, format=format, rename=rename)
    witnesses = Attributor(Index.open(store), k, list(dict.fromkeys([*LEVELS, by])))
    if encoder is None or isinstance(encoder, str):
        encoder = store_encoder(store, encoder)
    else:
        check_encoder(store, encoder)
    for batch in batches:
        questions, answers = batch.table.column("question"), batch.table.column("answer")
        texts = schema.qa_texts(questions.combine_chunks(), answers.combine_chunks())
        found = witnesses.ask(encoder.encode(texts.to_pylist()), top, evidence)
        ids = batch.table.column("id").to_pylist()
        for row, own_id, facts in zip(batch.rows.tolist(), ids, found, strict=True):
            yield {"row": row, "id": own_id, **facts}


def store_encoder(store: Store, spec: str | None = None) -> Encoder:
    """The encoder that made the store, found by its id or at `spec`.

    Raises DataError for any other encoder: embeddings of two cannot be compared. UsageError if there is none.
    """
    from univar.encoder.encoder import Encoder

    made_by = store.encoder
    options = {"max_length": made_by["max_length"], "truncate_dim": made_by["dim"]}
    try:
        encoder = Encoder(spec or made_by["id"], **options)
    except UsageError as error:
        if spec is not None:
            raise
        raise UsageError(
            f"{error}; {store.path} needs the encoder {made_by['id']}: name its folder"
        ) from error
    check_encoder(store, encoder)
    return encoder


def check_encoder(store: Store, encoder: Encoder) -> None:
    """Raise DataError unless the encoder is the one that made the store."""
    from univar.store import encoder_differences

    for name, ours, theirs in encoder_differences(encoder.info, store.encoder):
        raise DataError(
            f"{store.path} was embedded with {store.encoder['id']} of {name} {theirs!r}, but here its "
            f"{name} is {ours!r}; install the store's encoder, or make a new store with this one"
        )


class Attributor:
    """The neighbours of answers and what they speak for, at several levels from one search."""

    def __init__(self, index: Index, k: int, levels: Sequence[str] = tuple(LEVELS)) -> None:
        self._index, self._store, self._k = index, index.store, k
        self._codes = {level: self._store.codes(level) for level in levels}
        self._parts = self._parts_of_sources()

    def ask(self, embeddings: np.ndarray, top: int, evidence: int) -> list[dict[str, Any]]:
        """One dict per row of embeddings (Q, D) float32, as `attribute_answers` describes it."""
        scores, indices = self._index.search(embeddings, self._k)
        columns = {
            LEVELS.get(level, level): self._ranks(level, scores, indices, top) for level in self._codes
        }
        columns["evidence"] = self._evidence(scores[:, :evidence], indices[:, :evidence])
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def _ranks(
        self, level: str, scores: np.ndarray, indices: np.ndarray, top: int
    ) -> list[list[dict[str, Any]]]:
        """The best `top` labels of each query that got a vote."""
        codes, labels = self._codes[level]
        shares, strength = votes(scores, neighbour_labels(codes, indices), len(labels))
        best = ranked(strength)[:, :top]
        parts = self._parts if level == "source" else [{}] * len(labels)
        return [
            [
                {"label": labels[label], **parts[label], "share": round(float(shares[query, label]), 6)}
                for label in best[query].tolist()
                if strength[query, label] > 0
            ]
            for query in range(len(best))
        ]

    def _evidence(self, scores: np.ndarray, indices: np.ndarray) -> list[list[dict[str, Any]]]:
        """The nearest rows of each query, with their texts."""
        rows, place = np.unique(indices[indices >= 0], return_inverse=True)
        columns = [self._store.text(name, rows) for name in ("model", "language", "question", "answer")]
        facts = [
            {"row": row, "model": model, "language": language, "question": question, "answer": answer}
            for row, model, language, question, answer in zip(rows.tolist(), *columns, strict=True)
        ]
        found: list[list[dict[str, Any]]] = [[] for _ in range(len(indices))]
        queries, near = np.nonzero(indices >= 0)
        for query, score, number in zip(queries.tolist(), scores[queries, near].tolist(), place, strict=True):
            row, *rest = facts[number].items()
            found[query].append(dict([row, ("score", round(score, 6)), *rest]))
        return found

    def _parts_of_sources(self) -> list[dict[str, str]]:
        """Model and language of each source."""
        if "source" not in self._codes:
            return []
        codes, labels = self._codes["source"]
        first = np.full(len(labels), -1, dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        models, languages = self._store.text("model", first), self._store.text("language", first)
        return [{"model": m, "language": g} for m, g in zip(models, languages, strict=True)]
