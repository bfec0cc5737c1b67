"""The state of an elicitation, in an SQLite file beside the answers: the only record of what was asked.

A request is a row from the moment it is planned. It is written once more, in the transaction that stores its
answer or the reason why there is none. So a killed process loses nothing that was recorded, and the next one
asks again only what was in flight.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from univar.elicit.requests import ModelEntry, Outcome, Persona, Request, Respondent, same_settings
from univar.errors import DataError, UsageError
from univar.questions import Question
from univar.schema import base_language, current_language

FORMAT = "univar-elicit/1"
PENDING, DONE, FAILED, BATCHED = range(4)
_READ_AHEAD = 256

_TABLES = """
CREATE TABLE meta (format TEXT NOT NULL);
CREATE TABLE questions (
    id INTEGER PRIMARY KEY, question_id TEXT NOT NULL, wording INTEGER NOT NULL, language TEXT NOT NULL,
    question TEXT NOT NULL, value TEXT NOT NULL, kind TEXT NOT NULL, asked_as TEXT,
    UNIQUE (question_id, wording, language));
CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, settings TEXT NOT NULL);
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, question INTEGER NOT NULL, sample INTEGER NOT NULL,
    seed INTEGER NOT NULL, status INTEGER NOT NULL DEFAULT 0,
    answer TEXT, finish TEXT, reason TEXT, created TEXT, reasoning TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0, cost REAL NOT NULL DEFAULT 0,
    UNIQUE (source, question, sample));
CREATE INDEX by_status ON requests (source, status);
"""
"""The `sources` of this format are respondents, each with its name and settings."""


@dataclass(frozen=True)
class Usage:
    """Requests of one respondent and one status: how many, their tokens and cost."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


