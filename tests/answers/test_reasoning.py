"""Answers apart from reasoning and template tokens, and texts that only mention such tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from univar.answers.reasoning import SplitAnswer, split_reasoning

ANSWER = "I would keep my word.\n\nUnless it hurts somebody."
THOUGHT = "They ask about promises. 1 < 2."

BOTH = {
    "think": f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}",
    "think on one line": f"<think>{THOUGHT}</think>{ANSWER}",
    "thinking with an attribute": f'<thinking duration="3">{THOUGHT}</thinking> {ANSWER}',
    "reasoning": f"<reasoning>\n{THOUGHT}\n</reasoning>\n{ANSWER}",
    "capitals": f"<THINK>{THOUGHT}</THINK>\n{ANSWER}",
    "a maker's own name": f"<seed:think>{THOUGHT}</seed:think>{ANSWER}",
    "brackets": f"[THINK]{THOUGHT}[/THINK]{ANSWER}",
    "triangles": f"◁think▷{THOUGHT}◁/think▷{ANSWER}",
    "escaped": f"&lt;think&gt;{THOUGHT}&lt;/think&gt;\n{ANSWER}",
    "the opening tag was in the prompt": f"{THOUGHT}\n</think>\n\n{ANSWER}",
    "the same without line breaks": f"{THOUGHT}</think>{ANSWER}",
    "the same after a full stop": f"{THOUGHT} </think> {ANSWER}",
    "the answer is wrapped": f"<think>{THOUGHT}</think>\n<answer>\n{ANSWER}\n</answer>",
    "thought and solution": f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>\n\n"
    f"<|begin_of_solution|>{ANSWER}<|end_of_solution|>",
    "template tokens around it": f"<|im_start|>assistant\n<think>\n{THOUGHT}\n</think>\n\n{ANSWER}<|im_end|>",
    "harmony": f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{ANSWER}",
    "harmony to its end": f"<|start|>assistant<|channel|>analysis<|message|>{THOUGHT}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
    "harmony without its tokens": f"analysis{THOUGHT}assistantfinal{ANSWER}",
    "another channel": f"<|channel>thought\n{THOUGHT}\n<channel|>{ANSWER}",
    "headings": f"Here is my thought process:\n{THOUGHT}\n\nHere is my response:\n{ANSWER}",
}


@pytest.mark.parametrize("text", BOTH.values(), ids=BOTH)
def test_reasoning_is_separated_from_the_answer(text: str) -> None:
    assert split_reasoning(text) == SplitAnswer(ANSWER, THOUGHT)


UNFINISHED = {
    "think": f"<think>\n{THOUGHT}",
    "after template tokens": f"<|start_header_id|>assistant<|end_header_id|>\n\n<think>{THOUGHT}",
    "harmony": f"<|channel|>analysis<|message|>{THOUGHT}",
    "harmony without its tokens": f"analysis{THOUGHT}",
    "brackets": f"[THINK]{THOUGHT}",
    "headings": f"Here's my thought process: {THOUGHT}",
}


@pytest.mark.parametrize("text", UNFINISHED.values(), ids=UNFINISHED)
def test_a_text_that_ends_in_its_reasoning_has_no_answer(text: str) -> None:
    assert split_reasoning(text) == SplitAnswer("", THOUGHT, complete=False)


def test_several_stretches_of_reasoning_are_all_separated() -> None:
    found = split_reasoning("<think>a</think>One.\n<think>b</think>Two.")
    assert (found.answer, found.reasoning) == ("One.\nTwo.", "a\n\nb")
    found = split_reasoning("<think>a <think> b</think> c</think>Two.")
    assert (found.answer, "b" in found.reasoning, "c" in found.reasoning) == ("Two.", True, True)


def test_empty_reasoning_is_none() -> None:
    assert split_reasoning(f"<think>\n\n</think>\n\n{ANSWER}") == SplitAnswer(ANSWER)


def test_reasoning_alone_is_no_answer() -> None:
    assert split_reasoning(f"<think>{THOUGHT}</think>\n") == SplitAnswer("", THOUGHT)


def test_an_answer_before_unfinished_reasoning_is_kept() -> None:
    assert split_reasoning(f"Yes.\n<think>{THOUGHT}") == SplitAnswer("Yes.", THOUGHT, complete=False)


TOKENS = (
    "{}<|im_end|>",
    "{}<|im_end|>\n",
    "{}<|eot_id|>",
    "{}</s>",
    "{}</s></s>",
    "<s> {}</s>",
    "{}<|end|>",
    "{}<|endoftext|>",
    "{}<|end_of_text|>",
    "{}<end_of_turn>",
    "{}<|return|>",
    "{}<eos><pad><pad>",
    "{}<|END_OF_TURN_TOKEN|>",
    "{}<｜end▁of▁sentence｜>",
    "{}<end_of_utterance>",
    "<|im_start|>assistant\n{}<|im_end|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
    "<start_of_turn>model\n{}<end_of_turn>\n",
    "[/INST] {}</s>",
    "<|assistant|>\n{}",
    "assistant\n\n{}",
)


@pytest.mark.parametrize("frame", TOKENS)
def test_template_tokens_are_removed(frame: str) -> None:
    assert split_reasoning(frame.format(ANSWER)) == SplitAnswer(ANSWER)


@pytest.mark.parametrize(
    "frame",
    ["{}<|im_end|>\n<|im_start|>user\nAnd now?", "{}<|eot_id|>user\nAnd now?", "{}</s>[INST]And now?"],
)
def test_a_turn_that_the_model_made_up_is_kept_apart(frame: str) -> None:
    found = split_reasoning(frame.format(ANSWER))
    assert (found.answer, found.rest.endswith("And now?")) == (ANSWER, True)


@pytest.mark.parametrize(
    "text",
    [
        "Close it with `</think>` and go on.",
        "Models write `<think>` before they answer.",
        'The tag "<think>" opens it and "</think>" closes it.',
        "Use <think> and </think> around it.",
        "Put the <reasoning> tag there.",
        "In HTML <s>old</s> means struck out, and <b>new</b> is bold.",
        "<s>old</s> new",
        "ChatML ends a turn with `<|im_end|>`, Llama with '<|eot_id|>'.",
        "1 < 2 and [THIS] is <b>bold</b>; a <- b; x << y",
        "Here is my view: it is right.",
        "analysis of the matter shows nothing",
        "<answer>yes</answer>",
    ],
)
def test_a_text_that_mentions_a_tag_stays(text: str) -> None:
    assert split_reasoning(text) == SplitAnswer(text)


@given(st.text(st.characters(exclude_characters="<[◁&", exclude_categories=["Cs"])))
def test_other_texts_are_only_stripped(text: str) -> None:
    if not text.lstrip().startswith(("analysis", "Here", "assistant")):
        assert split_reasoning(text) == SplitAnswer(text.strip())


PIECES = [
    "<think>",
    "</think>",
    "<|im_end|>",
    "<s>",
    "</s>",
    "<|channel|>final<|message|>",
    "a b",
    "\n",
    "`",
    " ",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_no_letter_is_lost_or_made_up(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = split_reasoning(text)
    kept = found.answer + found.reasoning + found.rest
    assert kept.count("a b") == text.count("a b")


@pytest.mark.parametrize(
    "piece",
    ["<think>", "</think>", "x<think>a</think>", "<|im_start|>", "<s>x</s>y", "a <think> b", "`<think>`"],
)
def test_a_long_text_full_of_tags_takes_no_long_time(piece: str) -> None:
    split_reasoning(piece * (500_000 // len(piece)))  # pytest's time limit is the assertion
