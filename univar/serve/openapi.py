"""The OpenAPI document: written for one server, so that it says what that server takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from univar import __version__
from univar.serve import embeddings, judging
from univar.serve.texts import readable_pattern

if TYPE_CHECKING:
    from univar.serve.service import Service
    from univar.serve.settings import ServeSettings

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "integer"},
            },
        }
    },
}

_WHY = {
    400: "The request is wrong; the message says where.",
    401: "The key is missing or wrong.",
    403: "Another host is named.",
    404: "The encoder lacks this part.",
    408: "The body did not arrive in time.",
    409: "The store lacks something; the message names the command that makes it.",
    413: "Too many texts, or too long ones.",
    500: "The encoder failed.",
    503: "Full, or stopping: ask again after `Retry-After` seconds.",
}


def document(service: Service) -> dict[str, Any]:
    """OpenAPI 3.1 of one server."""
    settings = service.settings
    parts = list(service.engine.encoder.parts)
    paths: dict[str, Any] = {
        "/healthz": {"get": _operation("Sign of life: embeds a text.", _json({"type": "object"}), (503,))},
        "/metrics": {"get": _operation("Numbers for Prometheus.", _plain(), _errors(settings))},
        "/v1/models": {
            "get": _operation("Names of the encoder.", _json({"type": "object"}), _errors(settings))
        },
        "/v1/embeddings": {
            "post": _post(
                "Embed texts.",
                embeddings.request_schema(settings.max_client_batch_size),
                "EmbeddingsReply",
                _errors(settings, 400, 404, 408, 413, 500, 503),
            )
        },
        "/v1/attribute": {
            "post": _post(
                "Rank the sources that answers most likely came from.",
                _of_answers(judging.AttributeRequest, settings.max_client_batch_size, parts),
                "AttributeReply",
                _errors(settings, 400, 408, 409, 413, 500, 503),
            )
        },
        "/v1/map": {
            "get": _operation(
                "Points of the store's map.",
                _json({"$ref": "#/components/schemas/MapReply"}),
                _errors(settings, 409, 503),
            )
        },
        "/v1/compare": {
            "post": _post(
                "Test whether two sets of answers come from one source.",
                _of_answers(judging.CompareRequest, settings.max_client_batch_size, parts),
                "CompareReply",
                _errors(settings, 400, 408, 413, 500, 503),
            )
        },
    }
    models = (embeddings.EmbeddingsReply, judging.AttributeReply, judging.CompareReply, judging.MapReply)
    schemas = {name: schema for model in models for name, schema in _schemas(model).items()}
    components: dict[str, Any] = {"schemas": {"Error": _ERROR, **schemas}}
    facts: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "univar", "version": __version__},
        "paths": paths,
        "components": components,
    }
    if settings.api_key is not None:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in paths.items():
            if path != "/healthz":
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
    return facts


def _of_answers(model: Any, most: int, parts: list[str]) -> dict[str, Any]:
    """The schema of a request with lists of answers: what a text must hold, which parts there are."""
    # How many there may be is said in words: one more is well-formed, and is refused for its size (413).
    schema: dict[str, Any] = model.model_json_schema()
    answer = schema.pop("$defs")["Answer"]
    answer["properties"]["answer"].update(pattern=readable_pattern(), minLength=1)
    for name in ("answers", "a", "b"):
        if name in schema["properties"]:
            schema["properties"][name].update(items=answer, description=f"At most {most} in a request.")
    if "part" in schema["properties"]:
        schema["properties"]["part"] = {"enum": [*parts, None]}
    return schema


def _errors(settings: ServeSettings, *statuses: int) -> tuple[int, ...]:
    return (*statuses, *((403,) if settings.local_only else ()), *((401,) if settings.api_key else ()))


def _operation(summary: str, success: dict[str, Any], errors: tuple[int, ...]) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {
            "200": {"description": "Done.", "content": success},
            **{
                str(status): {
                    "description": _WHY[status],
                    "content": _json({"$ref": "#/components/schemas/Error"}),
                }
                for status in sorted(errors)
            },
        },
    }


def _post(summary: str, body: dict[str, Any], reply: str, errors: tuple[int, ...]) -> dict[str, Any]:
    operation = _operation(summary, _json({"$ref": f"#/components/schemas/{reply}"}), errors)
    operation["requestBody"] = {"required": True, "content": _json(body)}
    return operation


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _plain() -> dict[str, Any]:
    return {"text/plain": {"schema": {"type": "string"}}}


def _schemas(model: Any) -> dict[str, Any]:
    """The JSON schemas of a model and of those inside it, by name."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), model.__name__: schema}
