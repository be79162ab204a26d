"""Tasks that run as long as the worker does: an exception is heard, and does not end them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

AGAIN_SECONDS = 1.0

log = structlog.get_logger("tickertape.background")


def spawn(name: str, make: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """Run ``make()`` as a task; after an exception, log it and run it again."""

    async def keep() -> None:
        while True:
            try:
                await make()
                return
            except Exception:
                log.exception("failed", task=name)
            await asyncio.sleep(AGAIN_SECONDS)

    return asyncio.create_task(keep(), name=name)
