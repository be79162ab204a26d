"""A client that leaves: what is done for it ends, a language model's work above all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

LOOK_SECONDS = 0.25
LEFT = 499  # nginx's word for it: nobody reads the answer, the metrics do

T = TypeVar("T")


def has_left(request: web.Request) -> bool:
    """Tell whether the connection is closed."""
    return request.transport is None or request.transport.is_closing()


async def unless_left(request: web.Request, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what the work gives; None where the client left, and the work was cancelled."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=LOOK_SECONDS)
            if not task.done() and has_left(request):
                return None
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
