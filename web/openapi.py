"""/openapi.json: OpenAPI 3.1, made of the route table and the pydantic types."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaValue

from web.body import ProblemAnswer
from web.openai_bodies import OpenAiErrorAnswer
from web.routes import Route

INTRODUCTION = (
    "Streams of financial documents and text into searchable vectors, summaries and answers. "
    "Every worker answers for every batch and document. Errors are RFC 9457 problems."
)
JSON_LINES = "application/x-ndjson"
REF = "#/components/schemas/{model}"

NUMBERS = frozenset({"partition", "offset"})  # of a path

Mode = Literal["validation", "serialization"]


def describe(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the document."""
    adapters: dict[tuple[int, Mode], TypeAdapter[Any]] = {}

    def add(kind: Any, mode: Mode) -> None:
        if kind is not None:
            adapters[id(kind), mode] = TypeAdapter(kind)

    add(ProblemAnswer, "serialization")
    add(OpenAiErrorAnswer, "serialization")
    for route in routes:
        add(route.query, "validation")
        add(route.body, "validation")
        add(route.lines, "validation")
        add(route.form, "validation")
        for reply in route.replies:
            add(reply.kind, "serialization")
    schemas, definitions = TypeAdapter.json_schemas(
        [(kind, mode, adapter) for (kind, mode), adapter in adapters.items()], ref_template=REF
    )

    def schema(kind: Any, mode: Mode) -> JsonSchemaValue:
        return schemas[id(kind), mode]

    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation: dict[str, Any] = {
            "operationId": operation_id(route),
            "summary": route.summary,
            "description": (inspect.getdoc(route.handler) or route.summary).replace("``", "`"),
            "tags": [route.tag],
            "responses": _replies(route, schema),
        }
        parameters = [*_path_parameters(route), *_query_parameters(route, schema, definitions)]
        if parameters:
            operation["parameters"] = parameters
        if route.body is not None:
            content = {route.body_media: {"schema": schema(route.body, "validation")}}
            if route.lines is not None:
                one = schema(route.lines, "validation")
                lines = {"type": "array", "items": one, "minItems": 1, "description": "One a line."}
                content[JSON_LINES] = {"schema": lines}
            if route.form is not None:
                content["multipart/form-data"] = {"schema": schema(route.form, "validation")}
            operation["requestBody"] = {"required": True, "content": content}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tickertape", "version": version, "description": INTRODUCTION},
        "paths": paths,
        "components": {"schemas": definitions.get("$defs", {})},
    }


def error_of(path: str) -> tuple[type[BaseModel], str]:
    """Return what an error is on this path, and its media type."""
    if path.startswith("/v1/"):
        return OpenAiErrorAnswer, "application/json"
    return ProblemAnswer, "application/problem+json"


def operation_id(route: Route) -> str:
    """Return a name for generated clients: ``get_ingest_status``.

    One parameter says nothing that the rest does not; several name what is meant.
    """
    if route.name:
        return route.name
    path = route.path.lower()
    words = re.findall(r"[a-z0-9]+", path if path.count("{") > 1 else re.sub(r"\{\w+\}", "", path))
    return "_".join([route.method.lower(), *(words or ["root"])])


def _replies(route: Route, schema: Any) -> dict[str, Any]:
    replies: dict[str, Any] = {}
    for reply in route.replies:
        answer = replies.setdefault(
            str(reply.status), {"description": reply.description, "content": {}}
        )
        # A page, metrics, a stream of events: what OpenAPI 3.1 has no words for has no schema.
        shape = None if reply.kind is None else schema(reply.kind, "serialization")
        answer["content"][reply.media] = {} if shape is None else {"schema": shape}
    # 403 and 421 are the guard's; both, like 500, may meet any request.
    for status in sorted({*route.errors, 403, 421, 500}):
        kind, media = error_of(route.path)
        answer = replies.setdefault(
            str(status), {"description": HTTPStatus(status).phrase, "content": {}}
        )
        answer["content"][media] = {"schema": schema(kind, "serialization")}
        if status in {429, 503}:
            replies[str(status)]["headers"] = {
                "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}
            }
    return replies


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", route.path):
        shape = (
            {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
            if name in NUMBERS
            else {"type": "string"}
        )
        yield {"name": name, "in": "path", "required": True, "schema": {"minLength": 1, **shape}}


def _query_parameters(
    route: Route, schema: Any, definitions: JsonSchemaValue
) -> Iterable[dict[str, Any]]:
    if route.query is None:
        return
    shape = schema(route.query, "validation")
    if "$ref" in shape:
        shape = definitions["$defs"][shape["$ref"].rpartition("/")[2]]
    required = set(shape.get("required", ()))
    for name, field in shape.get("properties", {}).items():
        field = {key: value for key, value in field.items() if key != "title"}
        parameter = {"name": name, "in": "query", "required": name in required}
        if "description" in field:
            parameter["description"] = field.pop("description")
        if field.get("type") == "object":
            yield {**parameter, "content": {"application/json": {"schema": field}}}
        elif field.get("type") == "array":
            yield {**parameter, "style": "form", "explode": False, "schema": field}
        else:
            yield {**parameter, "schema": field}
