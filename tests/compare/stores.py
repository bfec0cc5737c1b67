"""Stores of planted answers: how far models are apart, how much they vary, is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.search.stores import write_store
from univar.store import Store

DIMS = 16
Rows = list[dict[str, str]]


def planted(
    models: dict[str, float],
    questions: int = 20,
    *,
    wordings: int = 1,
    samples: int = 1,
    languages: tuple[str, ...] = ("eng",),
    wording_shift: float = 0.0,
    noise: float = 0.3,
    seed: int = 0,
) -> tuple[Rows, np.ndarray]:
    """(rows, embeddings (N, D)) of models that lie apart along the first axis, each at its place.

    A question has a topic of its own; wordings move all answers along the second axis, by `wording_shift`
    from the first to the last.
    """
    rng = np.random.default_rng(seed)
    topics = np.random.default_rng(99).standard_normal((questions, DIMS)) * 0.5
    rows, vectors = [], []
    for question in range(questions):
        for wording in range(wordings):
            for language in languages:
                for model, place in models.items():
                    for sample in range(samples):
                        asked = f"question {question}, put {wording} in {language}?"
                        rows.append(
                            {
                                "id": f"{model}-{question}-{wording}-{language}-{sample}-{seed}",
                                "model": model,
                                "language": language,
                                "question_id": f"set:q{question:02d}:w{wording}",
                                "question": asked,
                                "answer": f"answer {sample} of {model} to {asked}",
                                "value": f"value {question % 3}",
                            }
                        )
                        vector = topics[question] + noise * rng.standard_normal(DIMS)
                        vector[0] += place
                        vector[1] += wording_shift * wording / max(wordings - 1, 1)
                        vector[2] += 4.0  # unit length then keeps differences as they are, but for a factor
                        vectors.append(vector)
    return rows, np.array(vectors)


def planted_store(path: Path, models: dict[str, float], questions: int = 20, **settings) -> Store:
    """A store of `planted` answers."""
    return write_store(path, *planted(models, questions, **settings))
