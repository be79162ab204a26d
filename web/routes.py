"""A route as data: the server, /openapi.json and the tests all read the same table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from tickertape.errors import TransientError
from tickertape.services import Services

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
ServicesOf = Callable[[], Services]

SERVICES: web.AppKey[ServicesOf] = web.AppKey("services")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a route may answer. ``kind`` is a pydantic type, None where the body is not JSON."""

    status: int
    kind: Any
    description: str
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. The handler's docstring is its description.

    ``lines`` is what a line of JSON lines holds, where the body may be those too; ``form`` what a
    form with files does. ``errors`` are
    the problem statuses it may answer besides 500. ``name`` is for generated clients, where method
    and path alone make none that is its own.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    replies: tuple[Reply, ...]
    query: type[BaseModel] | None = None
    body: Any = None
    body_media: str = "application/json"
    lines: Any = None
    form: Any = None
    errors: tuple[int, ...] = ()
    name: str = ""


def services_of(request: web.Request) -> Services:
    """Return the worker's parts.

    Raises:
        TransientError: they are not open yet, or closed already.
    """
    try:
        return request.app[SERVICES]()
    except RuntimeError:
        raise TransientError("the worker is starting or stopping") from None
