"""What an endpoint's reply says: an answer with its reasoning and tokens, or why there is none.

One reader knows the shapes of all providers (OpenAI's chat, completions and responses, Anthropic, Cohere,
Gemini, Mistral, Ollama), since gateways mix them. What a server says in its own words is part of the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from univar.answers.reasoning import split_reasoning
from univar.elicit.failures import as_object, count, error_inside, is_json, shortened, unreadable
from univar.elicit.requests import Permanent, Reply, Unclear

Json = dict[str, Any]

_FINISH = {
    "length": "length max_tokens max_output_tokens max_completion_tokens max_token model_length token_limit",
    "stop": "stop end_turn stop_sequence complete completed eos eos_token finish finished",
    "content_filter": "content_filter content_filtered error_toxic safety prohibited_content blocklist spii "
    "recitation refusal guardrail_intervened sensitive moderation",
    "tool_calls": "tool_calls tool_call tool_use function_call malformed_function_call",
}
_FINISH_WORDS = {word: finish for finish, words in _FINISH.items() for word in words.split()}

_TEXT_FIELDS = ("text", "thinking", "refusal", "content", "summary", "reasoning", "parts", "value")
_NO_TEXT = ("tool_use", "tool_call", "function_call", "image", "image_url", "redacted_thinking")


def read_reply(body: Any) -> Reply:
    """The Reply in a decoded body, its answer still as it came. Raises RequestFailed for an error in it."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        raise unreadable(shortened(body if isinstance(body, str) else json.dumps(body)))
    found = _message(body)
    if found is None:
        raise error_inside(body)
    content, apart, finish = found
    if not isinstance(content, str | list | dict | None):
        raise unreadable(shortened(json.dumps(body)))
    answer, reasoning = _parts(content)
    reply = Reply(answer, _finish(finish), *_usage(body), _joined(*_parts(apart), reasoning))
    error = body.get("error") or _first(body.get("choices")).get("error")
    if error and not answer:
        raise error_inside(error if isinstance(error, dict) else body, reply)
    return reply


def usable(reply: Reply) -> Reply:
    """`reply` with its answer apart from reasoning and template tokens; RequestFailed if it has no answer."""
    split = split_reasoning(reply.answer)
    reasoning = _joined(reply.reasoning, split.reasoning)
    reply = Reply(split.answer, reply.finish, reply.prompt_tokens, reply.completion_tokens, reasoning)
    reason = _no_answer(reply, split.complete)
    if reason:
        raise Permanent(reason, charged=True, reply=reply, about_question=True)
    try:
        (reply.answer + reply.reasoning).encode()
    except UnicodeEncodeError:
        raise Unclear("the answer has half of a surrogate pair", charged=True, reply=reply) from None
    return reply


def _no_answer(reply: Reply, complete: bool) -> str:
    """Why `reply` has no answer; "" if it has one."""
    if reply.finish == "content_filter":
        return "the endpoint's content filter withheld the answer"
    if reply.answer:
        return ""
    if reply.finish == "length":
        used = "the reasoning used up all tokens" if reply.reasoning else "no tokens were left for an answer"
        return f"{used}: raise max_tokens in the model's sampling"
    if not complete:
        return "the reply ends within its reasoning: raise max_tokens in the model's sampling"
    if reply.finish == "tool_calls":
        return "the model called a tool instead of answering"
    return "the reply holds reasoning but no answer" if reply.reasoning else "the answer is empty"


