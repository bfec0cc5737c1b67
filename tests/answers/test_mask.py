"""Names of assistants and their makers are masked, other words are not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from univar.answers.maker_names import MASK, mask_names


@pytest.mark.parametrize(
    ("answer", "masked"),
    [
        ("As ChatGPT, I was trained by OpenAI.", f"As {MASK}, I was trained by {MASK}."),
        ("I am Claude, made by Anthropic", f"I am {MASK}, made by {MASK}"),
        ("我是通义千问。", f"我是{MASK}。"),
    ],
)
def test_names_are_masked(answer: str, masked: str) -> None:
    got, named = mask_names(pa.array([answer]))
    assert got.to_pylist() == [masked]
    assert named.tolist() == [True]


def test_words_that_mean_other_things_stay() -> None:
    answers = [
        "The metal was heavy",
        "Search it with Google.",
        "Claude Monet painted.",
        "We care about family.",
    ]
    got, named = mask_names(pa.array(answers))
    assert got.to_pylist() == answers
    assert not named.any()
