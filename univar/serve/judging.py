"""`POST /v1/attribute` and `POST /v1/compare`: what `univar attribute` and `univar same` say, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from univar.errors import UnivarError
from univar.serve.embeddings import Text
from univar.serve.replies import Refusal

if TYPE_CHECKING:
    from univar.answers.rows import RowBatch
    from univar.encoder.encoder import Encoder
    from univar.serve.work import Embedded
    from univar.store import Store

_SIDE_COLUMNS = ("question_id", "question")


class Answer(BaseModel):
    """An answer, and what it answers."""

    model_config = ConfigDict(extra="forbid")

    answer: Text
    question: StrictStr = Field("", description="Makes the result better.")
    question_id: StrictStr = Field("", description="Default: made from the question's text.")
    id: StrictStr = Field("", description="Comes back in the result.")


Answers = Annotated[list[Answer], Field(min_length=1)]


class AttributeRequest(BaseModel):
    """Answers of unknown origin."""

    model_config = ConfigDict(extra="forbid")

    answers: Answers
    bag: StrictBool = Field(False, description="One verdict for all answers: they come from one source.")


class AttributeReply(BaseModel):
    """A verdict for each answer, or one for the bag: the objects that `univar attribute --json` prints."""

    results: list[dict[str, Any]]
    places: list[list[float]] = Field(description="x and y of each answer on the map of /v1/map.")
    truncated: list[int] = Field(description="Indices of answers that were not read to their end.")


class MapReply(BaseModel):
    """Answers of the store on its first two principal axes."""

    shares: list[float] = Field(description="Share of the variance on each axis.")
    rows: int = Field(description="Answers in the store.")
    sources: list[dict[str, str]]
    points: list[list[float]] = Field(description="x, y and the number of its source, of at most 2,000 rows.")


class CompareRequest(BaseModel):
    """Two sets of answers to the same questions, each from one source."""

    model_config = ConfigDict(extra="forbid")

    a: Answers
    b: Answers
    part: StrictStr | None = Field(
        None, description="Part of the embeddings to test on; default: all of them."
    )


class CompareReply(BaseModel):
    """Whether both come from one source: what `univar same --json` prints."""

    verdict: Literal["different", "no difference found", "cannot tell"]
    test: Literal["paired", "unpaired"]
    rows: list[int]
    questions: int
    propositions: int
    d2: float | None
    d2_low: float | None
    d2_high: float | None
    p: float | None
    smallest_p: float
    floor: float | None


class Ready:
    """Stands for the encoder where its embeddings are there already: gives them out in their order.

    vectors: (n, dim) float32
    """

    def __init__(self, encoder: Encoder, vectors: np.ndarray) -> None:
        self.info, self.parts = encoder.info, encoder.parts
        self._vectors, self._next = vectors, 0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The next len(texts) rows."""
        self._next += len(texts)
        return self._vectors[self._next - len(texts) : self._next]

    def encode_qa(self, questions: Any, answers: Any, **read: Any) -> np.ndarray:
        """The next len(answers) rows."""
        return self.encode(answers)


def batch_of(answers: Sequence[Answer]) -> RowBatch:
    """The answers as a JSONL file's rows. Raises Refusal for one that a file could not hold."""
    from univar.answers.rows import RawBatch, normalize

    columns = {name: [getattr(one, name) for one in answers] for name in Answer.model_fields}
    rejected: list[Any] = []
    raw = RawBatch(list(range(1, len(answers) + 1)), columns)
    batch = normalize(raw, "request", ("answer",), rejected.append)
    if rejected or batch is None:
        first = rejected[0]
        raise Refusal(400, f"answers.{first.row - 1}: {first.reason}", param="answers")
    return batch


def missing_head(store: Store) -> str | None:
    """Why the store cannot attribute, and the command that helps; None where it can."""
    from univar.search.index import has_sources

    if has_sources(store.path):
        return None
    return f"{store.path} has no source heads: fit them with `univar index {store.path}`"


def attribute(store: Store, encoder: Encoder, batch: RowBatch, embedded: Embedded, bag: bool) -> list[Any]:
    """What `univar attribute --json` prints of the answers, one object each or one for all."""
    from univar.search import attribute_answers

    ready: Any = Ready(encoder, embedded.vectors)
    found = attribute_answers(
        store, [batch], encoder=ready, bag="all" if bag else None, on_rejected=lambda row: None
    )
    try:
        return list(found)
    except UnivarError as error:  # the answers are fine: it is the store
        raise Refusal(409, str(error)) from None


def compare(
    encoder: Encoder, batches: tuple[RowBatch, RowBatch], embedded: Embedded, part: str | None
) -> dict[str, Any]:
    """What `univar same --json` prints of two sets of answers, which were embedded one after the other."""
    from univar.search.same import same_source
    from univar.search.sides import part_of, side_of

    vectors = part_of(embedded.vectors, encoder.parts, part)
    ends = np.cumsum([batch.table.num_rows for batch in batches])
    sides = [
        side_of(own, {name: batch.table.column(name).to_pylist() for name in _SIDE_COLUMNS}, _SIDE_COLUMNS[0])
        for batch, own in zip(batches, np.split(vectors, ends[:-1]), strict=True)
    ]
    return same_source(*sides).facts()
