"""`POST /v1/attribute` and `POST /v1/compare`: what `univar attribute` and `univar same` say, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from univar.errors import UnivarError
from univar.serve.embeddings import Text
from univar.serve.engine import PROBE
from univar.serve.replies import Rejection
from univar.serve.work import Embedded

if TYPE_CHECKING:
    from univar.answers.rows import RowBatch
    from univar.encoder.encoder import Encoder
    from univar.search.sources import SourceModel
    from univar.search.verdict import Judge
    from univar.store import Store

SOURCES, EVIDENCE = 5, 3
"""Sources and nearest rows of a verdict: the command's defaults."""

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
    """The answers as a JSONL file's rows. Raises Rejection for one that a file could not hold."""
    from univar.answers.rows import RawBatch, normalize

    columns = {name: [getattr(one, name) for one in answers] for name in Answer.model_fields}
    rejected: list[Any] = []
    raw = RawBatch(list(range(1, len(answers) + 1)), columns)
    batch = normalize(raw, "request", ("answer",), rejected.append)
    if rejected or batch is None:
        first = rejected[0]
        raise Rejection(400, f"answers.{first.row - 1}: {first.reason}", param="answers")
    return batch


class Verdicts:
    """Judges answers by the heads of a store's index, which are loaded once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: tuple[SourceModel, Judge] | None = None
        self._loading = threading.Lock()

    def missing(self) -> str | None:
        """Why the store cannot attribute, and the command that helps; None where it can."""
        from univar.search.index import has_sources

        path = self._store.path
        if self._loaded is not None or has_sources(path):
            return None
        return f"{path} has no source heads: fit them with `univar index {path}`"

    def load(self) -> tuple[SourceModel, Judge]:
        """Model and judge. Raises Rejection where there are none, or they are stale or broken."""
        from univar.search import Index, source_files
        from univar.search.verdict import Judge

        with self._loading:
            if self._loaded is None:
                try:
                    model = source_files.load(self._store)
                    if model is None:
                        raise Rejection(409, str(self.missing()))
                    nearest = Index.open(self._store).search
                except UnivarError as error:  # the answers are fine: it is the store
                    raise Rejection(409, str(error)) from None
                self._loaded = model, Judge(model, self._store, SOURCES, EVIDENCE, nearest)
        return self._loaded

    def attribute(self, encoder: Encoder, batch: RowBatch, embedded: Embedded, bag: bool) -> list[Any]:
        """What `univar attribute --json` prints of the answers: one object each, or one for all."""
        from univar.search.verdicts import EVERYTHING, judge_answers

        model, judge = self.load()
        ready: Any = Ready(encoder, embedded.vectors)
        name = EVERYTHING if bag else None
        options = {"top": SOURCES, "evidence": EVIDENCE, "bag": name, "judge": judge}
        return list(judge_answers(self._store, model, [batch], ready, **options))  # type: ignore[arg-type]

    def warm(self, encoder: Encoder) -> None:
        """Judge an answer, so that the first request finds everything loaded."""
        batch = batch_of([Answer.model_validate({"answer": PROBE})])
        vectors = np.zeros((1, encoder.dim), np.float32)
        vectors[0, 0] = 1
        nothing = np.zeros(1, np.int64)
        self.attribute(encoder, batch, Embedded(vectors, 0, nothing, nothing), bag=False)


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
