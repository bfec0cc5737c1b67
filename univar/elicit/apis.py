"""The three protocols of endpoints: path, headers and body of a request, and how its reply is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from univar.elicit.requests import ModelEntry, Permanent, Reply, Request, Transient

Json = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """One protocol.

    body: what is sent for a request; read: the Reply in a decoded body (KeyError, TypeError or IndexError
    if it has none); key_header: name and prefix of the header with the key; counters: paths that may count
    the tokens of a prompt, and the field of the count; "../" stands for the url without its version.
    """

    path: str
    body: Callable[[ModelEntry, Request], Json]
    read: Callable[[Json], Reply]
    key_header: tuple[str, str]
    headers: tuple[tuple[str, str], ...] = ()
    counters: tuple[tuple[str, str], ...] = ()


def messages(request: Request) -> list[Json]:
    """The chat of a request: a system prompt if there is one, and the question."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, {"role": "user", "content": request.question}]


def chat_body(model: ModelEntry, request: Request) -> Json:
    """The body for OpenAI-compatible endpoints, and for Cohere's."""
    seed = {"seed": request.seed} if model.seeded else {}
    return {"model": model.model, "messages": messages(request), **model.sampling, **seed}


def _anthropic_body(model: ModelEntry, request: Request) -> Json:
    system = {"system": request.system} if request.system else {}
    user = [{"role": "user", "content": request.question}]
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
        raise TypeError("the answer is not text")
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
        # llama.cpp's server, vLLM's
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
    """`reply` if it holds an answer; else RequestFailed, with the tokens that were used."""
    if reply.finish in ("content_filter", "ERROR_TOXIC"):
        raise Permanent("the endpoint's content filter withheld the answer", charged=True, reply=reply)
    if not reply.answer:
        raise Permanent("the answer is empty", charged=True, reply=reply)
    try:
        reply.answer.encode()
    except UnicodeEncodeError:
        raise Transient("the answer has half of a surrogate pair", charged=True, reply=reply) from None
    return reply
