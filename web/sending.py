"""What every route does that sends to Kafka: say at once that it is away, carry the trace on, wait
until the worker itself knows the batch."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from aiohttp import web

from tickertape import headers as h
from tickertape.record import Outgoing
from tickertape.services import Services
from web.errors import unavailable

SEEN_SECONDS = 1.0  # how long a 202 waits until this worker itself knows the batch


def check_kafka(services: Services) -> None:
    """Say at once that it is away, where that is known: the producer waits for it."""
    if why := services.runtime.unready().get("kafka"):
        raise unavailable(f"Kafka is away: {why}")


async def send(services: Services, records: Sequence[Outgoing]) -> None:
    check_kafka(services)
    for error in await services.publisher.send(records):
        if error is not None:
            raise unavailable(f"Kafka did not take it: {error}") from error


async def until_seen(services: Services, batch_id: str) -> None:
    """Wait until this worker has read the declaration, so that Location is no 404.

    After `SEEN_SECONDS` it does without: the batch is declared, and will be read later.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SEEN_SECONDS):
            await anext(aiter(services.batches.watch(batch_id)))


def trace(request: web.Request) -> list[tuple[str, bytes | None]]:
    """The caller's trace goes on in Kafka."""
    trace = request.headers.get(h.TRACEPARENT)
    return [] if trace is None else [(h.TRACEPARENT, trace.encode("ascii", "replace"))]