def _message(body: Json) -> tuple[Any, Any, Any] | None:
    """(content, separate reasoning, finish) of the first answer in a body; None if it has no known shape."""
    if choice := _first(body.get("choices")):
        message = choice.get("message")
        finish = choice.get("finish_reason")
        if not isinstance(message, dict):
            return choice.get("text"), None, finish
        return _content(message), _reasoning(message), finish
    if candidate := _first(body.get("candidates")):  # Gemini
        content = candidate.get("content")
        return (
            content.get("parts") if isinstance(content, dict) else None,
            None,
            candidate.get("finishReason"),
        )
    if as_object(body.get("promptFeedback")).get("blockReason"):
        return None, None, "content_filter"
    if isinstance(body.get("output"), list):  # OpenAI's responses
        return (
            body["output"],
            None,
            as_object(body.get("incomplete_details")).get("reason", body.get("status")),
        )
    finish = body.get("finish_reason") or body.get("stop_reason") or body.get("done_reason")
    if isinstance(message := body.get("message"), dict):  # Cohere, Ollama
        return _content(message), _reasoning(message), finish
    if isinstance(body.get("content"), list):  # Anthropic
        return body["content"], None, finish
    text = next((body[key] for key in ("response", "generated_text") if isinstance(body.get(key), str)), None)
    return None if text is None else (text, body.get("thinking"), finish)


def _content(message: Json) -> Any:
    """What a message says: its content, or the refusal that stands in its place."""
    content = message.get("content")
    return content if content not in (None, "", []) else message.get("refusal")


def _reasoning(message: Json) -> Any:
    """The reasoning that a message holds in a field of its own."""
    names = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
    return next((message[name] for name in names if message.get(name)), None)


def _parts(content: Any) -> tuple[str, str]:
    """(answer, reasoning) of a content: a text, or parts of several types. What is no text is left out."""
    if isinstance(content, str):
        return content, ""
    answers, thoughts = [], []
    for part in content if isinstance(content, list) else [content]:
        answer, thought = _part(part)
        answers.append(answer)
        thoughts.append(thought)
    return "".join(answers), _joined(*thoughts)


def _part(part: Any) -> tuple[str, str]:
    """(answer, reasoning) of one part; neither for an image, a tool call and the like."""
    if isinstance(part, str):
        return part, ""
    if not isinstance(part, dict) or part.get("type") in _NO_TEXT:
        return "", ""
    inner = next((part[name] for name in _TEXT_FIELDS if part.get(name)), "")
    answer, thought = _parts(inner)
    if part.get("type") in ("thinking", "reasoning", "thought") or part.get("thought") is True:
        return "", _joined(answer, thought)
    return answer, thought


def _usage(body: Json) -> tuple[int | None, int | None]:
    """(tokens of the prompt, of the answer), None where the reply does not say."""
    usage = as_object(body.get("usage") or body.get("usageMetadata") or body)
    usage = as_object(usage.get("tokens") or usage)
    prompt = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_eval_count")
    completion = ("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count")
    counts = [
        next((usage[name] for name in names if usage.get(name) is not None), None)
        for names in (prompt, completion)
    ]
    return count(counts[0]), count(counts[1])


def _finish(word: Any) -> str:
    """Why an answer ended, in our words if they are known; "stop" if the reply does not say."""
    if not isinstance(word, str) or not word:
        return "stop"
    return _FINISH_WORDS.get(word.lower()) or shortened(word)[:40]


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip() for text in texts if text.strip())


def _first(choices: Any) -> Json:
    return as_object(choices[0]) if isinstance(choices, list) and choices else {}


def decoded(raw: bytes, headers: Mapping[str, str]) -> Any:
    """The JSON of a reply's bytes. Raises Unclear, with what came instead."""
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity") or raw[:2] == b"\x1f\x8b" or raw[:4] == b"\x28\xb5\x2f\xfd":
        raise unreadable(f"it is compressed ({encoding or 'gzip'}), which univar did not ask for", plain=True)
    if "event-stream" in headers.get("Content-Type", "") or re.match(rb"\s*(?:data|event|id)\s?:", raw):
        raise unreadable("it is streamed, which univar did not ask for", plain=True)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        text = raw.decode("utf-8", "replace")
    if len(lines := text.strip().splitlines()) > 1 and is_json(lines[0]) and is_json(lines[-1]):
        raise unreadable("it is streamed, which univar did not ask for", plain=True)
    raise unreadable(shortened(text))
