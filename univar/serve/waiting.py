"""How an endpoint waits for the engine: until it answers, the client leaves, or time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from univar.errors import DataError, UsageError
from univar.serve.replies import Rejection
from univar.serve.work import EngineFault

if TYPE_CHECKING:
    from concurrent.futures import Future

    from starlette.requests import Request

T = TypeVar("T")


class ClientLeft(Exception):
    """Nobody reads the reply any more."""


async def answer_of(future: Future[T], request: Request, timeout_s: float, retry_after_s: int) -> T:
    """The future's result; the future is cancelled when the client leaves or time is up.

    Raises ClientLeft, and Rejection for what went wrong.
    """
    result = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(_until_gone(request.receive))
    either: set[asyncio.Future[Any]] = {result, gone}
    try:
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            return result.result()
        if gone.done():
            raise ClientLeft
        raise Rejection(
            503, f"no answer within {timeout_s:g} seconds: ask again later", retry_after_s=retry_after_s
        )
    except EngineFault as fault:
        raise Rejection(500, f"{fault}: nothing is answered rather than something wrong") from None
    except (DataError, UsageError) as error:
        raise Rejection(400, str(error)) from None
    finally:
        gone.cancel()
        result.cancel()


async def _until_gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