class State:
    """An open state file; one process at a time (the caller holds the lock), used from one thread.

    dry: nothing is written; a missing file counts as an empty state.
    Raises DataError for a file that is not a state, or that cannot be read or written.
    """

    def __init__(self, path: Path, dry: bool = False) -> None:
        self.path, self._dry = path, dry
        with self.reported():
            self._db = sqlite3.connect(
                ":memory:" if dry and not path.exists() else path, isolation_level=None
            )
            if dry:
                self._db.execute("BEGIN")
            else:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")  # a power cut loses no answer
            if not self._db.execute("SELECT name FROM sqlite_master").fetchone():
                with self._transaction():
                    for statement in _TABLES.split(";\n"):
                        self._db.execute(statement)
                    self._db.execute("INSERT INTO meta VALUES (?)", (FORMAT,))
            else:
                self._renew()
            found = self._db.execute("SELECT format FROM meta").fetchone()
        if found != (FORMAT,):
            raise DataError(
                f"{path} has the format {found!r}, but this version reads {FORMAT}: choose another --out"
            )

    def _renew(self) -> None:
        """Add what older states of this format lack, and give languages the labels of today."""
        for table, column in (("requests", "reasoning"), ("questions", "asked_as")):
            there = {row[1] for row in self._db.execute(f"PRAGMA table_info({table})")}
            if there and column not in there:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
        if there:
            for (old,) in self._db.execute("SELECT DISTINCT language FROM questions").fetchall():
                if (label := current_language(old)) != old:
                    self._relabel(old, label)

    def _relabel(self, old: str, label: str, number: int | None = None) -> None:
        """Call questions in `old`, or the one of `number`, by another label; answers keep their ids."""
        self._db.execute(
            "UPDATE OR IGNORE questions SET asked_as = COALESCE(asked_as, language), language = ?"
            " WHERE language = ? AND id = COALESCE(?, id)",
            (label, old, number),
        )
        if number is None:  # what is left of `old` was planned under both labels
            self._db.execute(
                "DELETE FROM requests WHERE status = ? AND question IN"
                " (SELECT id FROM questions WHERE language = ?)",
                (PENDING, old),
            )

    def close(self) -> None:
        """Close the file; SQLite folds its log into it."""
        self._db.close()

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Raise DataError where the file is damaged, UTF-8 in its names included."""
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise DataError(
                f"the state {self.path} cannot be read or written ({error}): repair it, "
                "or choose another --out"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._dry:
            yield
            return
        with self.reported():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # planning

    def plan(
        self, models: Iterable[ModelEntry], questions: Sequence[Question], samples: int, seed: int
    ) -> list[Respondent]:
        """Add a row for each new (respondent, question, sample); existing rows stay as they are.

        New rows are shuffled by `seed`, so that the first thousand are a fair sample of all. Raises
        UsageError if a known name now stands for another model or another question.
        """
        with self._transaction():
            numbers = self._questions(questions)
            respondents = [
                Respondent(self._respondent(model, persona), model, persona)
                for model in models
                for persona in model.personas
            ]
            self._db.executemany(
                "INSERT OR IGNORE INTO requests (source, question, sample, seed) VALUES (?, ?, ?, ?)",
                self._new_rows(respondents, list(zip(questions, numbers, strict=True)), samples, seed),
            )
        return respondents

    def _new_rows(
        self, respondents: list[Respondent], questions: list[tuple[Question, int]], samples: int, seed: int
    ) -> list[tuple[int, int, int, int]]:
        rows = []
        for respondent in respondents:
            for question, number in questions:
                if respondent.model.languages and question.language not in respondent.model.languages:
                    continue
                respondent.persona.system(question.language)
                for sample in range(samples):
                    key = (
                        respondent.name,
                        question.question_id,
                        question.wording,
                        question.language,
                        sample,
                        seed,
                    )
                    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=12).digest()
                    order, own = digest[:8], int.from_bytes(digest[8:], "big") >> 1
                    rows.append((order, respondent.id, number, sample, own))
        rows.sort()
        return [row[1:] for row in rows]

    def _questions(self, questions: Sequence[Question]) -> list[int]:
        numbers = []
        for asked in questions:
            key = (asked.question_id, asked.wording, asked.language)
            found = self._find_question(*key) or self._without_script(asked)
            if found is None:
                found = self._db.execute(
                    "INSERT INTO questions (question_id, wording, language, question, value, kind)"
                    " VALUES (?, ?, ?, ?, ?, ?) RETURNING id, question",
                    (*key, asked.question, asked.value, asked.kind),
                ).fetchone()
            if found[1] != asked.question:
                raise UsageError(
                    f"{asked.question_id!r}, wording {asked.wording}, in {asked.language} was asked before "
                    f"with another text ({self.path}): give the new text another wording number, or choose "
                    "another --out"
                )
            numbers.append(found[0])
        return numbers

    def _find_question(self, question_id: str, wording: int, language: str) -> tuple[int, str] | None:
        return self._db.execute(
            "SELECT id, question FROM questions WHERE question_id = ? AND wording = ? AND language = ?",
            (question_id, wording, language),
        ).fetchone()

    def _without_script(self, asked: Question) -> tuple[int, str] | None:
        """The same text, asked as `zho` before scripts were kept; it is `zho_Hant` from now on."""
        base = base_language(asked.language)
        found = self._find_question(asked.question_id, asked.wording, base)
        if base == asked.language or found is None or found[1] != asked.question:
            return None
        self._relabel(base, asked.language, found[0])
        return found

    def _respondent(self, model: ModelEntry, persona: Persona) -> int:
        name = model.respondent_name(persona)
        settings = json.dumps(model.settings(persona), sort_keys=True, ensure_ascii=False)
        found = self._db.execute("SELECT id, settings FROM sources WHERE name = ?", (name,)).fetchone()
        if found is None:
            found = self._db.execute(
                "INSERT INTO sources (name, settings) VALUES (?, ?) RETURNING id, settings", (name, settings)
            ).fetchone()
        if not same_settings(found[1], settings):
            raise UsageError(
                f"{name!r} was asked before with other settings ({self.path}): give the model another name, "
                "or choose another --out"
            )
        return found[0]

    # asking

    def pending(self, respondents: Sequence[Respondent], limit: int | None = None) -> Iterator[Request]:
        """Pending requests in planned order; more are read as the caller consumes them."""
        by_id = {respondent.id: respondent for respondent in respondents}
        marks = ", ".join("?" * len(by_id))
        last, left = 0, limit
        while left is None or left > 0:
            size = _READ_AHEAD if left is None else min(left, _READ_AHEAD)
            rows = self._db.execute(
                "SELECT requests.id, source, language, question, seed FROM ("
                # in row order; the index would need a sort
                f" SELECT id, source, question AS number, seed FROM requests NOT INDEXED"
                f"  WHERE source IN ({marks}) AND status = ? AND id > ? ORDER BY id LIMIT ?) AS requests"
                " JOIN questions ON questions.id = number ORDER BY requests.id",
                (*by_id, PENDING, last, size),
            ).fetchall()
            if not rows:
                return
            for row in rows:
                number, respondent, language, question, seed = row
                system = by_id[respondent].persona.system(language)
                yield Request(number, respondent, language, question, system, seed)
            last = rows[-1][0]
            left = None if left is None else left - len(rows)

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Store outcomes in one transaction. A request that was answered before stays as it was."""
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with self._transaction():
            self._db.executemany(
                "UPDATE requests SET status = ?, answer = ?, finish = ?, reason = ?, created = ?,"
                " reasoning = ?, attempts = attempts + ?, prompt_tokens = prompt_tokens + ?,"
                " completion_tokens = completion_tokens + ?, cost = cost + ? WHERE id = ? AND status != ?",
                [
                    (
                        FAILED if done.reason else DONE,
                        done.answer,
                        done.finish,
                        done.reason,
                        now,
                        done.reasoning or None,
                        done.attempts,
                        done.prompt_tokens,
                        done.completion_tokens,
                        done.cost,
                        done.request,
                        DONE,
                    )
                    for done in outcomes
                ],
            )

    def charge(self, request: int, attempts: int, cost: float) -> None:
        """Add attempts without a result to a request that stays pending."""
        self._db.execute(
            "UPDATE requests SET attempts = attempts + ?, cost = cost + ? WHERE id = ?",
            (attempts, cost, request),
        )

    def reopen(self, respondents: Sequence[Respondent], status: int) -> int:
        """Make requests of `status` (FAILED, BATCHED) pending again; returns how many."""
        with self._transaction():
            return sum(
                self._db.execute(
                    "UPDATE requests SET status = ?, reason = NULL WHERE source = ? AND status = ?",
                    (PENDING, respondent.id, status),
                ).rowcount
                for respondent in respondents
            )

    def ids(self, respondent: Respondent, status: int) -> list[int]:
        """The ids of the requests of one status."""
        rows = self._db.execute(
            "SELECT id FROM requests WHERE source = ? AND status = ?", (respondent.id, status)
        ).fetchall()
        return [row[0] for row in rows]

    def mark_batched(self, requests: Iterable[int]) -> None:
        """Record that these requests were exported as a batch."""
        with self._transaction():
            self._db.executemany(
                "UPDATE requests SET status = ? WHERE id = ? AND status = ?",
                [(BATCHED, request, PENDING) for request in requests],
            )

    # reporting

    def count_answers(self) -> int:
        """Number of answered requests."""
        return self._db.execute("SELECT COUNT(*) FROM requests WHERE status = ?", (DONE,)).fetchone()[0]

    def usage(self, respondent: Respondent, status: int) -> Usage:
        """Count, tokens and cost of the requests of one status."""
        row = self._db.execute(
            "SELECT COUNT(*), TOTAL(prompt_tokens), TOTAL(completion_tokens), TOTAL(cost) FROM requests"
            " WHERE source = ? AND status = ?",
            (respondent.id, status),
        ).fetchone()
        return Usage(int(row[0]), int(row[1]), int(row[2]), row[3])

    def answered_questions(self, respondent: Respondent) -> list[tuple[str, str, int]]:
        """(language, question, how often) of the questions that a respondent answered."""
        return self._db.execute(
            "SELECT language, questions.question, COUNT(*) FROM requests"
            " JOIN questions ON questions.id = requests.question"
            " WHERE source = ? AND status = ? GROUP BY questions.id",
            (respondent.id, DONE),
        ).fetchall()

    def spent(self) -> float:
        """The cost of everything so far."""
        return self._db.execute("SELECT TOTAL(cost) FROM requests").fetchone()[0]

    def failures(self, respondents: Sequence[Respondent]) -> dict[str, dict[str, int]]:
        """Reasons of failed requests by respondent, most frequent first."""
        found: dict[str, dict[str, int]] = {}
        for respondent in respondents:
            rows = self._db.execute(
                "SELECT reason, COUNT(*) FROM requests WHERE source = ? AND status = ?"
                " GROUP BY reason ORDER BY COUNT(*) DESC, reason LIMIT 20",
                (respondent.id, FAILED),
            ).fetchall()
            if rows:
                found[respondent.name] = dict(rows)
        return found

    def answers(self) -> Iterator[dict[str, Any]]:
        """All answers as rows of an answer file, in an order independent of the run."""
        rows = self._db.execute(
            "SELECT name, settings, question_id, wording, language, COALESCE(asked_as, language),"
            " questions.question, value, kind, sample, seed,"
            " answer, finish, created, reasoning FROM requests JOIN sources ON sources.id = source"
            " JOIN questions ON questions.id = requests.question WHERE status = ?"
            " ORDER BY name, language, question_id, wording, sample",
            (DONE,),
        )
        for row in rows:
            name, settings, question_id, wording, language, asked_as, question, *rest = row
            value, kind, sample, seed, answer, finish, created, reasoning = rest
            facts = json.loads(settings)
            sampling = {**facts["sampling"], "seed": seed, "api": facts["api"], "model": facts["model"]}
            yield {
                "id": f"{question_id}/{wording}/{name}/{asked_as}/{sample}",
                "model": name,
                "language": current_language(language),
                "question_id": question_id,
                "question": question,
                "answer": answer,
                "value": value,
                "kind": kind,
                "wording": str(wording),
                "sampling": json.dumps(sampling, sort_keys=True, ensure_ascii=False),
                "finish": finish,
                "created": created,
                **({"reasoning": reasoning} if reasoning else {}),
            }
