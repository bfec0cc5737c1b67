"""One endpoint over HTTP: each request is sent once, and gives a Reply or a RequestFailed.

Redirects are never followed and replies are never decompressed: the host and the size of a reply are known.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from univar import __version__
from univar.elicit.failures import http_error
from univar.elicit.replies import Json, decoded, read_reply, usable
from univar.elicit.requests import ModelEntry, Permanent, Reply, Request, RequestFailed, Transient

if TYPE_CHECKING:
    import aiohttp

MAX_REPLY_BYTES = 8 << 20


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


@dataclass(frozen=True)
class Api:
    """One protocol.

    body: what is sent for a request; key_header: name and prefix of the header with the key; counters: paths
    that may count the tokens of a prompt, and the field of the count; "../" stands for the url without its
    version.
    """

    path: str
    body: Callable[[ModelEntry, Request], Json]
    key_header: tuple[str, str]
    headers: tuple[tuple[str, str], ...] = ()
    counters: tuple[tuple[str, str], ...] = ()


APIS = {
    "openai": Api(
        "/chat/completions",
        chat_body,
        ("Authorization", "Bearer "),
        # llama.cpp's server, vLLM's
        counters=(("/chat/completions/input_tokens", "input_tokens"), ("../tokenize", "count")),
    ),
    "anthropic": Api(
        "/messages",
        _anthropic_body,
        ("x-api-key", ""),
        (("anthropic-version", "2023-06-01"),),
        (("/messages/count_tokens", "input_tokens"),),
    ),
    "cohere": Api("/chat", chat_body, ("Authorization", "Bearer ")),
}


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
        key = self._model.key
        raw = raw if key is None else key.scrub_json(raw)
        try:
            if not 200 <= status < 300:
                raise http_error(status, headers, raw, urlsplit(self._url).netloc)
            return usable(read_reply(decoded(raw, headers)))
        except RequestFailed as error:
            error.reason = error.reason if key is None else key.scrub(error.reason)
            raise

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
            said = error.os_error.strerror or "failed"
            raise Transient(f"no connection to {urlsplit(self._url).netloc}: {said}") from None
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


def _joined(url: str, path: str) -> str:
    """`url` followed by `path`; "../" removes the version at the end of `url`."""
    return url.removesuffix("/v1") + path[2:] if path.startswith("../") else url + path
