"""One endpoint over HTTP: each request is sent once, and gives a Reply or a RequestFailed.

Redirects are never followed and replies are never decompressed: the host and the size of a reply are known.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from univar import __version__
from univar.elicit.apis import APIS, Json, usable
from univar.elicit.requests import ModelEntry, ModelGone, Permanent, Reply, Request, RequestFailed, Transient

if TYPE_CHECKING:
    import aiohttp

MAX_REPLY_BYTES = 8 << 20
_SHOWN = 200  # characters of a server's message in a reason
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_BUSY = (429, 503, 529)
_AGAIN = (408, 409, 425, 500, 502, 504, 520, 521, 522, 523, 524)
_GONE = (401, 402, 403, 404, 405)


class Endpoint:
    """One remote model. session: shared by all endpoints, closed by the caller."""

    def __init__(self, model: ModelEntry, session: aiohttp.ClientSession) -> None:
        self._model, self._session = model, session
        self._api = APIS[model.api]
        self._url = model.url + self._api.path
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"univar/{__version__}",
            **dict(self._api.headers),
        }
        scheme, host = urlsplit(self._url)[:2]
        self._proxy = None if proxy_bypass(host) else getproxies().get(scheme)
        if model.key is not None:
            name, prefix = self._api.key_header
            self._headers[name] = prefix + model.key.reveal()

    async def ask(self, request: Request) -> Reply:
        """The model's answer. Raises Transient, Permanent or ModelGone."""
        status, headers, raw = await self._exchange(self._url, self._api.body(self._model, request))
        if status != 200:
            raise self._http_error(status, headers, raw)
        try:
            reply = self._api.read(json.loads(raw))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            raise Transient("the reply is not the JSON of this api", charged=True) from None
        return usable(self._scrubbed(reply))

    async def count(self, request: Request) -> int | None:
        """Tokens of the prompt by the endpoint's own tokenizer, None if it does not count."""
        whole = self._api.body(self._model, request)
        body = {name: part for name, part in whole.items() if name in ("model", "system", "messages")}
        for path, field in self._api.counters:
            try:
                status, _, raw = await self._exchange(_joined(self._model.url, path), body)
                tokens = json.loads(raw)[field] if status == 200 else None
            except (RequestFailed, ValueError, KeyError, TypeError, RecursionError):
                continue
            if isinstance(tokens, int):
                return tokens
        return None

    async def _exchange(self, url: str, body: Json) -> tuple[int, Mapping[str, str], bytes]:
        """(status, headers, body) of one POST, all within the model's timeout."""
        import aiohttp

        data = json.dumps(body, ensure_ascii=False).encode()
        try:
            return await asyncio.wait_for(self._post(url, data), self._model.timeout_s)
        except asyncio.TimeoutError:
            reason = f"no reply within {self._model.timeout_s:g} s"
            raise Transient(reason, charged=True) from None
        except aiohttp.ClientConnectorError as error:
            raise Transient(f"no connection to {self._host}: {error.os_error.strerror or 'failed'}") from None
        except aiohttp.ClientError as error:
            raise Transient(f"the connection broke ({type(error).__name__})", charged=True) from None

    async def _post(self, url: str, data: bytes) -> tuple[int, Mapping[str, str], bytes]:
        async with self._session.post(
            url, data=data, headers=self._headers, allow_redirects=False, proxy=self._proxy
        ) as response:
            raw = bytearray()
            async for chunk in response.content.iter_any():
                raw += chunk
                if len(raw) > MAX_REPLY_BYTES:
                    response.close()
                    raise Permanent(f"the reply is longer than {MAX_REPLY_BYTES >> 20} MiB", charged=True)
            return response.status, response.headers, bytes(raw)

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _http_error(self, status: int, headers: Mapping[str, str], raw: bytes) -> RequestFailed:
        """The failure that a status other than 200 stands for."""
        said = f"HTTP {status}{self._said(raw)}"
        if 300 <= status < 400:
            return ModelGone(
                f"HTTP {status}: {self._host} redirects to another address, and redirects are not followed: "
                "put that address into models.toml as url, if you trust it"
            )
        if status in _GONE or b"insufficient_quota" in raw:
            return ModelGone(said)
        if status in _BUSY:
            return Transient(said, busy=status != 503, retry_after_s=_retry_after(headers))
        if status in _AGAIN:
            return Transient(said, retry_after_s=_retry_after(headers))
        return Permanent(said)

    def _said(self, raw: bytes) -> str:
        """The error message of a reply, printable, short and without the key; "" if there is none."""
        try:
            error = json.loads(raw)
            for name in ("error", "message", "detail"):
                error = error.get(name, error) if isinstance(error, dict) else error
        except (ValueError, RecursionError):
            error = raw.decode("utf-8", "replace")
        text = error if isinstance(error, str) else ""
        if self._model.key is not None:
            text = self._model.key.scrub(text)
        text = _UNPRINTABLE.sub(" ", text).strip()[:_SHOWN]
        return f": {text}" if text else ""

    def _scrubbed(self, reply: Reply) -> Reply:
        if self._model.key is None:
            return reply
        answer, finish = self._model.key.scrub(reply.answer), self._model.key.scrub(reply.finish)
        return Reply(answer, finish, reply.prompt_tokens, reply.completion_tokens)


def _joined(url: str, path: str) -> str:
    """`url` followed by `path`; "../" removes the version at the end of `url`."""
    return url.removesuffix("/v1") + path[2:] if path.startswith("../") else url + path


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header, in seconds or as a date, asks to wait."""
    value: Any = headers.get("Retry-After", "").strip()
    try:
        return min(max(float(value), 0.0), 1e6)
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
    return max((when - datetime.now(timezone.utc)).total_seconds(), 0.0)
