"""What every request passes first: its key, its size, how many others there are; and headers of all replies.

Plain ASGI, since a request that is refused must cost next to nothing. The body is read here, whole, so that
nothing larger than the limit ever reaches an endpoint.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any

from univar.serve.replies import Rejection

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from univar.serve.service import Service

OPEN_PATHS = frozenset({"/", "/healthz"})
"""What needs no key: the page, which asks for it, and the sign of life."""

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_DISCARDED_BYTES = 256 << 20
"""Of a body that is too large so much is read and dropped: a client that still sends reads no reply."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Gate:
    """Lets requests through to `app`, or answers them itself."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service
        settings = service.settings
        self.settings = settings
        self.running = 0
        self.bytes_held = 0
        key = settings.api_key
        self._key_hash = None if key is None else _hash(key.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                last = ((b"connection", b"close"),) if self.service.draining else ()
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS, *last]}
            await send(message)

        try:
            await self._answer(scope, receive, send_with_headers)
        finally:
            self.service.metrics.answered(scope["path"], status, time.monotonic() - began)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(scope, receive)
        try:
            self._check_host(scope)
            if scope["path"] in OPEN_PATHS or scope["method"] == "OPTIONS":
                await self.app(scope, receive, send)
                return
            self._check_key(scope)
            if scope["method"] != "POST":
                await self.app(scope, receive, send)
                return
            await self._with_body(scope, body, send)
        except Rejection as rejection:
            if rejection.status != 408:
                await body.discard()
            await rejection.response(scope, receive, send)

    async def _with_body(self, scope: Scope, body: _Body, send: Send) -> None:
        """Read the body and pass it on, if there is room for it."""
        limit = self.settings.payload_limit
        declared = body.declared
        if declared is not None and declared > limit:
            raise self._too_large()
        if self.running >= self.settings.max_concurrent_requests:
            raise self._full("the server works on as many requests as it takes")
        self.service.check_busy()
        held = declared if declared is not None else limit
        if self.bytes_held + held > self.settings.bytes_in_flight:
            raise self._full("the server holds as much text as it takes")
        self.running += 1
        self.bytes_held += held
        try:
            try:
                await asyncio.wait_for(body.read(limit), self.settings.request_timeout_s)
            except asyncio.TimeoutError:
                raise Rejection(408, "the request's body did not arrive in time") from None
            except OverflowError:
                raise self._too_large() from None
            if not body.gone:
                await self.app(scope, body.replay, send)
        finally:
            self.running -= 1
            self.bytes_held -= held

    def _too_large(self) -> Rejection:
        return Rejection(
            413,
            f"the request has more than {self.settings.payload_limit:,} bytes: send fewer or shorter texts "
            "(--payload-limit)",
        )

    def _full(self, why: str) -> Rejection:
        return Rejection(503, f"{why}: ask again later", retry_after_s=self.service.retry_after_s())

    def _check_key(self, scope: Scope) -> None:
        """Compare the key in constant time, by hashes of one length."""
        if self._key_hash is None:
            return
        kind, _, key = _header(scope, b"authorization").partition(b" ")
        given = _hash(key.strip())
        if not hmac.compare_digest(given, self._key_hash) or kind.lower() != b"bearer":
            raise Rejection(401, "the key is missing or wrong: send `Authorization: Bearer <key>`")

    def _check_host(self, scope: Scope) -> None:
        if self.settings.local_only and _host(_header(scope, b"host")) not in LOCAL_NAMES:
            raise Rejection(
                403, "the request names another host: ask for localhost, or start the server with a key"
            )


class _Body:
    """The body of a request, read in full before anybody works on it."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._expects_go_ahead = _header(scope, b"expect").lower() == b"100-continue"
        length = _header(scope, b"content-length")
        self.declared = int(length) if length.isdigit() else None
        self.gone = False
        self._has_more = scope["method"] not in ("GET", "HEAD") and self.declared != 0
        self._body = bytearray()
        self._replayed = False

    async def read(self, limit: int) -> None:
        """Raises OverflowError at more than `limit` bytes."""
        while self._has_more:
            self._body += await self._chunk()
            if len(self._body) > limit:
                self._body.clear()
                raise OverflowError

    async def discard(self) -> None:
        """Read on and forget, so that the client gets to reading the reply."""
        if self._expects_go_ahead and not self._body:
            return
        left = _DISCARDED_BYTES

        async def drop() -> None:
            nonlocal left
            while self._has_more and left > 0:
                left -= len(await self._chunk())

        try:
            await asyncio.wait_for(drop(), 30)
        except asyncio.TimeoutError:
            return

    async def _chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone, self._has_more = True, False
            return b""
        self._has_more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

    async def replay(self) -> Message:
        """What the endpoint receives: the whole body, then whether the client leaves."""
        if self._replayed:
            return await self._receive()
        self._replayed = True
        body = bytes(self._body)
        self._body.clear()
        return {"type": "http.request", "body": body, "more_body": False}


def _header(scope: Scope, name: bytes) -> bytes:
    found: Any = next((value for key, value in scope["headers"] if key == name), b"")
    return bytes(found)


def _host(header: bytes) -> str:
    """`127.0.0.1:8080` as 127.0.0.1, `[::1]:8080` as ::1."""
    name = header.decode("latin-1").strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


def _hash(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
