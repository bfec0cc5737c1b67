"""Why an endpoint gave no answer: errors by status or inside a reply, in the server's own words."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from univar.elicit.requests import ModelGone, Permanent, Reply, RequestFailed, Transient, Unclear

Json = dict[str, Any]

LONGEST_SENSIBLE_WAIT_S = 7 * 86_400.0
"""A Retry-After beyond this is ignored."""

_SHOWN = 200  # characters of a server's message in a reason
_UNPRINTABLE = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+"
)
_HTML_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^<>]{1,500}>", re.IGNORECASE | re.DOTALL)

_BUSY = (429, 503, 529)
_AGAIN = (408, 409, 425, 500, 502, 504, 520, 521, 522, 523, 524)
_GONE = (401, 402, 404, 405, 407, 410)
_STATUS_WORDS = {
    400: "invalid_request_error invalid_argument context_length_exceeded content_filter invalidparameter",
    401: "authentication_error unauthenticated invalid_api_key",
    402: "insufficient_quota billing_error",
    403: "permission_error permission_denied",
    404: "not_found_error not_found model_not_found",
    429: "rate_limit_error rate_limit_exceeded resource_exhausted throttling",
    500: "api_error server_error internal internal_error internal_server_error",
    503: "overloaded_error unavailable overloaded",
    504: "timeout_error deadline_exceeded",
}
_STATUS = {word: status for status, words in _STATUS_WORDS.items() for word in words.split()}
_ABOUT_QUESTION = re.compile(
    r"moderation|flagged|content[ _-]?(?:filter|policy|management|safety)|responsibleai|safety|harmful|"
    r"inappropriate|sensitive|prompt[ _-]?shield|blocked by|usage polic|context[ _-]?length|context window|"
    r"too (?:long|many tokens)|maximum context",
    re.IGNORECASE,
)
_ABOUT_ACCESS = re.compile(
    r"api[ _-]?key|credential|permission|unauthori[sz]ed|not authori[sz]ed|access (?:is )?denied|"
    r"no access|have access|region|country|territory|account|organi[sz]ation|billing|subscription|"
    r"credits?\b|quota",
    re.IGNORECASE,
)


def unreadable(what: str, plain: bool = False) -> Unclear:
    """The failure of a reply that is no answer of any api. what: its text, or with `plain` what it is."""
    if plain:
        return Unclear(f"the reply cannot be read: {what}: change that at the server or proxy", charged=True)
    shown = f" (it begins: {what})" if what else " (it is empty)"
    return Unclear(f"the reply is not the JSON of this api{shown}", charged=True)


def http_error(status: int, headers: Mapping[str, str], raw: bytes, host: str) -> RequestFailed:
    """The failure that a status outside 200 to 299 stands for."""
    if 300 <= status < 400:
        return ModelGone(
            f"HTTP {status}: {host} redirects to another address, and redirects are not followed: "
            "put that address into models.toml as url, if you trust it"
        )
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = raw.decode("utf-8", "replace")
    return _failure(status, f"HTTP {status}", body, retry_after_s(headers))


def error_inside(body: Json, reply: Reply | None = None) -> RequestFailed:
    """The failure of a reply that arrived as a success but holds an error."""
    said = message_in(body)
    if not said:
        return unreadable(shortened(json.dumps(body)))
    status = next(_statuses(body), None)
    if status is None:
        charged = reply is not None and bool(reply.completion_tokens)
        return Unclear(f"the endpoint says: {said}", charged=charged, reply=reply)
    return _failure(status, f"error {status}", body, None)


def _failure(status: int, label: str, body: Any, retry_after: float | None) -> RequestFailed:
    said = message_in(body)
    reason = f"{label}: {said}" if said else label
    everything = f"{said} {json.dumps(body)[:5000]}"
    about_question = _ABOUT_QUESTION.search(everything) is not None
    if status in _GONE or "insufficient_quota" in everything:
        return ModelGone(reason)
    if status == 403 and not about_question and _ABOUT_ACCESS.search(everything):
        return ModelGone(reason)
    if status in _BUSY:
        return Transient(reason, busy=status != 503, retry_after_s=retry_after)
    if status in _AGAIN or status > 504:
        return Transient(reason, retry_after_s=retry_after)
    return Permanent(reason, about_question=about_question)


def _statuses(value: Any) -> Iterator[int]:
    """HTTP statuses that an error object names, as numbers or as providers' words."""
    error = as_object(value)
    for key in ("code", "status", "status_code", "http_status", "type", "error_code"):
        found = error.get(key)
        status = _STATUS.get(found.lower()) if isinstance(found, str) else None
        number = count(found) or 0
        if status is not None or 400 <= number < 600:
            yield status or number
    for key in ("error", "base_resp"):
        if isinstance(error.get(key), dict):
            yield from _statuses(error[key])


def batch_failure(line: Json) -> str:
    """Why a result line of a batch holds no reply, in the server's own words; "" if it holds one."""
    response = as_object(line.get("response"))
    status = count(response.get("status_code"))
    said = message_in(line.get("error")) or (message_in(response.get("body")) if status != 200 else "")
    if status is not None and not 200 <= status < 300:
        return f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status is None or (line.get("error") and not response.get("body")):
        return f"the batch gave no result: {said}" if said else "the batch gave no result"
    return ""


def message_in(body: Any) -> str:
    """An error body in the server's own words: printable, on one line, cut; "" if it says nothing."""
    said = list(dict.fromkeys(filter(None, (shortened(text) for text in _messages(body)))))
    return shortened(": ".join(said))


_WORDS = ("error", "message", "msg", "detail", "errors", "error_msg", "status_msg", "base_resp", "title")


def _messages(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > 6:
        return
    if isinstance(value, str):
        if value.lstrip()[:1] in ("{", "[") and is_json(value):
            yield from _messages(json.loads(value), depth + 1)
        else:
            yield _HTML_TAG.sub(" ", value)
    elif isinstance(value, list):
        for one in value[:3]:
            yield from _messages(one, depth + 1)
    elif isinstance(value, dict):
        place = value.get("loc")
        if isinstance(place, list) and place:
            yield ".".join(map(str, place))
        said = [text for word in _WORDS if value.get(word) for text in _messages(value[word], depth + 1)]
        yield from said or (text for text in (value.get("code"), value.get("type")) if isinstance(text, str))
        metadata = as_object(value.get("metadata"))
        yield from _messages(metadata.get("raw"), depth + 1)
        if isinstance(reasons := metadata.get("reasons"), list):
            yield ", ".join(str(reason) for reason in reasons[:5])


def is_json(text: str) -> bool:
    """Whether `text` is one JSON value."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def shortened(text: str) -> str:
    """`text` on one line without control characters, cut to what fits a reason."""
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the headers ask to wait; None for nothing, and for what makes no sense."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return _sensible(milliseconds / 1000)
    text = headers.get("Retry-After", "").partition(";")[0].strip()
    if (seconds := _number(text.partition(",")[0])) is not None:
        return _sensible(seconds)
    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
        return _sensible((when - datetime.now(timezone.utc)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float((text or "").strip().removesuffix("s"))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _sensible(seconds: float) -> float | None:
    return max(seconds, 0.0) if seconds <= LONGEST_SENSIBLE_WAIT_S else None


def count(tokens: Any) -> int | None:
    """A number of tokens, or a status, as a server wrote it; None for anything else."""
    try:
        number = float(tokens) if not isinstance(tokens, bool) else math.nan
    except (TypeError, ValueError):
        return None
    return int(number) if 0 <= number < 1e9 else None


def as_object(value: Any) -> Json:
    """`value` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}
