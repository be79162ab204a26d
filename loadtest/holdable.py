"""The worker with one more route: POST /flows/{name}/{pause|resume}, POST /stop for one flow.

``faust -A loadtest.holdable worker``, for `loadtest.paused` alone.
"""

from __future__ import annotations

from aiohttp import web

from app import app, worker


async def _turn(request: web.Request) -> web.Response:
    flow = next(f for f in app.flows if f.spec.name == request.match_info["name"])
    (flow.pause if request.match_info["do"] == "pause" else flow.resume)()
    return web.json_response({"paused": flow.paused})


app.web_application.router.add_post("/flows/{name}/{do:pause|resume}", _turn)

__all__ = ["app", "worker"]
