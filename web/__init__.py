"""The worker's HTTP: one file a resource, registered on the web server that Faust runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import orjson
from aiohttp import web

from tickertape import __version__, metrics
from web import batches, dlq, documents, errors, guard, openapi, pages, search, sse, status
from web.routes import SERVICES, Handler, Reply, Route, ServicesOf

RESOURCES = (pages, status, documents, batches, dlq, search)
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
    routes.append(_description([*routes]))
    for route in routes:
        # An id may have slashes in it, so it takes the rest of the path.
        path = route.path.replace("{id}", "{id:.+}")
        web_app.router.add_route(route.method, path, route.handler)
        if route.method == "GET":
            web_app.router.add_route("HEAD", path, route.handler)
    web_app.router.add_static("/static", pages.STATIC)


def _description(routes: Sequence[Route]) -> Route:
    """Return the route of /openapi.json, which describes itself too."""

    async def describe(_request: web.Request) -> web.Response:
        """OpenAPI 3.1, made of the very types that check requests."""
        return web.Response(body=body, content_type="application/json")

    route = Route(
        "GET",
        "/openapi.json",
        describe,
        "This description",
        pages.TAG,
        (Reply(200, dict, "OpenAPI 3.1."),),
    )
    body = orjson.dumps(openapi.describe([*routes, route], __version__))
    return route


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
