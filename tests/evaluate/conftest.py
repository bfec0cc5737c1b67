"""Synthetic answers of known difficulty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.search.stores import write_store

Rows = list[dict[str, str]]


def qa_rows(questions: range, models: list[str], corpus: str = "c1", language: str = "eng") -> Rows:
    """One answer of each model to each question; the answer's words name its model."""
    return [
        {
            "id": f"{corpus}-{question}-{model}",
            "model": model,
            "language": language,
            "question_id": f"{corpus}:{question}",
            "question": f"{corpus} asks what about {question}?",
            "answer": f"word{model} says {question} and thing{model}",
            "source_corpus": corpus,
        }
        for question in questions
        for model in models
    ]


def vectors(rows: Rows, signal: float, dim: int = 24, seed: int = 0) -> np.ndarray:
    """Noise, and `signal` times a direction of the row's model."""
    rng = np.random.default_rng(seed)
    towards = {
        model: np.random.default_rng([7, *model.encode()]).standard_normal(dim)
        for model in {row["model"] for row in rows}
    }
    noise = rng.standard_normal((len(rows), dim))
    return noise + signal * np.array([towards[row["model"]] for row in rows])


@pytest.fixture
def other(tmp_path) -> Callable:
    """Make the two stores of another encoder over rows that are in stores already, in another order."""
    made = iter(range(100))

    def make(train: Rows, eval: Rows, signal: float = 0.0, name: str = "other"):
        number = next(made)
        return tuple(
            write_store(
                tmp_path / f"{name}-{side}{number}",
                rows[::-1],
                vectors(rows[::-1], signal, seed=seed),
                id=name,
            )
            for side, rows, seed in (("train", train, 3), ("eval", eval, 4))
        )

    return make


@pytest.fixture
def pair(tmp_path) -> Callable:
    """Make a train and an eval store from rows."""
    made = iter(range(100))

    def make(train: Rows, eval: Rows, signal: float = 0.0):
        number = next(made)
        return (
            write_store(tmp_path / f"train{number}", train, vectors(train, signal, seed=1)),
            write_store(tmp_path / f"eval{number}", eval, vectors(eval, signal, seed=2)),
        )

    return make
