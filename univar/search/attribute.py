"""Where an answer most likely came from, by the votes of its nearest rows: each row votes for its label.

Labels are ranked by their share of the votes; equal shares by the summed similarity of the label's
neighbours; then by the order of the labels. `Attributor` ranks at several levels from one search,
`attribute_answers` embeds answers first, with the encoder that made the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from univar import schema
from univar.errors import DataError, UsageError
from univar.search.index import Index

if TYPE_CHECKING:
    from univar.answers.inputs import Reading
    from univar.encoder.encoder import Encoder
    from univar.store import Store

LEVELS = {"source": "sources", "model": "models", "language": "languages"}
"""Column -> the name of its ranking in a result; any other column keeps its name."""

NO_LABEL = -1


@dataclass(frozen=True)
class Attribution:
    """The labels that the neighbours of each query vote for.

    labels:  L names
    shares:  (Q, L) float32, votes of the label / neighbours found; rows sum to 1 (to 0 where none was found)
    ranking: (Q, L) int64, labels from best to worst
    scores:  (Q, k) float32 and indices (Q, k) int64, the neighbours, as `Index.search` returns them
    probabilities: (Q, L) float64, calibrated, by which labels are then ranked; None without texts or heads
    """

    labels: list[str]
    shares: np.ndarray
    ranking: np.ndarray
    scores: np.ndarray
    indices: np.ndarray
    probabilities: np.ndarray | None = None


def attribute(
    index: Index,
    embeddings: np.ndarray,
    k: int = 50,
    by: str = "source",
    *,
    questions: Sequence[str] | None = None,
    answers: Sequence[str] | None = None,
) -> Attribution:
    """Rank the labels that each embedding most likely has.

    With the answers' texts, and source heads in the store's index, by calibrated probabilities; else by the
    votes of the k nearest rows.

    embeddings: (Q, D) float32
    by:         "source" (model and language), "model", "language" or another column of the store
    questions, answers: Q texts each; a question that the index holds is compared among its answers
    Raises DataError for embeddings of another dimension, UsageError for a column that the store lacks.
    """
    codes, labels = index.store.codes(by)
    scores, indices = index.search(embeddings, k)
    shares, strength = votes(scores, neighbour_labels(codes, indices), len(labels))
    p = None
    if answers is not None and by in LEVELS:
        asked = [""] * len(answers) if questions is None else questions
        p = _probabilities(index.store, embeddings, asked, answers, by, labels)
    return Attribution(labels, shares, ranked(strength if p is None else p), scores, indices, p)


def _probabilities(
    store: Store,
    embeddings: np.ndarray,
    questions: Sequence[str],
    answers: Sequence[str],
    by: str,
    labels: list[str],
) -> np.ndarray | None:
    """(Q, L) float64 by the source heads of the store's index; None where it has none."""
    from univar.search.source_files import load

    model = load(store)
    if model is None:
        return None
    if not len(answers) == len(questions) == len(embeddings):
        raise UsageError(
            f"{len(embeddings)} embeddings, {len(questions)} questions, {len(answers)} answers: give one each"
        )
    unknown = [""] * len(answers)
    p = np.exp(model.log_p(model.queries(embeddings, answers, questions, unknown, unknown)))
    if by == "source":
        return p
    place = {label: n for n, label in enumerate(labels)}
    out = np.zeros((len(p), len(labels)))
    for source, label in enumerate(model.labels):
        out[:, place[label[by]]] += p[:, source]
    return out


