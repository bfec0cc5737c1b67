"""The endpoints that judge answers: embed them, then work the verdict out in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from univar.serve import judging
from univar.serve.replies import Rejection, json_reply

if TYPE_CHECKING:
    from fastapi import FastAPI

    from univar.answers.rows import RowBatch
    from univar.serve.service import Service
    from univar.serve.work import Embedded


def add_judging(app: FastAPI, service: Service) -> None:
    """Add `/v1/attribute`, `/v1/compare` and `/v1/map`."""
    encoder = service.engine.encoder

    async def embedded(request: Request, *batches: RowBatch) -> Embedded:
        questions, answers = (
            [text for batch in batches for text in batch.table.column(name).to_pylist()]
            for name in ("question", "answer")
        )
        return await service.embed(request, questions, answers, service.read, may_cut=True)

    @app.post("/v1/attribute")
    async def attribute(body: judging.AttributeRequest, request: Request) -> Response:
        service.check_count(len(body.answers))
        verdicts, places = service.verdicts, service.places
        if verdicts is None or places is None:
            raise Rejection(
                409,
                "the server has no store to attribute by: embed and index answers of known sources "
                "(`univar embed`, `univar index`), and start `univar serve STORE`",
            )
        if (missing := verdicts.missing()) is not None:
            raise Rejection(409, missing)
        batch = judging.batch_of(body.answers)
        found = await embedded(request, batch)
        results = await service.judge(lambda: verdicts.attribute(encoder, batch, found, body.bag))
        points = await service.judge(lambda: places.of(found.vectors))
        return json_reply({"results": results, "places": points, "truncated": found.cut})

    @app.get("/v1/map")
    async def map_points() -> Response:
        if service.places is None:
            raise Rejection(409, "the server has no store to draw a map of: start `univar serve STORE`")
        places = service.places
        return json_reply(await service.judge(lambda: places.background))

    @app.post("/v1/compare")
    async def compare(body: judging.CompareRequest, request: Request) -> Response:
        service.check_count(len(body.a) + len(body.b))
        if body.part is not None and body.part not in encoder.parts:
            raise Rejection(
                400,
                f"the encoder has no part {body.part!r}: choose from {', '.join(encoder.parts)}",
                param="part",
            )
        batches = (judging.batch_of(body.a), judging.batch_of(body.b))
        found = await embedded(request, *batches)
        return json_reply(await service.judge(lambda: judging.compare(encoder, batches, found, body.part)))
