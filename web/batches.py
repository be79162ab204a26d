"""Where a batch stands, once or live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from tickertape.services import Services
from web import sse
from web.batches_bodies import Batch, Batches, BatchQuery, RecentQuery
from web.errors import Problem, unavailable
from web.exchange import accepts, read_query, reply
from web.routes import Reply, Route, services_of

FINISHED = frozenset({"completed", "failed"})


async def status(request: web.Request) -> web.StreamResponse:
    """Exact counts: done, unchanged, retrying, dead, of how many.

    With ``Accept: text/event-stream`` or ``?watch=1`` a stream: an event ``progress`` now and
    at each change, then ``done`` once, when the batch is completed or failed. It also ends when
    the server shuts down; a client that connects again is told the state first.
    """
    services = services_of(request)
    watch = read_query(request, BatchQuery).watch
    batch_id = request.match_info["batch_id"]
    state = services.batches.get(batch_id)
    if state is None:
        raise _unknown(services, batch_id)
    if watch or accepts(request, "text/event-stream"):
        return await sse.stream(request, _events(services, batch_id))
    finished = state["status"] in FINISHED
    return reply(Batch.model_validate(state), headers={} if finished else {"Retry-After": "1"})


async def recent(request: web.Request) -> web.Response:
    """The batches that this worker has read of, newest first."""
    limit = read_query(request, RecentQuery).limit
    states = services_of(request).batches.recent(limit)
    return reply(Batches(batches=[Batch.model_validate(state) for state in states]))


async def _events(services: Services, batch_id: str) -> AsyncIterator[bytes]:
    number = 0
    state: dict[str, Any] = {}
    async for state in services.batches.watch(batch_id):
        number += 1
        yield sse.event("progress", _json(state), number)
    if state.get("status") in FINISHED:
        yield sse.event("done", _json(state), number + 1)


def _json(state: dict[str, Any]) -> bytes:
    return Batch.model_validate(state).model_dump_json().encode()


def _unknown(services: Services, batch_id: str) -> Problem:
    if not services.batches.caught_up:
        return unavailable("This worker is still reading where the batches stand.", 1)
    return Problem(404, f"There is no batch {batch_id[:200]!r}; old batches are forgotten.")


TAG = "Batches"
ROUTES = (
    Route(
        "GET",
        "/ingest-status/{batch_id}",
        status,
        "Where a batch stands",
        TAG,
        (
            Reply(200, Batch, "The batch."),
            Reply(200, None, "Live progress.", "text/event-stream"),
        ),
        query=BatchQuery,
        errors=(404, 422, 503),
    ),
    Route(
        "GET",
        "/recent-batches",
        recent,
        "Recent batches",
        TAG,
        (Reply(200, Batches, "The newest first."),),
        query=RecentQuery,
        errors=(422,),
    ),
)