def attribute_answers(
    store: Store,
    inputs: str | Sequence[Any],
    *,
    k: int = 50,
    by: str = "source",
    top: int = 5,
    evidence: int = 3,
    on_rejected: Callable[[Any], Any],
    reading: Reading | None = None,
    encoder: Encoder | str | None = None,
    bag: str | None = None,
    with_columns: bool = False,
    on_note: Callable[[str], object] = lambda note: None,
) -> Iterator[dict[str, Any]]:
    """Rank the sources, models and languages that each answer most likely came from.

    Where the store's index has source heads, and `by` is one of LEVELS, the heads judge
    (`univar.search.verdicts`); else the neighbours vote, which is told.

    inputs:   files or "-", or a list of `RowBatch`; `answer` is required, `question`, `question_id`,
              `language` and `id` are used if present
    k:        number of neighbours that vote
    by:       a column to rank in addition to source, model and language
    top:      number of labels in each ranking; evidence: number of nearest rows to return
    encoder:  the store's, or where it is; default: found by its id
    bag:      a column that names the bags, or "all": one verdict a bag, by heads only
    with_columns: keep the columns of the input in `columns`
    Yields one dict per answer: row, id, sources [{label, model, language, share}], models and languages
    [{label, share}], evidence [{row, score, model, language, question, answer}], and the column `by` if it is
    another one. Rejected rows go to on_rejected as in `read_rows`.
    """
    from univar.answers import read_rows

    batches: Any = inputs
    if isinstance(inputs, str) or all(isinstance(one, str) for one in inputs):
        batches = read_rows(inputs, required=("answer",), on_rejected=on_rejected, reading=reading)
    model = _heads(store, by, bag, on_note)
    attributor = None if model else Attributor(Index.open(store), k, list(dict.fromkeys([*LEVELS, by])))
    if encoder is None or isinstance(encoder, str):
        encoder = store_encoder(store, encoder)
    else:
        check_encoder(store, encoder)
    if model:
        from univar.search.verdicts import judge_answers

        yield from judge_answers(
            store, model, batches, encoder, top=top, evidence=evidence, bag=bag, with_columns=with_columns
        )
        return
    assert attributor is not None
    for batch in batches:
        questions, answers = (batch.table.column(c).combine_chunks() for c in ("question", "answer"))
        found = attributor.attribute(embedded(store, encoder, questions, answers), top, evidence)
        ids = batch.table.column("id").to_pylist()
        columns = batch.table.to_pylist() if with_columns else []
        for n, (row, own_id, facts) in enumerate(zip(batch.rows.tolist(), ids, found, strict=True)):
            yield {"row": row, "id": own_id, **facts, **({"columns": columns[n]} if with_columns else {})}


def _heads(store: Store, by: str, bag: str | None, on_note: Callable[[str], object]) -> Any:
    """The index's source heads, None where neighbours are to vote. UsageError for a bag without heads."""
    from univar.search.index import has_sources

    if by in LEVELS and has_sources(store.path):
        from univar.search.source_files import load

        return load(store)
    missing = f"{store.path} has no source heads: fit them with `univar index {store.path}`"
    if bag is not None:
        why = missing if by in LEVELS else f"heads know sources, models and languages, not {by}"
        raise UsageError(f"bags need source heads: {why}")
    if by in LEVELS:
        on_note(f"{missing}; until then the shares are votes of neighbours, not probabilities")
    return None


def embedded(store: Store, encoder: Encoder, questions: Any, answers: Any) -> np.ndarray:
    """(n, D) float32 of answers, read as the store's were."""
    if store.text_format == schema.TEXT_FORMAT:
        return encoder.encode(schema.qa_texts(questions, answers).to_pylist())
    from univar.encoder.reading import ReadOptions

    return encoder.encode_qa(questions, answers, read=ReadOptions.from_text_format(store.text_format))


def shipped_encoder(store: Store) -> str:
    """The id of the encoder that made the store, if univar ships it; UsageError asks for any other one.

    A store may be a stranger's: a folder or a hub id that it names is loaded only if the user names it too.
    """
    from univar.encoder.spec import COMPOSITES, PACKAGED

    named = str(store.encoder["id"])
    if named not in {*PACKAGED, *COMPOSITES}:
        raise UsageError(
            f"{store.path} needs the encoder {named}, which univar does not ship: "
            "give its folder or hub id with -e (--encoder)"
        )
    return named


def store_encoder(store: Store, spec: str | None = None, **running: Any) -> Encoder:
    """The encoder that made the store, found by its id or at `spec`.

    running: how it runs: dtype, device and threads, as in `Encoder`

    A store may be a stranger's: what it names is loaded only if univar ships it; a folder or a hub id must be
    named by the user. Raises DataError for any other encoder: embeddings of two encoders cannot be compared.
    UsageError if it is not found, or to be named.
    """
    from univar.encoder.encoder import Encoder

    made_by = store.encoder
    if spec is None:
        shipped_encoder(store)
    options = {"max_length": made_by["max_length"], "truncate_dim": made_by["dim"], **running}
    try:
        encoder = Encoder(spec or made_by["id"], **options)
    except UsageError as error:
        if spec is not None:
            raise
        raise UsageError(
            f"{error}; {store.path} needs the encoder {made_by['id']}: give its folder with --encoder"
        ) from error
    check_encoder(store, encoder)
    return encoder


