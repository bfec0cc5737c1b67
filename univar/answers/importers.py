"""Answers collected by other tools, as answer rows.

alpaca-eval   model_outputs.json: a list of {instruction, output, generator, dataset}
mt-bench      <model>.jsonl of answers {question_id, model_id, choices: [{turns}]}, beside its question.jsonl
inspect       inspect_ai logs, .json or .eval
lm-eval       samples_*.jsonl of lm-evaluation-harness; which does not name the model
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.errors import DataError, UsageError
from univar.schema import SOURCE_CORPUS, normalize_language

MAX_BYTES = 1 << 30
"""Largest document that is read, unpacked: a larger one is a decompression bomb or not a log."""

Row = dict[str, str]


@dataclass(frozen=True)
class Origin:
    """What the file itself does not say.

    model: "" where the file names it; questions: MT-bench's question.jsonl, None to look beside the answers.
    """

    language: str
    model: str = ""
    questions: Path | None = None


def import_rows(path: str, kind: str, origin: Origin) -> Iterator[Row]:
    """The rows in another tool's file, those with an empty answer too.

    kind: one of IMPORTERS. Raises UsageError for an unknown kind or a missing model, DataError for a file
    that is not of that kind; the message names the place.
    """
    if kind not in IMPORTERS:
        raise UsageError(f"unknown format {kind!r}: choose from {', '.join(IMPORTERS)}")
    origin = Origin(normalize_language(origin.language), origin.model, origin.questions)
    try:
        yield from IMPORTERS[kind](Path(path), origin)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: is damaged or not a {kind} file ({' '.join(str(error).split())[:200]})"
        ) from None
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(f"{path}: is not a {kind} file: {type(error).__name__} for {error}") from None


def _row(origin: Origin, model: str, question_id: str, question: str, answer: Any, corpus: str) -> Row:
    if not isinstance(answer, str):
        raise TypeError(f"the answer to {question_id!r}, which is not text")
    if not (origin.model or model):
        raise UsageError("the file names no model: give it with --model")
    row = {"model": origin.model or model, "language": origin.language, "question_id": question_id}
    return {**row, "question": question, "answer": answer, SOURCE_CORPUS: corpus}


def _alpaca_eval(path: Path, origin: Origin) -> Iterator[Row]:
    for entry in json.loads(_text(path)):
        question = entry["instruction"]
        number = hashlib.blake2b(question.encode(), digest_size=6).hexdigest()
        corpus = entry.get("dataset") or "alpaca_eval"
        yield _row(
            origin, entry.get("generator") or "", f"alpaca_eval:{number}", question, entry["output"], corpus
        )


def _mt_bench(path: Path, origin: Origin) -> Iterator[Row]:
    """Each turn is a row; the question of the second turn does not repeat the first."""
    beside = [path.parent / "question.jsonl", path.parent.parent / "question.jsonl"]
    found = next((p for p in [origin.questions, *beside] if p is not None and p.exists()), None)
    if found is None:
        raise UsageError(f"the questions of {path} are not beside it: name question.jsonl with --questions")
    turns = {entry["question_id"]: entry["turns"] for entry in _lines(found)}
    for entry in _lines(path):
        number, model = entry["question_id"], entry.get("model_id") or ""
        for place, answer in enumerate(entry["choices"][0]["turns"]):
            question_id = f"mt_bench:{number}:{place + 1}"
            yield _row(origin, model, question_id, turns[number][place], answer, "mt_bench")


def _inspect(path: Path, origin: Origin) -> Iterator[Row]:
    header, samples = _inspect_log(path)
    task, model = header["eval"]["task"], header["eval"]["model"]
    for sample in samples:
        asked = sample["input"]
        if isinstance(asked, list):
            asked = next(_content(message) for message in reversed(asked) if message["role"] == "user")
        choices = sample["output"].get("choices") or []
        answer = _content(choices[0]["message"]) if choices else ""
        yield _row(origin, model, f"{task}:{sample['id']}", asked, answer, task)


def _inspect_log(path: Path) -> tuple[Any, Iterator[Any]]:
    if path.suffix != ".eval":
        log = json.loads(_text(path))
        return log, iter(log["samples"])
    archive = zipfile.ZipFile(path)
    names = sorted(
        name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")
    )

    def member(name: str) -> Any:
        with archive.open(name) as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"{name} is larger than {MAX_BYTES >> 20} MiB")
        return json.loads(data)

    header = "header.json" if "header.json" in archive.namelist() else "_journal/start.json"
    return member(header), map(member, names)


def _lm_eval(path: Path, origin: Origin) -> Iterator[Row]:
    task = path.stem.removeprefix("samples_").rpartition("_")[0] or path.stem
    for sample in _lines(path):
        arguments = sample["arguments"]
        named = isinstance(arguments, dict)
        asked = next(iter(arguments.values()))["arg_0"] if named else arguments[0][0]
        answer = sample["resps"][0]
        while isinstance(answer, list):
            answer = answer[0]
        yield _row(origin, "", f"{task}:{sample['doc_id']}", asked, answer, task)


def _content(message: Any) -> str:
    """The text of a message, whose content may be parts of several kinds."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    return path.read_text(encoding="utf-8")


def _lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None


IMPORTERS: dict[str, Callable[[Path, Origin], Iterator[Row]]] = {
    "alpaca-eval": _alpaca_eval,
    "mt-bench": _mt_bench,
    "inspect": _inspect,
    "lm-eval": _lm_eval,
}
"""Kinds of files, and what reads them."""
