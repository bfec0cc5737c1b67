"""`univar train --task values` and `--task distil`: from files to an encoder folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from univar import __version__, runtime
from univar.answers.labelled import LabelledAnswers, read_labelled
from univar.encoder.checkpoint import Weights
from univar.encoder.config import EncoderConfig, read_config
from univar.encoder.encoder import Encoder
from univar.encoder.export import export_encoder
from univar.encoder.spec import ResolvedSpec, resolve
from univar.encoder.tokenizer import load_tokenizer
from univar.errors import UsageError
from univar.files import make_folder, new_file, refuse_existing
from univar.statistics.intervals import Interval
from univar.train.values.distil import TeacherTask, mapped_cosine
from univar.train.values.folds import fold_of
from univar.train.values.loop import Progress, Task, ValueRun
from univar.train.values.settings import ValueSettings
from univar.train.values.supervised import LabelTask, content_within_question, read_one_piece
from univar.train.values.texts import Texts, bank_pairs, sentences_of


@dataclass(frozen=True)
class RunOptions:
    """How one call runs; the fields are those of `univar.train.options.TrainOptions`."""

    device: str = "auto"
    threads: int | None = None
    checkpoint_every: int = 50
    resume: bool = False
    force: bool = False
    on_progress: Callable[[Progress], Any] | None = None
    should_stop: Callable[[], bool] | None = None


@dataclass(frozen=True)
class ValueReport:
    """What a run did. `folder` is None where it was interrupted: the same call with resume continues.

    before, after: what training was for, on what it did not see: value content within a question of a fold
                   of labelled questions, or the cosine of the student's mapped vectors to the teacher's
    """

    folder: str | None
    facts: dict[str, Any]

    def summary(self) -> str:
        """For people."""
        facts = self.facts
        lines = [
            f"{facts['texts']:,} texts, {facts['steps']:,} steps, {facts['tokens']:,} tokens in "
            f"{facts['seconds']:,.0f} s; loss {facts['loss']:.4f}"
        ]
        if facts["before"] is not None and facts["after"] is not None:
            lines.append(f"{facts['measured']}: {facts['before']['text']} -> {facts['after']['text']}")
        return "\n".join(
            [*lines, f"encoder: {self.folder}" if self.folder else "not finished: continue with --resume"]
        )


def train_values(
    labels: str | Path, out: str | Path, settings: ValueSettings, options: RunOptions | None = None
) -> ValueReport:
    """Train the encoder folder `out` on answers in which people marked values.

    labels: a file with question, answer and values (`univar.answers.labelled`)
    With `settings.held_out` the questions of that fold are not seen, and probes of the vectors before and
    after are scored on them. Raises UsageError and DataError.
    """
    labelled = read_labelled(Path(labels))
    fold = fold_of(labelled.questions, settings.folds)
    rows = np.flatnonzero(fold != (-1 if settings.held_out is None else settings.held_out))
    start = _Start(out, settings, options)
    pieces = read_one_piece(labelled, load_tokenizer(start.config.folder, start.max_length, start.threads))
    base = start.encoder().forward_packed(pieces.ids, pieces.cu_seqlens)
    task = LabelTask(labelled, rows, pieces, base, settings)

    def measure(vectors: np.ndarray) -> Interval | None:
        if settings.held_out is None:
            return None
        test = np.flatnonzero(fold == settings.held_out)
        return content_within_question(vectors, labelled, rows, test)

    return start.run(task, base, measure, _facts(labelled, labels, rows))


def distil(
    inputs: Sequence[str | Path],
    out: str | Path,
    settings: ValueSettings,
    options: RunOptions | None = None,
    labels: str | Path | None = None,
) -> ValueReport:
    """Train the encoder folder `out` to give texts the vectors that `settings.teacher` gives them.

    inputs: answer files, of whose English sentences at most `settings.texts` are taken
    labels: labelled answers whose texts, without their labels, are seen twice; those of the fold
            `settings.held_out` are left out
    """
    if not settings.teacher:
        raise UsageError("name the encoder to learn from: --teacher")
    texts = sentences_of(inputs, settings.texts)
    if labels is not None:
        texts = texts + _arguments(read_labelled(Path(labels)), settings)
    if settings.bank:
        texts = texts + bank_pairs()
    start = _Start(out, settings, options)
    tokenizer = load_tokenizer(start.config.folder, start.max_length, start.threads)
    teacher = start.vectors_of(settings.teacher, texts.teacher)
    kept_aside = fold_of(texts.teacher, 50) == 0
    seen = np.flatnonzero(~kept_aside)
    tokens = tokenizer.encode(pa.array(texts.student))
    base = start.encoder().forward_packed(tokens.ids, tokens.cu_seqlens)
    task = TeacherTask(tokens, seen, teacher, base, settings)

    def measure(vectors: np.ndarray) -> Interval | None:
        if not kept_aside.any():
            return None
        return mapped_cosine(vectors, task.target, seen, np.flatnonzero(kept_aside))

    return start.run(task, base, measure, _text_facts(texts, inputs, settings))


class _Start:
    """Base, folders and options of one call."""

    def __init__(self, out: str | Path, settings: ValueSettings, options: RunOptions | None) -> None:
        self.options, self.settings = options or RunOptions(), settings.checked()
        self.target = Path(out)
        refuse_existing(self.target, self.options.force)
        self.base: ResolvedSpec = resolve(settings.base)
        self.config: EncoderConfig = read_config(self.base.folder)
        self.max_length = min(settings.max_length, self.config.positions)
        self.threads = runtime.thread_count(self.options.threads)
        self.folder = self.target.with_name(f"{self.target.name}.run")
        make_folder(self.folder)

    def encoder(self, spec: str | Path | None = None) -> Encoder:
        """The base, or what was trained from it, as it is used."""
        return Encoder(
            self.settings.base if spec is None else spec, device=self.options.device, threads=self.threads
        )

    def vectors_of(self, spec: str, texts: list[str]) -> np.ndarray:
        """(n, E) float32 of texts, kept in the run's folder: a continued run does not embed them again."""
        encoder = self.encoder(spec)
        key = hashlib.sha256(f"{encoder.info['id']} {encoder.info['revision']}".encode())
        for text in texts:
            key.update(text.encode() + b"\0")
        path = self.folder / f"teacher-{key.hexdigest()[:20]}.npy"
        if path.exists():
            found: np.ndarray = np.load(path)
            return found
        vectors = encoder.encode(texts)
        with new_file(path) as file:
            np.save(file, vectors)
        return vectors

    def run(
        self,
        task: Task,
        base: np.ndarray,
        measure: Callable[[np.ndarray], Interval | None],
        facts: dict[str, Any],
    ) -> ValueReport:
        """Train, write the encoder folder and report."""
        options = self.options
        run = ValueRun(
            self.base,
            self.config,
            task,
            self.settings,
            self.folder,
            threads=self.threads,
            device=options.device,
            resume=options.resume,
            checkpoint_every=options.checkpoint_every,
        )
        weights = run.train(options.on_progress, options.should_stop)
        told = {**facts, "base": self.base.id, **_run_facts(run), "before": None, "after": None}
        if weights is None:
            return ValueReport(None, told)
        told |= {"before": _as_json(measure(base)), "after": _as_json(measure(run.embed()))}
        self._write(weights, told)
        shutil.rmtree(self.folder, ignore_errors=True)
        return ValueReport(str(self.target), told)

    def _write(self, weights: Weights, facts: dict[str, Any]) -> None:
        limit = max(self.config.max_length, self.max_length)
        extra = {"README.md": _card(facts), "training/training.json": json.dumps(facts, indent=1) + "\n"}
        export_encoder(
            self.base,
            self.target,
            max_length=limit,
            force=self.options.force,
            weights=weights,
            extra=extra,
        )


