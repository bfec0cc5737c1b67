"""Answers collected by other tools, as answer rows.

alpaca-eval   model_outputs.json: a list of {instruction, output, generator, dataset}; annotations.json too
mt-bench      <model>.jsonl of answers {question_id, model_id, choices: [{turns}]}, beside its question.jsonl
inspect       inspect_ai logs, .json or .eval
lm-eval       samples_*.jsonl of lm-evaluation-harness; which does not name the model

Each choice, epoch and repeat of a sample is a row of its own. A model's reasoning goes to a column of that
name. What holds no answer (errors, null outputs,
log-likelihoods) is skipped with its reason, never without one.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.answers.reasoning import split_reasoning
from univar.errors import DataError, UsageError, did_you_mean
from univar.schema import SOURCE_CORPUS, normalize_language

MAX_BYTES = 1 << 30
"""Largest document that is read, unpacked: a larger one is a decompression bomb or not a log."""

_ZSTANDARD = 93
"""Zip's number of the method, which Python's zipfile does not know before 3.14."""

Row = dict[str, str]


@dataclass(frozen=True)
class Origin:
    """What the file itself does not say.

    model: "" where the file names it; questions: MT-bench's question.jsonl, None to look beside the answers.
    """

    language: str
    model: str = ""
    questions: Path | None = None


@dataclass(frozen=True)
class Skipped:
    """A part of the file that is no row: where it stands, and why, in a few words that repeat.

    is_loss: whether an answer is missing for it
    """

    place: str
    reason: str
    is_loss: bool = True


class _Fault(Exception):
    """Why a record is no row."""


class _SeenBefore(_Fault):
    """The record's answers are rows already."""


def import_rows(path: str, kind: str, origin: Origin) -> Iterator[Row | Skipped]:
    """The rows in another tool's file, and what in it is none.

    kind: one of IMPORTERS. Raises UsageError for an unknown kind or a missing model, DataError for a file
    that is not of that kind or holds no row at all; the message names the first fault.
    """
    if kind not in IMPORTERS:
        raise UsageError(
            f"unknown format {kind!r}{did_you_mean(kind, IMPORTERS)}: choose from {', '.join(IMPORTERS)}"
        )
    origin = Origin(normalize_language(origin.language), origin.model, origin.questions)
    first: Skipped | None = None
    any_row = False
    try:
        for found in IMPORTERS[kind](Path(path), origin):
            if isinstance(found, Skipped):
                first = first or found
            any_row |= not isinstance(found, Skipped)
            yield found
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    except _Fault as fault:
        raise DataError(f"{path}: {fault}") from None
    except (ValueError, RecursionError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} is damaged or not a {kind} file ({reason})") from None
    if not any_row:
        why = f"{first.place}: {first.reason}" if first else "it is empty"
        raise DataError(f"{path} holds no {kind} answers: {why}")


def _row(
    origin: Origin, model: str, question_id: str, question: str, answer: str, corpus: str, n: int
) -> Row:
    name = origin.model or model
    if not name:
        raise UsageError("the file names no model: give it with --model")
    split = split_reasoning(answer)
    if not split.complete:
        raise _Fault("the answer ends inside the model's reasoning")
    row = {
        "id": f"{question_id}/{name}/{origin.language}/{n}",
        "model": name,
        "language": origin.language,
        "question_id": question_id,
        "question": question,
        "answer": answer if split.answer == answer.strip() else split.answer,
        SOURCE_CORPUS: corpus,
    }
    return {**row, "reasoning": split.reasoning} if split.reasoning else row


def _each(
    records: Iterator[tuple[str, Any]], rows: Callable[[dict[str, Any]], Iterator[Row]]
) -> Iterator[Row | Skipped]:
    """The rows of each record; a record that has a fault is skipped with it, after the rows it gave."""
    for place, record in records:
        try:
            if not isinstance(record, dict):
                raise _Fault(f"is {_kind(record)}, not an object")
            yield from rows(record)
        except _Fault as fault:
            yield Skipped(place, str(fault), not isinstance(fault, _SeenBefore))


def _get(record: dict[str, Any], key: str) -> Any:
    if key not in record:
        raise _Fault(f"has no {key!r}; it has {', '.join(map(repr, list(record)[:8])) or 'nothing'}")
    return record[key]


def _answer(value: Any) -> str:
    """An answer's text. Raises _Fault for none, for what is no text, and for markers of failed requests."""
    if value is None:
        raise _Fault("the answer is null")
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        value = _parts(value)
    if not isinstance(value, str):
        raise _Fault(f"the answer is {_kind(value)}, not text")
    if value.strip() in _ERRORS:
        raise _Fault(f"the answer is the error marker {value.strip()!r}")
    return value


