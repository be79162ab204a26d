"""Server-sent events that end with their source, with the client, or with the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

# A comment this often keeps proxies from closing a silent stream, and finds clients that left.
HEARTBEAT_SECONDS = 15.0
RETRY_MS = 2000  # when a browser connects again after the server went away

CLOSING: web.AppKey[asyncio.Event] = web.AppKey("closing", asyncio.Event)


def event(name: str, data: bytes, id: int | None = None) -> bytes:
    """Return one event. ``data`` is JSON, so it has no line break."""
    head = b"" if id is None else b"id: %d\n" % id
    return head + b"event: %s\ndata: %s\n\n" % (name.encode(), data)


async def stream(
    request: web.Request, events: AsyncIterator[bytes], heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> web.StreamResponse:
    """Send the events until there are no more, the client leaves, or the server shuts down.

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
        await response.write(b"retry: %d\n\n" % RETRY_MS)
        while True:
            done, _ = await asyncio.wait(
                {closing, following},
                timeout=heartbeat_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if closing in done:
                break
            if following not in done:
                await response.write(b": keep-alive\n\n")
                continue
            data = following.result()
            if data is None:
                break
            await response.write(data)
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
        await response.write_eof()
    return response


async def _next(events: AsyncIterator[bytes]) -> bytes | None:
    try:
        return await anext(events)
    except StopAsyncIteration:
        return None
