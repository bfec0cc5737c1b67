"""Batches as OpenAI's batch API has them: files of requests to hand in, files of results to take back.

A request that was exported waits for its result and is not asked otherwise, until it comes back or is
released.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from univar.answers.inputs import split_lines
from univar.elicit.apis import chat_body, read_chat, usable
from univar.elicit.asks import Ask, AskFailed, Outcome, Reply
from univar.elicit.models import Model
from univar.elicit.state import BATCHED, Source, State
from univar.errors import DataError, UsageError
from univar.files import make_folder, new_file

MAX_REQUESTS = 50_000
MAX_BYTES = 190 << 20
"""Of one file: what the API takes, with room to spare."""

_PREFIX = "univar-"


@dataclass
class ImportReport:
    """Results taken in. unknown: lines of other batches, of requests that were answered before, or no
    results.
    """

    answered: int = 0
    failed: int = 0
    unknown: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def export_batches(state: State, sources: list[Source], folder: str | os.PathLike[str]) -> list[Path]:
    """Write what is pending for OpenAI-style models into files below `folder`, and note that it is handed
    out.

    Returns the files, named by model and number. Raises UsageError for a model of another api.
    """
    by_model: dict[Model, list[Source]] = {}
    for source in sources:
        by_model.setdefault(source.model, []).append(source)
    other = next((model for model in by_model if model.api != "openai"), None)
    if other is not None:
        raise UsageError(f"model {other.name!r} has api = {other.api!r}: batches are for openai only")
    made: list[Path] = []
    make_folder(Path(folder))
    for number, (model, own) in enumerate(by_model.items(), start=1):
        first = 1 + sum(
            path.name.startswith(f"batch-{number}-") for path in Path(folder).glob("batch-*.jsonl")
        )
        for part, (asks, text) in enumerate(_parts(state.pending(own), model), start=first):
            path = Path(folder) / f"batch-{number}-{part:03}.jsonl"
            with new_file(path) as file:
                file.write(text)
            state.mark_batched(asks)
            made.append(path)
    return made


def _parts(asks: Iterable[Ask], model: Model) -> Iterator[tuple[list[int], bytes]]:
    """Requests, in portions that the API takes: their numbers and the lines."""
    numbers: list[int] = []
    lines = bytearray()
    for ask in list(asks):
        line = {
            "custom_id": f"{_PREFIX}{ask.id}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": chat_body(model, ask),
        }
        encoded = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        if numbers and (len(numbers) == MAX_REQUESTS or len(lines) + len(encoded) > MAX_BYTES):
            yield numbers, bytes(lines)
            numbers, lines = [], bytearray()
        numbers.append(ask.id)
        lines += encoded
    if numbers:
        yield numbers, bytes(lines)


def import_batches(
    state: State, sources: list[Source], files: Iterable[str | os.PathLike[str]]
) -> ImportReport:
    """Take results back: each exported request gets its answer or a reason; asking it again is then up to
    you.
    """
    report = ImportReport()
    waiting = {ask: source.model for source in sources for ask in state.ids(source, BATCHED)}
    for path in files:
        outcomes = []
        try:
            with open(path, "rb") as stream:
                for number, raw in enumerate(split_lines(stream), start=1):
                    line = _parsed(raw, f"{os.fspath(path)}:{number}")
                    ask = _number(line.get("custom_id")) if line else None
                    if line is None or ask is None or ask not in waiting:
                        report.unknown += bool(raw.strip())
                        continue
                    outcomes.append(_outcome(ask, waiting.pop(ask), line))
        except OSError as error:
            raise DataError(f"{os.fspath(path)}: cannot be read ({error.strerror})") from None
        state.record(outcomes)
        for outcome in outcomes:
            report.answered += not outcome.reason
            report.failed += bool(outcome.reason)
            if outcome.reason:
                report.reasons[outcome.reason] = report.reasons.get(outcome.reason, 0) + 1
    return report


def _parsed(raw: bytes, place: str) -> dict[str, Any] | None:
    if not raw.strip():
        return None
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        raise DataError(f"{place}: no JSON: is this the result file of a batch?") from None
    return line if isinstance(line, dict) else None


def _number(custom_id: Any) -> int | None:
    if not (isinstance(custom_id, str) and custom_id.startswith(_PREFIX)):
        return None
    digits = custom_id[len(_PREFIX) :]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _outcome(ask: int, model: Model, line: dict[str, Any]) -> Outcome:
    """What one result line says; what it costs by the model's prices."""
    reason, reply = "", Reply("", "")
    response = line.get("response") or {}
    status = response.get("status_code")
    if status != 200:
        reason = f"the batch gave {'no result' if status is None else f'HTTP {status}'}"
    else:
        try:
            reply = usable(read_chat(response["body"]))
        except AskFailed as error:
            reason, reply = error.reason, error.reply or reply
        except (KeyError, TypeError, IndexError, AttributeError):
            reason = "the result is no JSON of the api"
    tokens = (reply.prompt_tokens or 0, reply.completion_tokens or 0)
    answer = "" if reason else reply.answer
    return Outcome(ask, answer, reply.finish, reason, 1, *tokens, model.cost(*tokens))
