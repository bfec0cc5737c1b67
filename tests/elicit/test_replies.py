"""Replies of every provider: an answer with its reasoning, or the true reason."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from univar.elicit.failures import message_in, retry_after_s
from univar.elicit.replies import decoded, read_reply, usable
from univar.elicit.requests import ModelGone, Permanent, Reply, RequestFailed, Transient, Unclear

ANSWER = "I would tell her the truth."
THOUGHT = "A friend asks. Honesty first."
USAGE = {"prompt_tokens": 12, "completion_tokens": 20}


def chat(message: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    """An OpenAI-style reply with this message."""
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": USAGE, **more}


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


ANSWERED: dict[str, Any] = {
    "Mistral: thinking and text parts": chat(
        said(
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                {"type": "text", "text": ANSWER},
            ]
        )
    ),
    "parts of plain strings": chat(said([f"<think>{THOUGHT}</think>", ANSWER])),
    "DeepSeek, vLLM: reasoning_content": chat(said(ANSWER, reasoning_content=THOUGHT)),
    "OpenRouter: reasoning": chat(said(ANSWER, reasoning=THOUGHT, refusal=None)),
    "OpenRouter: reasoning_details": chat(
        said(ANSWER, reasoning_details=[{"type": "reasoning.text", "text": THOUGHT}, {"data": "x"}])
    ),
    "llama.cpp: tags in the content": chat(said(f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}")),
    "gpt-oss: channels in the content": chat(
        said(
            f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
            f"<|start|>assistant<|channel|>final<|message|>{ANSWER}"
        )
    ),
    "Anthropic": {
        "type": "message",
        "content": [
            {"type": "thinking", "thinking": THOUGHT, "signature": "x"},
            {"type": "redacted_thinking", "data": "y"},
            {"type": "text", "text": ANSWER},
        ],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 12, "output_tokens": 20},
    },
    "Cohere": {
        "message": {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": ANSWER}],
        },
        "finish_reason": "COMPLETE",
        "usage": {"tokens": {"input_tokens": 12, "output_tokens": 20}},
    },
    "Gemini": {
        "candidates": [
            {
                "content": {"parts": [{"text": THOUGHT, "thought": True}, {"text": ANSWER}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 20},
    },
    "OpenAI: responses": {
        "status": "completed",
        "error": None,
        "output": [
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]},
            {"type": "message", "content": [{"type": "output_text", "text": ANSWER, "annotations": []}]},
        ],
        "usage": {"input_tokens": 12, "output_tokens": 20},
    },
    "Ollama": {
        "message": {"role": "assistant", "content": ANSWER, "thinking": THOUGHT},
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 12,
        "eval_count": 20,
    },
}


@pytest.mark.parametrize("body", ANSWERED.values(), ids=ANSWERED)
def test_each_shape_gives_answer_reasoning_and_tokens(body: Any) -> None:
    assert usable(read_reply(body)) == Reply(ANSWER, "stop", 12, 20, THOUGHT)


PLAIN: dict[str, Any] = {
    "a completion": {"choices": [{"text": f" {ANSWER}", "finish_reason": "stop"}], "usage": USAGE},
    "no reason to finish": chat(said(ANSWER), None),
    "an empty error": chat(said(ANSWER), error={}),
    "tokens as texts": {**chat(said(ANSWER)), "usage": {"prompt_tokens": "12", "completion_tokens": "20"}},
    "an end token": chat(said(f"{ANSWER}<|im_end|>")),
    "a refusal, in its field": chat(said(None, refusal=ANSWER)),
    "a refusal and an empty content": chat(said("", refusal=ANSWER)),
    "a refusal as a part": chat(said([{"type": "refusal", "refusal": ANSWER}])),
    "a list around it": [chat(said(ANSWER))],
    "an odd reasoning field": chat(said(ANSWER, reasoning=7)),
}


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN)
def test_an_answer_without_reasoning_is_found(body: Any) -> None:
    assert usable(read_reply(body)) == Reply(ANSWER, "stop", 12, 20)


FILTERED = "the endpoint's content filter withheld the answer"
NO_TOKENS = "no tokens were left for an answer: raise max_tokens in the model's sampling"
ALL_REASONING = "the reasoning used up all tokens: raise max_tokens in the model's sampling"
FINAL: dict[str, tuple[Any, str]] = {
    "filtered, no content": (chat({"role": "assistant"}, "content_filter"), FILTERED),
    "filtered, no message": ({"choices": [{"finish_reason": "content_filter"}], "usage": USAGE}, FILTERED),
    "filtered, with a beginning": (chat(said("I would"), "content_filter"), FILTERED),
    "Gemini filters the answer": ({"candidates": [{"finishReason": "SAFETY", "index": 0}]}, FILTERED),
    "Gemini filters the question": ({"promptFeedback": {"blockReason": "SAFETY"}}, FILTERED),
    "Anthropic filters": ({"type": "message", "content": [], "stop_reason": "refusal"}, FILTERED),
    "Cohere filters": ({"message": {"content": []}, "finish_reason": "ERROR_TOXIC"}, FILTERED),
    "responses filters": (
        {"output": [], "status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        FILTERED,
    ),
    "length, no content": (chat({"role": "assistant"}, "length"), NO_TOKENS),
    "Gemini, length": (
        {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]},
        NO_TOKENS,
    ),
    "length, only reasoning": (chat(said(None, reasoning_content=THOUGHT), "length"), ALL_REASONING),
    "length in the tags": (chat(said(f"<think>{THOUGHT}"), "length"), ALL_REASONING),
    "length in Anthropic's thinking": (
        {"content": [{"type": "thinking", "thinking": THOUGHT}], "stop_reason": "max_tokens"},
        ALL_REASONING,
    ),
    "responses, only reasoning": (
        {
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}],
        },
        ALL_REASONING,
    ),
    "stopped in the tags": (
        chat(said(f"<think>{THOUGHT}")),
        "the reply ends within its reasoning: raise max_tokens in the model's sampling",
    ),
    "only reasoning": (chat(said("", reasoning=THOUGHT)), "the reply holds reasoning but no answer"),
    "a tool call": (
        chat(said(None, tool_calls=[{"id": "1"}]), "tool_calls"),
        "the model called a tool instead of answering",
    ),
    "nothing": (chat(said("")), "the answer is empty"),
}


@pytest.mark.parametrize(("body", "reason"), FINAL.values(), ids=FINAL)
def test_a_reply_without_answer_is_final_with_its_reason(body: Any, reason: str) -> None:
    with pytest.raises(Permanent) as caught:
        usable(read_reply(body))
    assert (caught.value.reason, caught.value.charged, caught.value.about_question) == (reason, True, True)


ERRORS: dict[str, tuple[Any, type[RequestFailed], str]] = {
    "a code to try again": (
        {"error": {"message": "overloaded", "code": 502}},
        Transient,
        "error 502: overloaded",
    ),
    "a code as text": ({"error": {"message": "slow down", "code": "429"}}, Transient, "error 429: slow down"),
    "a provider's word": (
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        Transient,
        "error 503: Overloaded",
    ),
    "no such model": (
        {"choices": None, "error": {"message": "none left", "code": 404}},
        ModelGone,
        "error 404: none left",
    ),
    "a wrong request": (
        {"object": "error", "message": "bad field", "code": 400},
        Permanent,
        "error 400: bad field",
    ),
    "in the choice": (
        {"choices": [{"error": {"code": 500, "message": "it broke"}, "finish_reason": "error"}]},
        Transient,
        "error 500: it broke",
    ),
    "a list": (
        [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no seed"}}],
        Permanent,
        "error 400: no seed",
    ),
    "no code": ({"error": "something went wrong"}, Unclear, "the endpoint says: something went wrong"),
    "MiniMax": (
        {"base_resp": {"status_code": 1008, "status_msg": "no money"}},
        Unclear,
        "the endpoint says: no money",
    ),
}


@pytest.mark.parametrize(("body", "kind", "reason"), ERRORS.values(), ids=ERRORS)
def test_an_error_inside_a_success_is_taken_by_its_code(
    body: Any, kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind) as caught:
        usable(read_reply(body))
    assert str(caught.value) == reason
    assert not caught.value.charged  # type: ignore[attr-defined]


UNREADABLE: dict[str, tuple[bytes, dict[str, str], str]] = {
    "compressed": (gzip.compress(b"{}"), {"Content-Encoding": "gzip"}, "compressed (gzip)"),
    "compressed without a word": (gzip.compress(b"{}"), {}, "compressed (gzip)"),
    "brotli": (b"\x0b\x02\x80", {"Content-Encoding": "br"}, "compressed (br)"),
    "an event stream": (
        b'data: {"choices": []}\n\n',
        {"Content-Type": "text/event-stream"},
        "it is streamed",
    ),
    "an event stream without a word": (b"event: message_start\ndata: {}\n\n", {}, "it is streamed"),
    "lines of JSON": (
        b'{"message": {"content": "I"}}\n{"message": {"content": " do"}}\n',
        {},
        "it is streamed",
    ),
    "a web page": (b"<html><body>Bad \x1b[31mgateway</body></html>", {}, "(it begins: <html><body>Bad [31mg"),
    "nothing": (b"", {}, "(it is empty)"),
    "half of it": (b'{"choices": [{"message"', {}, 'not the JSON of this api (it begins: {"choices"'),
    "another object": (b'{"answer": 42}', {}, 'not the JSON of this api (it begins: {"answer": 42}'),
    "a number": (b"42", {}, "not the JSON of this api"),
    "content that is no text": (
        b'{"choices": [{"message": {"content": 42}}]}',
        {},
        "not the JSON of this api",
    ),
}


@pytest.mark.parametrize(("raw", "headers", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_reply_that_cannot_be_read_says_what_came(raw: bytes, headers: dict[str, str], says: str) -> None:
    with pytest.raises(Unclear) as caught:
        usable(read_reply(decoded(raw, headers)))
    assert says in caught.value.reason
    assert caught.value.charged
    assert caught.value.reason.isprintable()


WORDS: dict[str, tuple[Any, str]] = {
    "OpenAI": ({"error": {"message": "no seed", "type": "invalid_request_error", "code": None}}, "no seed"),
    "a list": ([{"error": {"code": 400, "message": "no seed", "status": "INVALID_ARGUMENT"}}], "no seed"),
    "FastAPI": (
        {"detail": [{"loc": ["body", "seed"], "msg": "not taken", "type": "x"}]},
        "body.seed: not taken",
    ),
    "FastAPI, a text": ({"detail": "Not here"}, "Not here"),
    "a text": ({"error": "no seed"}, "no seed"),
    "two texts": ({"error": "Bad Request", "message": "no seed"}, "Bad Request: no seed"),
    "several": ({"errors": [{"message": "one"}, {"message": "two"}]}, "one: two"),
    "OpenRouter": (
        {"error": {"message": "Provider error", "metadata": {"raw": '{"error": {"message": "no seed"}}'}}},
        "Provider error: no seed",
    ),
    "OpenRouter's moderation": (
        {"error": {"message": "held back", "metadata": {"reasons": ["violence", "war"]}}},
        "held back: violence, war",
    ),
    "only a code": ({"error": {"code": "unsupported_parameter"}}, "unsupported_parameter"),
    "a page": ("<html><script>x</script><h1>403</h1> Go\naway</html>", "403 Go away"),
    "control characters": ("a\x1b[31m\u202eb\u061cc", "a [31m b c"),
    "nothing": ({"status": 7}, ""),
}


@pytest.mark.parametrize(("body", "words"), WORDS.values(), ids=WORDS)
def test_the_servers_own_words_are_found(body: Any, words: str) -> None:
    assert message_in(body) == words


def test_long_words_are_cut() -> None:
    assert len(message_in({"error": "x" * 5000})) == 200


def in_an_hour() -> str:
    return format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "7"}, 7, 7),
        ({"Retry-After": "0.5"}, 0.5, 0.5),
        ({"Retry-After": "1, 1"}, 1, 1),
        ({"Retry-After": "-3"}, 0, 0),
        ({"Retry-After": "Wed, 01 Jan 2020 00:00:00 GMT"}, 0, 0),
        ({"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}, 0, 0),
        ({"Retry-After": in_an_hour()}, 3500, 3600),
        ({"retry-after-ms": "250"}, 0.25, 0.25),
    ],
)
def test_a_wait_is_understood(headers: Mapping[str, str], low: float, high: float) -> None:
    seconds = retry_after_s(headers)
    assert seconds is not None
    assert low <= seconds <= high


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "nan",
        "inf",
        "1e300",
        "9" * 400,
        "2020-01-01T00:00:00Z",
        "Mon, 99 Foo 0000 99:99:99 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "\x00",
    ],
)
def test_a_senseless_wait_is_ignored(text: str) -> None:
    assert retry_after_s({"Retry-After": text}) is None
