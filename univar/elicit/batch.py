"""OpenAI's batch API: files of requests to upload, files of results to import.

An exported request waits for its result and is not asked otherwise until it is imported or released.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from univar.answers.inputs import split_lines
from univar.elicit.endpoint import chat_body
from univar.elicit.failures import batch_failure
from univar.elicit.replies import read_reply, usable
from univar.elicit.requests import ModelEntry, Outcome, Reply, Request, RequestFailed, Respondent
from univar.elicit.state import BATCHED, State
from univar.errors import DataError, UsageError
from univar.files import make_folder, new_file

MAX_REQUESTS = 50_000
MAX_BYTES = 190 << 20
"""The most requests and bytes of one file; the API takes a little more."""

_PREFIX = "univar-"


@dataclass
class ImportReport:
    """Imported results. unknown: lines without a result, of other batches or of answered requests."""

    answered: int = 0
    failed: int = 0
    unknown: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


def export_batches(state: State, respondents: list[Respondent], folder: str | os.PathLike[str]) -> list[Path]:
    """Write the pending requests into files below `folder`, and mark them as exported.

    Returns the files, numbered by model and part. Raises UsageError for a model whose api is not openai.
    """
    by_model: dict[ModelEntry, list[Respondent]] = {}
    for respondent in respondents:
        by_model.setdefault(respondent.model, []).append(respondent)
    other = next((model for model in by_model if model.api != "openai"), None)
    if other is not None:
        raise UsageError(
            f"model {other.name!r} has api = {other.api!r}, but batches need openai: "
            "choose other models with --model"
        )
    made: list[Path] = []
    make_folder(Path(folder))
    for number, (model, own) in enumerate(by_model.items(), start=1):
        first = 1 + sum(
            path.name.startswith(f"batch-{number}-") for path in Path(folder).glob("batch-*.jsonl")
        )
        for part, (ids, text) in enumerate(_parts(state.pending(own), model), start=first):
            path = Path(folder) / f"batch-{number}-{part:03}.jsonl"
            with new_file(path) as file:
                file.write(text)
            state.mark_batched(ids)
            made.append(path)
    return made


def _parts(requests: Iterable[Request], model: ModelEntry) -> Iterator[tuple[list[int], bytes]]:
    """Parts that the API accepts: ids of their requests, and the lines of the file."""
    ids: list[int] = []
    lines = bytearray()
    for request in list(requests):
        line = {
            "custom_id": f"{_PREFIX}{request.id}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": chat_body(model, request),
        }
        encoded = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        if ids and (len(ids) == MAX_REQUESTS or len(lines) + len(encoded) > MAX_BYTES):
            yield ids, bytes(lines)
            ids, lines = [], bytearray()
        ids.append(request.id)
        lines += encoded
    if ids:
        yield ids, bytes(lines)


def import_batches(
    state: State, respondents: list[Respondent], files: Iterable[str | os.PathLike[str]]
) -> ImportReport:
    """Import results: each exported request gets its answer, or the reason why it failed."""
    report = ImportReport()
    waiting = {
        request: respondent.model for respondent in respondents for request in state.ids(respondent, BATCHED)
    }
    for path in files:
        outcomes = []
        try:
            with open(path, "rb") as stream:
                for number, raw in enumerate(split_lines(stream), start=1):
                    line = _parsed(raw, f"{os.fspath(path)}:{number}")
                    request = _request_id(line.get("custom_id")) if line else None
                    if line is None or request is None or request not in waiting:
                        report.unknown += bool(raw.strip())
                        continue
                    outcomes.append(_outcome(request, waiting.pop(request), line))
        except OSError as error:
            raise DataError(f"{os.fspath(path)} cannot be read ({error.strerror}): name a file") from None
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
        raise DataError(f"{place} is not JSON: name the result file of a batch") from None
    return line if isinstance(line, dict) else None


def _request_id(custom_id: Any) -> int | None:
    if not (isinstance(custom_id, str) and custom_id.startswith(_PREFIX)):
        return None
    digits = custom_id[len(_PREFIX) :]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def _outcome(request: int, model: ModelEntry, line: dict[str, Any]) -> Outcome:
    """The outcome in one result line, with its cost by the model's prices."""
    reason = batch_failure(line)
    reply = Reply("", "")
    if not reason:
        try:
            reply = usable(read_reply(line["response"].get("body")))
        except RequestFailed as error:
            reason, reply = error.reason, error.reply or reply
    tokens = (reply.prompt_tokens or 0, reply.completion_tokens or 0)
    kept = ("", "") if reason else (reply.answer, reply.reasoning)
    return Outcome(request, kept[0], reply.finish, reason, 1, *tokens, model.cost(*tokens), reasoning=kept[1])
