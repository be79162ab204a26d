"""The pages: the dashboard, /docs, and the files that they are made of."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from web.exchange import accepts, reply
from web.routes import Reply, Route, services_of
from web.status import health_of
from web.status_bodies import Health

STATIC = Path(__file__).parent / "static"


async def root(request: web.Request) -> web.StreamResponse:
    """The dashboard where Accept names text/html, else the JSON of /health."""
    if accepts(request, "text/html"):
        response: web.StreamResponse = web.FileResponse(STATIC / "index.html")
    else:
        response = reply(health_of(services_of(request)))
    response.headers["Vary"] = "Accept"
    return response


async def docs(_request: web.Request) -> web.StreamResponse:
    """This interface as a page, with forms to try it."""
    return web.FileResponse(STATIC / "docs.html")


TAG = "Pages"
ROUTES = (
    Route(
        "GET",
        "/",
        root,
        "Dashboard",
        TAG,
        (Reply(200, Health, "As /health."), Reply(200, None, "The page.", "text/html")),
    ),
    Route("GET", "/docs", docs, "Documentation", TAG, (Reply(200, None, "A page.", "text/html"),)),
)
