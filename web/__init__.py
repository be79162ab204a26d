"""The worker's HTTP: one file a resource, registered on the web server that Faust runs."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tickertape import __version__, metrics
from web import (
    ask,
    batches,
    chat,
    choices,
    completions,
    dlq,
    documents,
    errors,
    exchange,
    guard,
    hooks,
    ingest,
    mcp,
    openai,
    openapi,
    pages,
    search,
    sse,
    status,
)
from web.exchange import reply
from web.routes import SERVICES, Handler, Reply, Route, ServicesOf, services_of

DESCRIPTION: web.AppKey[dict[str, Any]] = web.AppKey("description")
RESOURCES = (
    pages,
    status,
    documents,
    hooks,
    ingest,
    batches,
    dlq,
    search,
    ask,
    chat,
    openai,
    completions,
    mcp,
)
# Names that end a path may have slashes and braces in them: they take the rest of it.
ANY_NAME = re.compile(r"\{(id|user_name|batch_id)\}$")
ROUTES: tuple[Route, ...] = tuple(route for resource in RESOURCES for route in resource.ROUTES)


def register(web_app: web.Application, services_of: ServicesOf, more: Sequence[Route] = ()) -> None:
    """Add our routes, middlewares and signals to an application that has not started.

    ``services_of`` is called at each request. ``more`` are routes of other parts; they are
    described in /openapi.json like ours.
    """
    web_app[SERVICES] = services_of
    web_app[sse.CLOSING] = asyncio.Event()
    web_app.middlewares.extend([_measure, errors.middleware, guard.middleware])
    web_app.on_response_prepare.append(guard.add_headers)
    web_app.on_shutdown.append(_close_streams)
    routes = [*ROUTES, *more]
    web_app[DESCRIPTION], described = _description([*routes])
    routes.append(described)
    for route in routes:
        path = ANY_NAME.sub(r"{\1:[\\s\\S]+}", route.path)
        handler = _strict(route)
        web_app.router.add_route(route.method, path, handler)
        if route.method == "GET":
            web_app.router.add_route("HEAD", path, handler)
    web_app.router.add_static("/static", pages.STATIC)


def _strict(route: Route) -> Handler:
    """Return the route's handler, which is not asked what the route does not take."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await exchange.refuse_all(request, route)
        return await route.handler(request)

    return handle


def _description(routes: Sequence[Route]) -> tuple[dict[str, Any], Route]:
    """Return the description, and the route of /openapi.json, which describes itself too."""

    async def describe(request: web.Request) -> web.Response:
        """OpenAPI 3.1, made of the very types that check requests."""
        names = choices.names(services_of(request).settings)
        return reply(choices.filled(description, names))

    route = Route(
        "GET",
        "/openapi.json",
        describe,
        "This description",
        pages.TAG,
        (Reply(200, dict, "OpenAPI 3.1."),),
    )
    description = openapi.describe([*routes, route], __version__)
    return description, route


async def _close_streams(web_app: web.Application) -> None:
    web_app[sse.CLOSING].set()


@web.middleware
async def _measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Time every answer under its route's pattern; a stream counts until it ends."""
    begun = time.perf_counter()
    state = 499  # the client left before there was an answer
    try:
        response = await handler(request)
        state = response.status
        return response
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        metrics.http_seconds.labels(request.method, route, str(state)).observe(
            time.perf_counter() - begun
        )