def check_encoder(store: Store, encoder: Encoder) -> None:
    """Raise DataError unless the encoder is the one that made the store."""
    from univar.store import encoder_differences

    for name, ours, theirs in encoder_differences(encoder.info, store.encoder):
        raise DataError(
            f"{store.path} was embedded with {store.encoder['id']}, whose {name} was {theirs!r}, but this "
            f"encoder's is {ours!r}: use the store's encoder, or embed the answers into a new store"
        )


class Attributor:
    """Ranks the labels of an index's store at several levels, with the nearest rows, from one search."""

    def __init__(self, index: Index, k: int, levels: Sequence[str] = tuple(LEVELS)) -> None:
        self._index, self._store, self._k = index, index.store, k
        self._codes = {level: self._store.codes(level) for level in levels}
        self._source_columns = self._columns_of_sources()

    def attribute(self, embeddings: np.ndarray, top: int, evidence: int) -> list[dict[str, Any]]:
        """One dict per row of embeddings (Q, D) float32, as `attribute_answers` describes it."""
        scores, indices = self._index.search(embeddings, self._k)
        columns = {
            LEVELS.get(level, level): self._rankings(level, scores, indices, top) for level in self._codes
        }
        columns["evidence"] = evidence_of(self._store, scores[:, :evidence], indices[:, :evidence])
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def _rankings(
        self, level: str, scores: np.ndarray, indices: np.ndarray, top: int
    ) -> list[list[dict[str, Any]]]:
        """For each query the best `top` labels that got a vote."""
        codes, labels = self._codes[level]
        shares, strength = votes(scores, neighbour_labels(codes, indices), len(labels))
        best = ranked(strength)[:, :top]
        columns = self._source_columns if level == "source" else [{}] * len(labels)
        return [
            [
                {"label": labels[label], **columns[label], "share": round(float(shares[query, label]), 6)}
                for label in best[query].tolist()
                if strength[query, label] > 0
            ]
            for query in range(len(best))
        ]

    def _columns_of_sources(self) -> list[dict[str, str]]:
        """Model and language of each source."""
        if "source" not in self._codes:
            return []
        codes, labels = self._codes["source"]
        first = np.full(len(labels), -1, dtype=np.int64)
        first[codes[::-1]] = np.arange(len(codes))[::-1]
        models, languages = self._store.text("model", first), self._store.text("language", first)
        return [{"model": m, "language": g} for m, g in zip(models, languages, strict=True)]


def evidence_of(store: Store, scores: np.ndarray, indices: np.ndarray) -> list[list[dict[str, Any]]]:
    """The nearest rows of each query, with their texts. scores, indices: (Q, k), -1 for none."""
    rows, place = np.unique(indices[indices >= 0], return_inverse=True)
    columns = [store.text(name, rows) for name in ("model", "language", "question", "answer")]
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


def neighbour_labels(codes: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Label of each neighbour, NO_LABEL where there is none.

    codes: (N,) int32; indices: (Q, k) int64; returns (Q, k) int64
    """
    if not len(codes):
        return np.full(indices.shape, NO_LABEL, dtype=np.int64)
    return np.where(indices < 0, NO_LABEL, codes[np.maximum(indices, 0)]).astype(np.int64)


def votes(scores: np.ndarray, labels: np.ndarray, n_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Count the votes of the neighbours.

    scores:  (Q, k) float32; labels: (Q, k) int64, NO_LABEL where no neighbour was found
    returns: shares (Q, L) float32, and strength (Q, L) float64 by which labels are ranked: higher is better,
             positive for labels with a vote, 0 for the others
    """
    n_queries = len(labels)
    found = labels != NO_LABEL
    query_of = np.nonzero(found)[0]
    cells = query_of * n_labels + labels[found]
    near = scores[found].astype(np.float64)
    counts = np.bincount(cells, minlength=n_queries * n_labels).reshape(n_queries, n_labels)
    similarity = np.bincount(cells, near, n_queries * n_labels).reshape(n_queries, n_labels)
    # worth more than any difference in similarity
    one_vote = 2.0 * np.bincount(query_of, np.abs(near), n_queries) + 1.0
    shares = counts / np.maximum(1, found.sum(axis=1, keepdims=True))
    return shares.astype(np.float32), counts * one_vote[:, None] + similarity


def ranked(strength: np.ndarray) -> np.ndarray:
    """Labels from best to worst, (Q, L) int64; equal strength in the order of labels. strength: (Q, L)."""
    return np.argsort(-strength, axis=1, kind="stable")
