"""The web application: its routes, and how every failure becomes an error in JSON."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from univar import __version__
from univar.serve import embeddings
from univar.serve.engine import PROBE
from univar.serve.gate import Gate
from univar.serve.judging_routes import add_judging
from univar.serve.openapi import document
from univar.serve.page_files import page_reply
from univar.serve.replies import Rejection, error_reply, json_reply
from univar.serve.service import Service
from univar.serve.waiting import ClientLeft
from univar.serve.work import EngineFault

if TYPE_CHECKING:
    from starlette.types import ASGIApp


HEALTH_TIMEOUT_S = 10.0
"""Seconds in which the sign of life has to come; one batch may stand before it."""


def create_app(service: Service) -> ASGIApp:
    """The application for one engine."""
    app = FastAPI(title="univar", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    _add_error_handlers(app, service)
    _add_basics(app, service)
    _add_embeddings(app, service)
    add_judging(app, service)
    gate: ASGIApp = Gate(app, service)
    if origins := service.settings.cors_allow_origin:
        gate = CORSMiddleware(
            gate,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
            expose_headers=["retry-after"],
        )
    return gate


def _add_basics(app: FastAPI, service: Service) -> None:
    """The sign of life, the metrics, the OpenAPI document."""

    page = page_reply(service.settings, None if service.store is None else len(service.store))

    @app.get("/")
    async def start_page() -> Response:
        return page

    @app.get("/healthz")
    async def healthz() -> Response:
        if service.draining:
            raise service.unavailable("the server is stopping")
        try:
            job = service.engine.submit([""], [PROBE], first=True)
            await asyncio.wait_for(asyncio.wrap_future(job.future), HEALTH_TIMEOUT_S)
        except (EngineFault, asyncio.TimeoutError) as error:
            why = str(error) or f"the encoder did not embed a text within {HEALTH_TIMEOUT_S:g} seconds"
            raise service.unavailable(why) from None
        return json_reply({"status": "ok", "model": service.settings.served_name, "version": __version__})

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/openapi.json")
    async def openapi() -> Response:
        return json_reply(await asyncio.to_thread(document, service))


def _add_embeddings(app: FastAPI, service: Service) -> None:
    from univar.encoder.reading import WHOLE

    parts = service.engine.encoder.parts
    name = service.settings.served_name

    @app.post("/v1/embeddings")
    async def embed(body: embeddings.EmbeddingsRequest, request: Request) -> Response:
        part = embeddings.chosen_part(body.model, name, parts)
        columns = None if part is None else parts[part]
        width = service.engine.encoder.dim if columns is None else columns.stop - columns.start
        if body.dimensions not in (None, width):
            message = (
                f"the encoder was not trained for {body.dimensions} dimensions: leave dimensions out, "
                f"the answer has {width}"
            )
            raise Rejection(400, message, param="dimensions")
        texts = body.input
        may_cut = service.settings.auto_truncate
        embedded = await service.embed(request, [""] * len(texts), texts, WHOLE, may_cut=may_cut)
        answered = name if part is None else f"{name}:{part}"
        vectors = embeddings.vectors_of(embedded, columns)
        return json_reply(embeddings.reply(embedded, vectors, answered, body.encoding_format))

    @app.get("/v1/models")
    async def models() -> Response:
        names = [name, *(f"{name}:{part}" for part in parts)]
        cards = [{"id": one, "object": "model", "created": 0, "owned_by": "univar"} for one in names]
        return json_reply({"object": "list", "data": cards})


def _add_error_handlers(app: FastAPI, service: Service) -> None:
    @app.exception_handler(Rejection)
    async def refused(request: Request, rejection: Rejection) -> Response:
        return rejection.response

    @app.exception_handler(ClientLeft)
    async def left(request: Request, error: ClientLeft) -> Response:
        service.metrics.cancelled.inc()
        return Response(status_code=499)  # nobody reads it; nginx's number for it

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        return error_reply(error.status_code, str(error.detail), None, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"] if step != "body")
        message = first["msg"] if first["type"] != "json_invalid" else "the body is not JSON"
        return error_reply(400, f"{field}: {message}" if field else message, field or None)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return error_reply(500, "the server failed on this request; its log says where")
