"""Errors as the OpenAI API writes them, and JSON that holds vectors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "too_large_error",
    415: "invalid_request_error",
    500: "server_error",
    503: "overloaded_error",
}
"""HTTP status -> what the error is called."""


class Rejection(Exception):
    """A request that is answered with an error.

    param: the field at fault; retry_after_s: when to ask again, with status 503
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param = status, message, param
        self.headers = {} if retry_after_s is None else {"retry-after": str(max(1, retry_after_s))}
        if status == 401:
            self.headers["www-authenticate"] = "Bearer"

    @property
    def response(self) -> Response:
        """The error as a reply."""
        return error_reply(self.status, self.message, self.param, self.headers)


def error_reply(
    status: int, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """`{"error": {"message", "type", "param", "code"}}`."""
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": param, "code": status}
    body = json.dumps({"error": error})  # ASCII: the message may hold half a character
    return Response(body, status, dict(headers or {}), "application/json")


def json_reply(facts: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Facts as JSON, NumPy arrays included: float32 as the shortest number that is read back the same."""
    body = orjson.dumps(facts, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, 200, dict(headers or {}), "application/json")
