"""Server-sent events that end with their source, with the client, or with the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from aiohttp import web

from web.errors import problem_of, response_of
from web.leaving import LOOK_SECONDS, has_left

# A comment this often keeps proxies from closing a silent stream, and finds clients that left.
HEARTBEAT_SECONDS = 15.0
WRITE_SECONDS = 30.0  # a client that takes nothing for so long is gone
RETRY_MS = 2000  # when a browser connects again after the server went away

CLOSING: web.AppKey[asyncio.Event] = web.AppKey("closing", asyncio.Event)


def event(name: str, data: bytes, id: int | None = None) -> bytes:
    """Return one event. ``data`` is JSON, so it has no line break."""
    head = b"" if id is None else b"id: %d\n" % id
    return head + b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def begun(events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Return the events when the first of them has come: what is raised before it is no stream,
    but an answer with a status of its own."""
    first = await anext(events)

    async def all_of_them() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            yield first
            async for one in events:
                yield one

    return all_of_them()


def failed(request: web.Request, error: Exception) -> bytes:
    """Return the event of what went wrong, with the problem as this path's clients know it."""
    body = response_of(request, problem_of(error)).body
    assert isinstance(body, bytes)
    return event("error", body)


async def stream(
    request: web.Request,
    events: AsyncIterator[bytes],
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    *,
    retry_ms: int | None = RETRY_MS,
    failed: Callable[[web.Request, Exception], bytes] = failed,
) -> web.StreamResponse:
    """Send the events until there are no more, the client leaves, or the server shuts down. What
    is raised among them is the last one, as ``failed`` tells it. ``retry_ms``: when a browser is to
    connect again; None where the client knows nothing but data.

    A worker at SIGTERM waits for open requests: a stream that did not listen for the
    shutdown would hold it.
    """
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    closing = asyncio.ensure_future(request.app[CLOSING].wait())
    following = asyncio.ensure_future(_next(events))
    try:
        if retry_ms is not None:
            await _send(request, response.write(b"retry: %d\n\n" % retry_ms))
        quiet = 0.0
        while True:
            wait = min(heartbeat_seconds, LOOK_SECONDS)
            done, _ = await asyncio.wait(
                {closing, following}, timeout=wait, return_when=asyncio.FIRST_COMPLETED
            )
            if closing in done or has_left(request):
                break
            if following not in done:
                quiet += wait
                if quiet >= heartbeat_seconds:
                    quiet = 0.0
                    await _send(request, response.write(b": keep-alive\n\n"))
                continue
            quiet = 0.0
            if isinstance(error := following.exception(), Exception):
                await _send(request, response.write(failed(request, error)))
                break
            data = following.result()
            if data is None:
                break
            await _send(request, response.write(data))
            following = asyncio.ensure_future(_next(events))
    except ConnectionResetError:
        return response  # the client left
    finally:
        for task in (closing, following):
            task.cancel()
        await asyncio.gather(closing, following, return_exceptions=True)
        if hasattr(events, "aclose"):
            await events.aclose()
    with contextlib.suppress(ConnectionResetError):
        await _send(request, response.write_eof())
    return response


async def _send(request: web.Request, sending: Awaitable[None]) -> None:
    """Wait until it is sent; a client that takes nothing for `WRITE_SECONDS` is let go.

    Raises:
        ConnectionResetError: the client is gone.
    """
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await sending
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()  # else the end of the answer waits for it, too
        raise ConnectionResetError("the client takes nothing") from None


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(events)
    except StopAsyncIteration:
        return None
