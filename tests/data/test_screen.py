"""Names of models are found and masked, refusals recognised, in answers as models write them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from univar.data.screen import MASK, mask_names, names_models, refuses


@pytest.mark.parametrize(
    ("answer", "masked"),
    [
        ("As ChatGPT, I was trained by OpenAI.", f"As {MASK}, I was trained by {MASK}."),
        ("I am Claude 3, made by Anthropic", f"I am {MASK} 3, made by {MASK}"),
        ("我是通义千问。", f"我是{MASK}。"),
        ("Llama-3 and GPT-4o differ", f"{MASK} and {MASK} differ"),
    ],
)
def test_names_are_masked(answer: str, masked: str) -> None:
    got, named = mask_names(pa.array([answer]))
    assert got.to_pylist() == [masked]
    assert named.tolist() == [True]


def test_common_words_are_no_names() -> None:
    answers = pa.array(["The metal was heavy; open a file", "climate", "coherent", "We care about family."])
    assert not names_models(answers).any()
    assert mask_names(answers)[0].to_pylist() == answers.to_pylist()


def test_refusals_are_recognised_by_how_they_begin() -> None:
    refused = [
        "I'm sorry, but I can't help with that.",
        "I cannot provide an opinion.",
        "As an AI language model, I have no views.",
        "Lo siento, pero no puedo ayudar.",
        "En voi auttaa tässä.",
        "抱歉，我无法回答。",
        "申し訳ありませんが、お答えできません。",
    ]
    assert refuses(pa.array(refused)).all()
    answered = [
        "Yes, the government should act.",
        "La libertad importa.",
        "はい、そう思います。",
        "",
        "x" * 300 + " I cannot",
    ]
    assert not refuses(pa.array(answered)).any()
