"""The three ways in which endpoints are spoken to: a request's path, headers and body, and what its reply
says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from univar.elicit.asks import Ask, Permanent, Reply, Transient
from univar.elicit.models import Model

Json = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """One protocol.

    body: what is sent for an ask; read: the Reply in a decoded answer (KeyError, TypeError or IndexError
    where it is none); key_header: name and prefix of the header that carries the key; counters: paths that
    may count the tokens of a prompt and the field with the count, "../" standing for the url without version.
    """

    path: str
    body: Callable[[Model, Ask], Json]
    read: Callable[[Json], Reply]
    key_header: tuple[str, str]
    headers: tuple[tuple[str, str], ...] = ()
    counters: tuple[tuple[str, str], ...] = ()


def messages(ask: Ask) -> list[Json]:
    """The chat of an ask: a system prompt if there is one, and the question."""
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    return [*system, {"role": "user", "content": ask.question}]


def chat_body(model: Model, ask: Ask) -> Json:
    """The body that OpenAI-compatible endpoints take; Cohere's has the same form."""
    seed = {"seed": ask.seed} if model.seeded else {}
    return {"model": model.model, "messages": messages(ask), **model.sampling, **seed}


def _anthropic_body(model: Model, ask: Ask) -> Json:
    system = {"system": ask.system} if ask.system else {}
    user = [{"role": "user", "content": ask.question}]
    return {"model": model.model, **system, "messages": user, **model.sampling}


def read_chat(data: Json) -> Reply:
    """The Reply in an OpenAI-compatible answer."""
    choice = data["choices"][0]
    message = choice["message"]
    answer = message["content"]
    if answer is None and message.get("refusal"):
        answer = message["refusal"]
    usage = data.get("usage") or {}
    return _reply(
        answer, choice.get("finish_reason"), usage.get("prompt_tokens"), usage.get("completion_tokens")
    )


def _read_anthropic(data: Json) -> Reply:
    usage = data.get("usage") or {}
    finish = {"max_tokens": "length", "end_turn": "stop", "stop_sequence": "stop"}.get(
        data["stop_reason"], data["stop_reason"]
    )
    return _reply(_text(data["content"]), finish, usage.get("input_tokens"), usage.get("output_tokens"))


def _read_cohere(data: Json) -> Reply:
    usage = (data.get("usage") or {}).get("tokens") or {}
    finish = {"MAX_TOKENS": "length", "COMPLETE": "stop"}.get(data["finish_reason"], data["finish_reason"])
    return _reply(
        _text(data["message"]["content"]), finish, usage.get("input_tokens"), usage.get("output_tokens")
    )


def _text(parts: list[Json]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")


def _reply(answer: Any, finish: Any, prompt_tokens: Any, completion_tokens: Any) -> Reply:
    if not (answer is None or isinstance(answer, str)):
        raise TypeError("the answer is no text")
    return Reply(
        (answer or "").strip(),
        finish if isinstance(finish, str) else "stop",
        *map(_count, (prompt_tokens, completion_tokens)),
    )


def _count(tokens: Any) -> int | None:
    return int(tokens) if isinstance(tokens, int | float) and 0 <= tokens < 1e9 else None


APIS = {
    "openai": Api(
        "/chat/completions",
        chat_body,
        read_chat,
        ("Authorization", "Bearer "),
        # llama.cpp's server and vLLM's
        counters=(("/chat/completions/input_tokens", "input_tokens"), ("../tokenize", "count")),
    ),
    "anthropic": Api(
        "/messages",
        _anthropic_body,
        _read_anthropic,
        ("x-api-key", ""),
        (("anthropic-version", "2023-06-01"),),
        (("/messages/count_tokens", "input_tokens"),),
    ),
    "cohere": Api("/chat", chat_body, _read_cohere, ("Authorization", "Bearer ")),
}


def usable(reply: Reply) -> Reply:
    """`reply` if there is an answer in it; AskFailed else. What was used of tokens goes along."""
    if reply.finish in ("content_filter", "ERROR_TOXIC"):
        raise Permanent("the endpoint's content filter kept the answer back", charged=True, reply=reply)
    if not reply.answer:
        raise Permanent("the answer is empty", charged=True, reply=reply)
    try:
        reply.answer.encode()
    except UnicodeEncodeError:
        raise Transient("the answer has half of a surrogate pair", charged=True, reply=reply) from None
    return reply
