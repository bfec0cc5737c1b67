"""Small corpora whose sources can be told apart by their words, and short runs over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import univar as univar  # the fixture that calls the command line
from tests.conftest import WORDS
from tests.encoder.conftest import texts_ids as texts_ids
from univar.train import TrainReport, TrainSettings, train

Rows = list[dict[str, str]]


def styled_rows(questions: int = 24, models: int = 4, seed: int = 0) -> Rows:
    """Every model answers every question, each with favourite words of its own."""
    rng = np.random.default_rng(seed)
    words = [word for word in WORDS if word.isalpha()]
    return [
        {
            "id": f"{question}-{model}",
            "model": f"model-{model}",
            "language": "eng",
            "question_id": f"q{question}",
            "question": f"why {words[question % len(words)]} {question} ?",
            "answer": " ".join(
                rng.choice(words[4 * model : 4 * model + 6] if rng.random() < 0.7 else words)
                for _ in range(int(rng.integers(3, 24)))
            ),
        }
        for question in range(questions)
        for model in range(models)
    ]


def write_rows(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    """96 answers: 4 models, 24 questions."""
    return write_rows(tmp_path / "corpus.jsonl", styled_rows())


def quick(base: Path, **changes: Any) -> TrainSettings:
    """A few fp32 steps on a tiny base, without validation."""
    content = {
        "base": str(base),
        "batch": 8,
        "max_length": 48,
        "steps": 4,
        "dtype": "fp32",
        "warmup_steps": 2,
        "held_out": 0.0,
        "validate_every": 0,
        **changes,
    }
    return TrainSettings.from_dict(content)


def run(corpus: Path, out: Path, settings: TrainSettings, **options: Any) -> TrainReport:
    """Train with one thread."""
    return train([corpus], out, settings, **{"threads": 1, **options})


def metrics(folder: Path) -> list[dict[str, float]]:
    """Lines of a finished or running training's metrics."""
    path = folder / "training" / "metrics.jsonl"
    path = path if path.is_file() else folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics(folder) if "loss" in line]


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")
