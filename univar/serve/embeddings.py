"""`POST /v1/embeddings`, as OpenAI's clients speak it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from univar.encoder.encoder import unit_rows
from univar.serve.replies import Rejection
from univar.serve.texts import is_readable, readable_pattern

if TYPE_CHECKING:
    from univar.serve.work import Embedded


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("text", "a text has to be a string, or a list of strings")
    if not is_readable(value):
        raise PydanticCustomError("text", "a text is empty: it has nothing to read")
    return value


def _texts(value: Any) -> Any:
    """A list of texts, from one as well; OpenAI's API also takes token numbers, of another tokenizer."""
    tokens = value[0] if isinstance(value, list) and value and isinstance(value[0], list) else value
    if isinstance(tokens, list) and tokens and isinstance(tokens[0], int):
        raise PydanticCustomError(
            "tokens", "token numbers are not taken: send texts, this encoder has a tokenizer of its own"
        )
    return [value] if isinstance(value, str) else value


Text = Annotated[StrictStr, BeforeValidator(_text)]


class EmbeddingsRequest(BaseModel):
    """What is to be embedded."""

    model_config = ConfigDict(extra="forbid")

    input: Annotated[list[Text], Field(min_length=1), BeforeValidator(_texts)]
    model: StrictStr | None = Field(
        None, description="`<encoder>:<part>` chooses a part; any other name gets all parts side by side."
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="float: numbers; base64: little-endian float32."
    )
    dimensions: StrictInt | None = Field(None, description="Only as many as the answer has anyway.")
    user: StrictStr | None = Field(None, description="Ignored.")


class Embedding(BaseModel):
    """One embedding."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that the encoder read, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsReply(BaseModel):
    """The embeddings in the order of the texts, each of length 1."""

    object: Literal["list"]
    model: str = Field(description="What answered: the encoder, or the encoder and one part.")
    data: list[Embedding]
    usage: Usage
    truncated: list[int] = Field(description="Indices of texts that were not read to their end.")


def request_schema(max_texts: int) -> dict[str, Any]:
    """JSON schema of a request to a server that takes `max_texts` texts at once."""
    schema = EmbeddingsRequest.model_json_schema()
    text = {"type": "string", "pattern": readable_pattern(), "minLength": 1}
    schema["properties"]["input"] = {
        "anyOf": [text, {"type": "array", "items": text, "minItems": 1}],
        "description": f"A text or up to {max_texts}. Each is read whole, as an answer without a question.",
    }
    del schema["properties"]["dimensions"]
    return schema


def chosen_part(model: str | None, served_name: str, parts: dict[str, slice]) -> str | None:
    """The part that `model` names; None for all. Raises Rejection for a part that the encoder lacks."""
    name, colon, part = (model or "").rpartition(":")
    if not colon or name != served_name:
        return None
    if part not in parts:
        raise Rejection(
            404, f"{served_name} has no part {part!r}: choose from {', '.join(parts)}", param="model"
        )
    return part


def vectors_of(embedded: Embedded, columns: slice | None) -> np.ndarray:
    """(n, D) float32: all parts side by side, or the columns of one, rows of length 1."""
    return embedded.vectors if columns is None else unit_rows(embedded.vectors[:, columns])


def reply(embedded: Embedded, vectors: np.ndarray, model: str, encoding_format: str | None) -> dict[str, Any]:
    """The reply's JSON; vectors: (n, D) float32."""
    rows: list[Any] = list(vectors)
    if encoding_format == "base64":
        rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    return {
        "object": "list",
        "model": model,
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
        "truncated": embedded.cut,
    }