_ERRORS = ("$ERROR$", "[ERROR]", "<error>", "API_ERROR", "#ERROR#")


def _question(value: Any) -> str:
    """What was asked: a text, or the last user message of a chat, however it was logged."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]  # a named tuple of one text, as lm-evaluation-harness logs chats
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        value = value["messages"]
    if not isinstance(value, list):
        raise _Fault(f"the question is {_kind(value)}, not text")
    for message in reversed(value):
        if isinstance(message, dict) and message.get("role") in ("user", "human"):
            content = message.get("content")
            return _parts(content) if isinstance(content, list) else str(content or "")
    raise _Fault("the chat has no message of a user")


def _parts(content: list[Any]) -> str:
    """The text of a message's content given as parts of several kinds."""
    texts = [part if isinstance(part, str) else part.get("text") or "" for part in content if _is_text(part)]
    return "".join(texts)


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or (
        isinstance(part, dict) and part.get("type", "text") in ("text", "output_text")
    )


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def _alpaca_eval(path: Path, origin: Origin) -> Iterator[Row | Skipped]:
    entries = json.loads(_text(path))
    if not isinstance(entries, list):
        raise _Fault(f"is {_kind(entries)}, not a list of outputs: name model_outputs.json")
    places = ((f"entry {place}", entry) for place, entry in enumerate(entries, start=1))
    seen = Counter[str]()

    def rows(entry: dict[str, Any]) -> Iterator[Row]:
        question = _question(_get(entry, "instruction"))
        number = hashlib.blake2b(question.encode(), digest_size=6).hexdigest()
        corpus = str(entry.get("dataset") or "alpaca_eval")
        both = [("output_1", "generator_1"), ("output_2", "generator_2")] if "output_1" in entry else []
        for output, generator in both or [("output", "generator")]:
            answer, model = _answer(_get(entry, output)), str(entry.get(generator) or "")
            seen[f"{number} {model}"] += 1
            yield _row(
                origin,
                model,
                f"alpaca_eval:{number}",
                question,
                answer,
                corpus,
                seen[f"{number} {model}"] - 1,
            )

    yield from _each(places, rows)


def _mt_bench(path: Path, origin: Origin) -> Iterator[Row | Skipped]:
    """Each turn of each choice is a row; the question of the second turn does not repeat the first."""
    beside = [path.parent / "question.jsonl", path.parent.parent / "question.jsonl"]
    found = next((p for p in [origin.questions, *beside] if p is not None and p.exists()), None)
    if found is None:
        raise UsageError(f"the questions of {path} are not beside it: name question.jsonl with --questions")
    turns: dict[Any, list[Any]] = {}
    for place, entry in _lines(found):
        if not isinstance(entry, dict) or "question_id" not in entry:
            raise _Fault(f"{found.name}, {place} is no question")
        asked = entry.get("turns")
        turns[entry["question_id"]] = asked if isinstance(asked, list) else [entry.get("text")]

    def rows(entry: dict[str, Any]) -> Iterator[Row]:
        number, model = _get(entry, "question_id"), str(entry.get("model_id") or "")
        if number not in turns:
            raise _Fault(f"question {number!r} is not in {found.name}")
        choices = [{"turns": [entry["text"]]}] if "text" in entry else _get(entry, "choices")
        faults: list[_Fault] = []
        for n, choice in enumerate(choices if isinstance(choices, list) else []):
            for place, answer in enumerate(_get(choice, "turns")):
                if place >= len(turns[number]):
                    raise _Fault(f"question {number!r} has {len(turns[number])} turns, the answer more")
                question_id = f"mt_bench:{number}:{place + 1}"
                try:
                    text = _answer(answer)
                except _Fault as fault:
                    faults.append(fault)
                    continue
                yield _row(origin, model, question_id, _question(turns[number][place]), text, "mt_bench", n)
        if faults:
            raise faults[0]

    yield from _each(_lines(path), rows)