def _run_facts(run: ValueRun) -> dict[str, Any]:
    progress = run.progress
    return {
        "steps": progress.step,
        "seconds": round(progress.seconds, 1),
        "tokens": progress.tokens,
        "loss": progress.loss,
        "dtype": run.dtype,
        "stopped": progress.stopped,
        "univar": __version__,
        "settings": {**run.settings.to_dict(), "teacher": Path(run.settings.teacher).name},
    }


def _facts(labelled: LabelledAnswers, labels: str | Path, rows: np.ndarray) -> dict[str, Any]:
    return {
        "task": "values",
        "labels": Path(labels).name,
        "texts": len(rows),
        "values": labelled.values,
        "measured": "value content within a question, questions not trained on (macro AUC of fresh probes)",
    }


def _text_facts(texts: Texts, inputs: Sequence[str | Path], settings: ValueSettings) -> dict[str, Any]:
    return {
        "task": "distil",
        "inputs": [Path(path).name for path in inputs],
        "texts": len(texts),
        "sentences": texts.sentences,
        "rejected": texts.rejected,
        "teacher": Path(settings.teacher).name,
        "measured": "cosine of the mapped vectors to the teacher's, texts not trained on",
    }


def _arguments(labelled: LabelledAnswers, settings: ValueSettings) -> Texts:
    """The texts of labelled answers twice, each with its question, without the held-out fold."""
    fold = fold_of(labelled.questions, settings.folds)
    kept = [
        f"Q: {question} A: {answer}"
        for question, answer, own in zip(labelled.questions, labelled.answers, fold.tolist(), strict=True)
        if own != settings.held_out
    ]
    return Texts(kept * 2, kept * 2)


def _as_json(found: Interval | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"estimate": found.estimate, "low": found.low, "high": found.high, "text": found.text()}


def _card(facts: dict[str, Any]) -> str:
    """The model card, as Markdown."""
    settings = facts["settings"]
    trained = settings["trained_layers"]
    what = f"its {trained} upper layers" if trained else "all weights"
    how = (
        f"people's marks of values in {facts['labels']}"
        if facts["task"] == "values"
        else f"the vectors that {facts['teacher']} gives {facts['texts']:,} texts"
    )
    measured = ""
    if facts["before"] is not None and facts["after"] is not None:
        measured = (
            f"\n{facts['measured']}: {facts['before']['text']} before, {facts['after']['text']} after.\n"
        )
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---

# A value encoder based on {facts["base"]}

Trained by univar {__version__} ({what}) on {how}: {facts["steps"]:,} steps, {facts["seconds"]:,.0f} s,
{facts["dtype"]}. The settings are in training/training.json.
{measured}
Licences: those of the base, of the labels and of the answers. Limits: an embedding is no verdict on what a
model values; `univar profile` prints for each value whether it can be measured.
"""
