"""Answers of planted sources: a direction and a few words of its own for each, a topic for each question."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.search.stores import write_store
from univar.store import Store

DIMS = 24
OWN_WORDS = (("however", "moreover"), ("yeah", "well"), ("indeed", "surely"), ("honestly", "frankly"))


def planted_rows(questions: range, models: int = 4, seed: int = 0) -> list[dict[str, str]]:
    """One answer of each model to each question."""
    rng = np.random.default_rng([seed, questions.start])
    common = [f"word{number}" for number in range(60)]
    return [
        {
            "id": f"{seed}-{question}-{model}",
            "model": f"m{model}",
            "language": "eng",
            "question_id": f"q{question}",
            "question": f"what of matter {question}?",
            "answer": " ".join(
                rng.permutation([*rng.choice(common, 10), f"topic{question}", *OWN_WORDS[model]])
            ),
        }
        for question in questions
        for model in range(models)
    ]


def planted_vectors(rows: list[dict[str, str]], signal: float = 1.2, seed: int = 0) -> np.ndarray:
    """(n, DIMS): twice a direction of the question, `signal` times one of the model, and noise."""
    noise = np.random.default_rng([seed, len(rows)])
    out = noise.standard_normal((len(rows), DIMS))
    for number, row in enumerate(rows):
        question = np.random.default_rng([1, int(row["question"].split()[-1].rstrip("?"))])
        model = np.random.default_rng([2, int(row["model"][1:])])
        out[number] += 2 * question.standard_normal(DIMS) + signal * model.standard_normal(DIMS)
    return out


def planted(path: Path, questions: range, models: int = 4, seed: int = 0) -> Store:
    """A store of planted answers; one that exists is continued."""
    rows = planted_rows(questions, models, seed)
    return write_store(path, rows, planted_vectors(rows, seed=seed))
