"""One elicitation: questions x models x samples, its state file and the answers made from it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from univar.elicit.plan import ElicitPlan, plan_of
from univar.elicit.requests import ModelEntry, Respondent
from univar.elicit.run import ElicitReport, ElicitRun, OnProgress
from univar.elicit.state import BATCHED, DONE, FAILED, PENDING, State
from univar.errors import DataError, UsageError
from univar.files import WriterLock, new_file, reported
from univar.questions import Question, gather, select
from univar.schema import language_family

if TYPE_CHECKING:
    from univar.elicit.batch import ImportReport

MAX_REQUESTS = 50_000_000


@dataclass(frozen=True)
class RespondentCounts:
    """Requests of one respondent by their status, and what they took."""

    respondent: str
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
    """The questions of a file or of one of SETS, in `languages` (ISO 639-3; empty for all there are).

    Raises UsageError if a question has no text in one of the languages.
    """
    questions = select(gather(name), wordings=wordings or (1 if name == "core" else None))
    if not languages:
        return questions
    wanted = {question.question_id for question in questions}
    for language in (language_family(code)[0] for code in languages):
        missing = sorted(wanted - {q.question_id for q in questions if q.language == language})
        if missing:
            raise UsageError(
                f"{len(missing)} of {len(wanted)} questions of {os.fspath(name)} have no text in {language}, "
                f"such as {missing[0]!r}: translate them with `univar translate QUESTIONS --to {language}`, "
                "or leave that language out"
            )
    return select(questions, languages=languages)


def state_path(out: str | os.PathLike[str]) -> Path:
    """The state file of the answers `out`."""
    path = Path(out)
    return path.with_name(path.name + ".state")


class Elicitation:
    """An open elicitation: a context manager that holds the lock on its state.

    out: the answer file that `write_answers` makes; all else is in the state file beside it. dry: write
    nothing, for `plan`.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        models: Sequence[ModelEntry],
        questions: Sequence[Question],
        *,
        samples: int = 1,
        seed: int = 0,
        dry: bool = False,
    ) -> None:
        if samples < 1:
            raise UsageError(f"cannot ask for {samples} samples: give at least 1")
        if not questions:
            raise UsageError("there are no questions to ask: choose others, or other languages")
        self.out = Path(out)
        if self.out.suffix != ".jsonl":
            raise UsageError(f"{self.out} does not end in .jsonl: choose such a name for the answers")
        if self.out.exists() and not state_path(self.out).exists():
            raise UsageError(
                f"{self.out} already exists and was not made by `univar elicit`: choose another --out"
            )
        respondents = sum(len(model.personas) for model in models)
        if respondents * len(questions) * samples > MAX_REQUESTS:
            raise UsageError(
                f"this would be more than {MAX_REQUESTS:,} requests: ask fewer models, questions or samples"
            )
        self._asked = (models, questions, samples, seed)
        self._dry = dry
        self._lock = WriterLock(self.out.with_name(self.out.name + ".lock"), self.out)

    def __enter__(self) -> Elicitation:
        self._lock.acquire()
        try:
            self.state = State(state_path(self.out), dry=self._dry)
            with self.state.reported():
                self._check_state()
                self.respondents: list[Respondent] = self.state.plan(*self._asked)
        except BaseException:
            self._lock.release()
            raise
        return self

    def _check_state(self) -> None:
        """Raise DataError if the state has fewer answers than the file made from it: it was damaged."""
        if not self.out.exists():
            return
        with reported("read", self.out), open(self.out, "rb") as file:
            rows = sum(bool(line.strip()) for line in file)
        if rows > (known := self.state.count_answers()):
            raise DataError(
                f"{self.out} holds {rows:,} answers, but its state {self.state.path} only {known:,}: "
                "restore the state from a copy, or choose another --out"
            )

    def __exit__(self, *_: object) -> None:
        self.state.close()
        self._lock.release()

    def plan(self, answer_tokens: float | None = None) -> ElicitPlan:
        """What a run would ask, take and cost. answer_tokens: assumed length of answers."""
        return plan_of(self.state, self.respondents, answer_tokens)

    def run(
        self,
        *,
        stop: threading.Event | None = None,
        max_cost: float | None = None,
        max_connections: int = 64,
        limit: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> ElicitReport:
        """Ask what is pending, then write the answers."""
        run = ElicitRun(
            self.state,
            self.respondents,
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
        """How many requests each model has in a run with this `limit`."""
        counts: dict[str, int] = {}
        for respondent in self.respondents:
            waiting = self.state.usage(respondent, PENDING).requests
            counts[respondent.model.name] = counts.get(respondent.model.name, 0) + waiting
        return {name: count if limit is None else min(count, limit) for name, count in counts.items()}

    def retry_failed(self) -> int:
        """Make failed requests pending again; returns how many."""
        return self.state.reopen(self.respondents, FAILED)

    def export_batches(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write what is pending as files for a batch API, below `folder`."""
        from univar.elicit.batch import export_batches

        return export_batches(self.state, self.respondents, folder)

    def import_batches(self, files: Sequence[str | os.PathLike[str]]) -> ImportReport:
        """Import a batch API's results, then write the answers."""
        from univar.elicit.batch import import_batches

        report = import_batches(self.state, self.respondents, files)
        self.write_answers()
        return report

    def release_batches(self) -> int:
        """Make exported requests without a result pending again; returns how many."""
        return self.state.reopen(self.respondents, BATCHED)

    def counts(self) -> list[RespondentCounts]:
        """Requests of each respondent by status."""
        return [_counts(self.state, respondent) for respondent in self.respondents]

    def failures(self) -> dict[str, dict[str, int]]:
        """Why requests failed: respondent to reason to count."""
        return self.state.failures(self.respondents)

    def write_answers(self) -> int:
        """Write the answer file anew from the state, whole or not at all; returns its rows."""
        rows = 0
        with self.state.reported(), new_file(self.out) as file:
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


def _counts(state: State, respondent: Respondent) -> RespondentCounts:
    done, failed, pending, batched = (
        state.usage(respondent, status) for status in (DONE, FAILED, PENDING, BATCHED)
    )
    used = (done, failed, pending, batched)
    return RespondentCounts(
        respondent.name,
        done.requests,
        failed.requests,
        pending.requests,
        batched.requests,
        sum(usage.prompt_tokens for usage in used),
        sum(usage.completion_tokens for usage in used),
        sum(usage.cost for usage in used),
    )
