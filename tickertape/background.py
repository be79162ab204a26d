"""Tasks that run as long as the worker does: an exception is heard, and does not end them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from tickertape.errors import OutageError, TransientError

AGAIN_SECONDS = 1.0
QUIET_SECONDS = 60.0  # an outage that goes on is logged once in so long

log = structlog.get_logger("tickertape.background")


def spawn(name: str, make: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
    """Run ``make()`` as a task; after an exception, log it and run it again.

    An outage is one line, and no more while it goes on; what nobody expects has its traceback.
    """

    async def keep() -> None:
        last_logged: tuple[str, float] = ("", 0.0)
        while True:
            try:
                await make()
                return
            except Exception as error:
                now = time.monotonic()
                if last_logged[0] != str(error) or now - last_logged[1] > QUIET_SECONDS:
                    last_logged = (str(error), now)
                    known = isinstance(error, OutageError | TransientError)
                    log.warning("failed", task=name, error=str(error), exc_info=not known)
            await asyncio.sleep(AGAIN_SECONDS)

    return asyncio.create_task(keep(), name=name)
