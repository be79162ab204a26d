"""Reading a request and writing an answer: bytes to checked types, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import AliasChoices, BaseModel, TypeAdapter, ValidationError

from web.errors import Problem, invalid
from web.routes import Route, services_of

BodyT = TypeVar("BodyT", bound=BaseModel)

FORM = "application/x-www-form-urlencoded"
JSON_LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/x-jsonlines"})


def media_of(request: web.Request) -> str:
    """Return the body's media type; "" where the request does not say."""
    return request.content_type.lower() if "Content-Type" in request.headers else ""


def is_json(media: str) -> bool:
    """Return whether it is JSON; a body of no type is taken for JSON."""
    return media in {"", "application/json"} or media.endswith("+json")


async def read_bytes(request: web.Request) -> bytes:
    """Return the body, unpacked, within TICKERTAPE_WEB_BODY_BYTES_MAX.

    Raises:
        Problem: 413, as soon as the limit is passed; 400 where it cannot be unpacked.
    """
    limit = services_of(request).settings.web_body_bytes_max
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.content.iter_any():
            size += len(part)
            if size > limit:
                raise Problem(
                    413,
                    f"The body is over {limit} bytes (TICKERTAPE_WEB_BODY_BYTES_MAX): send less.",
                )
            parts.append(part)
    except web.RequestPayloadError:
        packed = request.headers.get("Content-Encoding", "")[:40]
        said = f"Content-Encoding: the body is not {packed}" if packed else "The body is cut short"
        raise Problem(400, f"{said}.") from None
    return b"".join(parts)


async def read_json(request: web.Request) -> Any:
    """Return the body as JSON values. Raises Problem: 400 not JSON, 413, 415.

    ``curl -d`` calls everything a form: what begins as JSON does is taken for it. (A page of
    another site can send such a body too; `web.guard` refuses it whatever it is called.)
    """
    media = media_of(request)
    if not is_json(media) and media != FORM:
        raise Problem(415, f"Content-Type: expected application/json, got {media}")
    raw = await read_bytes(request)
    if media == FORM and raw.lstrip()[:1] not in {b"{", b"["}:
        raise Problem(415, f"Content-Type: expected application/json, got {media}")
    return decode(raw)


def decode(raw: bytes, where: str = "The body") -> Any:
    """Return the JSON values. Raises Problem: 400."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"{where} is not JSON: {error}") from None


def check(kind: type[BodyT], value: Any, *, strict: bool = False) -> BodyT:
    """Return the value as ``kind``. ``strict``: it has types of its own, as JSON has.

    Raises:
        Problem: 422 that names the fields, also those that ``kind`` does not have.
    """
    try:
        return TypeAdapter(kind).validate_python(value, strict=strict)
    except ValidationError as error:
        raise invalid(field_errors(error, known=names_of(kind))) from None


async def read_body(request: web.Request, kind: type[BodyT]) -> BodyT:
    """Return the JSON body as ``kind``. Raises Problem: 400, 413, 415, 422."""
    return check(kind, await read_json(request), strict=True)


def read_query(request: web.Request, kind: type[BodyT]) -> BodyT:
    """Return the query string as ``kind``. Raises Problem: 422."""
    refuse_repeated(request)
    return check(kind, dict(request.query))


def refuse_repeated(request: web.Request, many: str | None = None) -> None:
    """Refuse a parameter that is given twice: which one was meant is not known.

    ``many``: the beginning of the names that may be.

    Raises:
        Problem: 422 that names them.
    """
    counts = Counter(name for name, _ in request.query.items())
    again = [
        (name[:100], f"expected once, got {count} times")
        for name, count in counts.items()
        if count > 1 and not (many and name.startswith(many))
    ]
    if again:
        raise invalid(again)


def names_of(kind: type[BaseModel]) -> tuple[str, ...]:
    """Return the names that its fields are given by."""
    names: list[str] = []
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        names += map(str, alias.choices) if isinstance(alias, AliasChoices) else [name]
    return tuple(names)


async def refuse_all(request: web.Request, route: Route) -> None:
    """Refuse what a route that takes no query, or no body, is given all the same.

    A page may be asked for with anything: browsers keep there what is theirs.

    Raises:
        Problem: 400 or 413 for a body that is none, 422 that names the fields.
    """
    page = any(answer.media == "text/html" for answer in route.replies)
    if route.query is None and request.query and not (page and accepts(request, "text/html")):
        raise invalid([(name[:100], "unknown; expected no parameters") for name in request.query])
    if route.body is None and request.method not in {"GET", "HEAD"} and request.can_read_body:
        raw = await read_bytes(request)
        given = decode(raw) if raw.strip() else None
        if given:
            fields = list(given) if isinstance(given, dict) else ["body"]
            raise invalid([(name[:100], "unknown; expected no body") for name in fields])


def field_errors(
    error: ValidationError, at: str = "", known: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Return (field, message) of every mistake, e.g. ``documents[3].text``.

    ``known``: the names of which an unknown one should have been one.
    """
    found = []
    for item in error.errors(include_url=False, include_context=False):
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = f"unknown; expected {', '.join(known)}" if known else "unknown"
        elif item["type"] in {"model_type", "model_attributes_type", "dataclass_type"}:
            message = "expected an object"
        found.append((_path(at, item["loc"]), message[:1].lower() + message[1:]))
    return found


def reply(
    value: BaseModel | Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return a JSON answer."""
    body = value.model_dump_json().encode() if isinstance(value, BaseModel) else orjson.dumps(value)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def accepts(request: web.Request, media: str) -> bool:
    """Return whether Accept names this media type itself (a wildcard does not)."""
    offered = request.headers.get("Accept", "").lower().split(",")
    return any(part.partition(";")[0].strip() == media for part in offered)


def _path(at: str, location: tuple[int | str, ...]) -> str:
    path = at
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path or "body"
