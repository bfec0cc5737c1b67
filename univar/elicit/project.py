"""One elicitation: questions x models x samples, its state file and the answers made from it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from univar.elicit.batch import ImportReport, export_batches, import_batches
from univar.elicit.models import Model
from univar.elicit.plan import Plan, plan_of
from univar.elicit.run import OnProgress, Run, RunReport
from univar.elicit.state import BATCHED, DONE, FAILED, PENDING, Source, State
from univar.errors import UsageError
from univar.files import WriterLock, new_file
from univar.questions import Question, gather, select

MAX_REQUESTS = 50_000_000


@dataclass(frozen=True)
class Counts:
    """Requests of one source by what became of them."""

    source: str
    done: int
    failed: int
    pending: int
    batched: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


def gather_questions(
    name: str | os.PathLike[str], languages: Sequence[str] = (), wordings: int | None = None
) -> tuple[Question, ...]:
    """The questions of a file or of one of SETS, in `languages` (ISO 639-3; none for all there are).

    Raises UsageError where a question has no text in one of the languages.
    """
    questions = select(gather(name), wordings=wordings or (1 if name == "core" else None))
    if not languages:
        return questions
    asked = {question.question_id for question in questions}
    for language in languages:
        missing = sorted(asked - {q.question_id for q in questions if q.language == language})
        if missing:
            raise UsageError(
                f"{len(missing)} of {len(asked)} questions of {os.fspath(name)} have no text in {language}, "
                f"such as {missing[0]!r}: translate them with `univar translate QUESTIONS --to {language}`, "
                "or leave the language out"
            )
    return select(questions, languages=languages)


def state_path(out: str | os.PathLike[str]) -> Path:
    """The state file that belongs to the answers `out`."""
    path = Path(out)
    return path.with_name(path.name + ".state")


class Elicitation:
    """An open elicitation; a context manager that holds the lock on its state.

    out: the answer file that `write_answers` makes; everything else is in the state beside it. dry: leave
    everything on disk as it is, for `plan`.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        models: Sequence[Model],
        questions: Sequence[Question],
        *,
        samples: int = 1,
        seed: int = 0,
        dry: bool = False,
    ) -> None:
        if samples < 1:
            raise UsageError(f"{samples} samples: at least one is needed")
        if not questions:
            raise UsageError("there are no questions to ask: name others, or other languages")
        self.out = Path(out)
        if self.out.suffix != ".jsonl":
            raise UsageError(f"{self.out} does not end in .jsonl: name the answer file so")
        if self.out.exists() and not state_path(self.out).exists():
            raise UsageError(f"{self.out} is there already and no elicitation of ours: name other answers")
        sources = sum(len(model.personas) for model in models)
        if sources * len(questions) * samples > MAX_REQUESTS:
            raise UsageError(
                f"more than {MAX_REQUESTS:,} requests: ask fewer models, questions or samples at once"
            )
        self._plan = (models, questions, samples, seed)
        self._dry = dry
        self._lock = WriterLock(self.out.with_name(self.out.name + ".lock"), self.out)

    def __enter__(self) -> Elicitation:
        self._lock.acquire()
        try:
            self.state = State(state_path(self.out), dry=self._dry)
            self.sources: list[Source] = self.state.plan(*self._plan)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()
        self._lock.release()

    def plan(self, answer_tokens: float | None = None) -> Plan:
        """What a run would do, take and cost. answer_tokens: assume answers of so many tokens."""
        return plan_of(self.state, self.sources, answer_tokens)

    def run(
        self,
        *,
        stop: threading.Event | None = None,
        max_cost: float | None = None,
        max_connections: int = 64,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> RunReport:
        """Ask what is pending, then write the answers."""
        run = Run(
            self.state,
            self.sources,
            stop=stop,
            max_cost=max_cost,
            max_connections=max_connections,
            limit=limit,
            on_progress=on_progress,
        )
        report = run.run()
        self.write_answers()
        return report

    def pending(self, limit: int | None = None) -> dict[str, int]:
        """How many requests each model has to answer in a run with this `limit`."""
        counts: dict[str, int] = {}
        for source in self.sources:
            waiting = self.state.usage(source, PENDING).requests
            counts[source.model.name] = counts.get(source.model.name, 0) + waiting
        return {name: count if limit is None else min(count, limit) for name, count in counts.items()}

    def retry_failed(self) -> int:
        """Let failed requests be asked again; returns how many."""
        return self.state.reopen(self.sources, FAILED)

    def export_batches(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Hand what is pending to a batch API: files below `folder`."""
        return export_batches(self.state, self.sources, folder)

    def import_batches(self, files: Sequence[str | os.PathLike[str]]) -> ImportReport:
        """Take a batch API's results in, then write the answers."""
        report = import_batches(self.state, self.sources, files)
        self.write_answers()
        return report

    def release_batches(self) -> int:
        """Ask what was handed out and never came back like everything else; returns how many."""
        return self.state.reopen(self.sources, BATCHED)

    def counts(self) -> list[Counts]:
        """Where each source stands."""
        return [_counts(self.state, source) for source in self.sources]

    def failures(self) -> dict[str, dict[str, int]]:
        """Why requests failed: source to reason to count."""
        return self.state.failures(self.sources)

    def write_answers(self) -> int:
        """Make the answer file anew from the state, whole or not at all; returns its rows."""
        rows = 0
        with new_file(self.out) as file:
            for block in _blocks(self.state.answers()):
                file.write("".join(block).encode())
                rows += len(block)
        return rows


def _blocks(rows: Iterable[dict[str, Any]], size: int = 1000) -> Iterator[list[str]]:
    block: list[str] = []
    for row in rows:
        block.append(json.dumps(row, ensure_ascii=False) + "\n")
        if len(block) == size:
            yield block
            block = []
    if block:
        yield block


def _counts(state: State, source: Source) -> Counts:
    done, failed, pending, batched = (
        state.usage(source, status) for status in (DONE, FAILED, PENDING, BATCHED)
    )
    used = (done, failed, pending, batched)
    return Counts(
        source.name,
        done.requests,
        failed.requests,
        pending.requests,
        batched.requests,
        sum(usage.prompt_tokens for usage in used),
        sum(usage.completion_tokens for usage in used),
        sum(usage.cost for usage in used),
    )