def _inspect(path: Path, origin: Origin) -> Iterator[Row | Skipped]:
    """Each choice of each sample is a row, and each epoch is a sample."""
    header, samples = _inspect_log(path)
    about = _get(header, "eval")
    task, model = str(_get(about, "task")), str(about.get("model") or "")
    seen = Counter[str]()

    def rows(sample: dict[str, Any]) -> Iterator[Row]:
        asked, question_id = _question(_get(sample, "input")), f"{task}:{_get(sample, 'id')}"
        error = sample.get("error") or (sample.get("output") or {}).get("error")
        if error:
            message = error.get("message") if isinstance(error, dict) else error
            raise _Fault(f"the sample failed: {' '.join(str(message).split())[:100]}")
        choices = (sample.get("output") or {}).get("choices")
        if not choices:
            raise _Fault("the sample has no output")
        for choice in choices:
            answer = _answer(_get(_get(choice, "message"), "content"))
            seen[question_id] += 1
            yield _row(origin, model, question_id, asked, answer, task, seen[question_id] - 1)

    yield from _each(samples, rows)


def _inspect_log(path: Path) -> tuple[dict[str, Any], Iterator[tuple[str, Any]]]:
    """The header of a log, and its samples with their places. Raises _Fault for a log without samples."""
    if path.suffix != ".eval":
        log = json.loads(_text(path))
        if not isinstance(log, dict) or "eval" not in log:
            raise _Fault(f"is {_kind(log)} without 'eval', not an inspect log")
        samples = log.get("samples")
        if not samples:
            raise _Fault(f"the log has no samples (status {log.get('status')})")
        return log, ((f"sample {place}", sample) for place, sample in enumerate(samples, start=1))
    archive = zipfile.ZipFile(path)
    names = archive.namelist()
    header = next((name for name in ("header.json", "_journal/start.json") if name in names), None)
    if header is None:
        raise _Fault("the archive has no header.json, so it is no inspect log")
    about = _member(archive, header)
    parts = sorted(name for name in names if name.startswith("samples/") and name.endswith(".json"))
    if not parts:
        raise _Fault(f"the log has no samples (status {about.get('status', 'started')})")
    return about, ((name, _member(archive, name)) for name in parts)


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    """A JSON member of an archive, also one compressed by Zstandard, as inspect_ai writes them."""
    info = archive.getinfo(name)
    if info.file_size > MAX_BYTES:
        raise ValueError(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    if info.compress_type != _ZSTANDARD:
        try:
            with archive.open(name) as stream:
                data = stream.read(MAX_BYTES + 1)
        except NotImplementedError:
            raise _Fault(
                f"{name} is compressed by a method of zip that is not read ({info.compress_type})"
            ) from None
    else:
        data = _zstandard(archive, info)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    return json.loads(data)


def _zstandard(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    import pyarrow as pa

    file = archive.fp
    assert file is not None
    file.seek(info.header_offset + 26)  # lengths of the name and the extra field that precede the data
    sizes = file.read(4)
    file.seek(int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little"), 1)
    packed = file.read(info.compress_size)
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            return bytes(stream.read(MAX_BYTES + 1))
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{info.filename}: {error}") from None


def _lm_eval(path: Path, origin: Origin) -> Iterator[Row | Skipped]:
    """Each repeat is a row; the same answers under another filter are not told again."""
    task = path.stem.removeprefix("samples_").rpartition("_")[0] or path.stem
    seen = set[str]()

    def rows(sample: dict[str, Any]) -> Iterator[Row]:
        arguments = _get(sample, "arguments")
        if isinstance(arguments, dict):
            arguments = list(arguments.values())
        first = arguments[0] if isinstance(arguments, list) and arguments else {}
        asked = _get(first, "arg_0") if isinstance(first, dict) else first[0] if first else None
        question, question_id = _question(asked), f"{task}:{_get(sample, 'doc_id')}"
        replies = _get(sample, "resps")
        if len(arguments) > 1 or not _texts(replies):
            raise _Fault("the sample holds log-likelihoods of choices, not an answer")
        if f"{question_id} {question}" in seen:
            raise _SeenBefore("the same answers are there under another filter")
        seen.add(f"{question_id} {question}")
        for n, reply in enumerate(_texts(replies)):
            yield _row(origin, "", question_id, question, _answer(reply), task, n)

    yield from _each(_lines(path), rows)


def _texts(replies: Any) -> list[str]:
    """The texts in lists of lists; empty where there is something else in them."""
    if isinstance(replies, str):
        return [replies]
    if not isinstance(replies, list):
        return []
    found = [_texts(reply) for reply in replies]
    return [text for texts in found for text in texts] if all(found) else []


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    return path.read_text(encoding="utf-8-sig")


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    yield f"line {number}", json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None


IMPORTERS: dict[str, Callable[[Path, Origin], Iterator[Row | Skipped]]] = {
    "alpaca-eval": _alpaca_eval,
    "mt-bench": _mt_bench,
    "inspect": _inspect,
    "lm-eval": _lm_eval,
}
"""Kinds of files, and what reads them."""
