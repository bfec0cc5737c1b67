"""Run the service until SIGTERM or Ctrl-C, and let it finish what it has begun."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import uvicorn

from univar.errors import ProviderError, UsageError
from univar.serve.app import create_app
from univar.serve.engine import Engine
from univar.serve.gate import LOCAL_NAMES
from univar.serve.metrics import Metrics
from univar.serve.service import Service

if TYPE_CHECKING:
    from univar.encoder.encoder import Encoder
    from univar.serve.settings import ServeSettings
    from univar.store import Store

logger = logging.getLogger("univar.serve")

STUCK_S = 120.0
"""Seconds that one batch may take before the engine counts as broken."""

GRACE_S = 1.0
"""Seconds between a signal and the end of listening, if there are connections."""

DRAIN_S = 120
"""Seconds for the requests that are under way when the server is to end."""


class Server(uvicorn.Server):
    """uvicorn's server, ended by SIGTERM and SIGINT without an error, and by an engine that broke."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self.service = service
        self.failure: str | None = None
        self._close_at = 0.0

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal lets requests finish, a second Ctrl-C does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True ends the server.

        For GRACE_S after a signal requests are still taken, and each reply closes its connection: so nobody
        is just sending a request over a connection that is kept when it is closed.
        """
        if self.should_exit and not self.service.draining:
            self.service.draining = True
            self._close_at = time.monotonic() + GRACE_S
        self.failure = self.failure or self._trouble()
        if self.failure is not None:
            logger.critical("%s: the server ends", self.failure)
            self.force_exit = True
            return True
        ends = await super().on_tick(counter)
        if ends and not self.force_exit and self.server_state.connections:
            return time.monotonic() > self._close_at
        return ends

    def _trouble(self) -> str | None:
        engine = self.service.engine
        if not engine.is_alive:
            return "the encoder is broken"
        since = engine.load.busy_since
        if since is not None and time.monotonic() - since > STUCK_S:
            return f"the encoder has not finished a batch in {STUCK_S:g} seconds"
        return None


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UsageError for an address that is not here or is taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host}, port {port}: {reason}") from None


def is_local(host: str) -> bool:
    """Only this machine reaches the address."""
    return host in LOCAL_NAMES or host.startswith("127.")


def make_server(encoder: Encoder, settings: ServeSettings, store: Store | None = None) -> Server:
    """A server with an engine that runs already; `server.serve(sockets=[...])` answers requests."""
    metrics = Metrics()
    engine = Engine(encoder, settings.max_batch_tokens, metrics.batch)
    service = Service(engine, settings, metrics, store)
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_S,
    )
    return Server(config, service)


def serve(
    encoder: Encoder, settings: ServeSettings, listening: socket.socket, store: Store | None = None
) -> None:
    """Answer requests until a signal. Raises ProviderError when the encoder broke."""
    server = make_server(encoder, settings, store)
    threading.Thread(target=server.service.warm, name="univar-warm", daemon=True).start()
    asyncio.run(server.serve(sockets=[listening]))
    if server.failure is not None:
        raise ProviderError(f"{server.failure}: start the server again")
    server.service.engine.close(timeout_s=10)
