"""How many requests are made of a server at once: more while it keeps up, half where it does not.

Nobody knows a server's limit but itself. It says so with 429, 503 or by silence, and then half as
many are asked; each round of good answers at the usual pace adds one, up to the setting's number.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tickertape.errors import OutageError, Timeout

QUICK, SLOW = 0.3, 0.05  # how much of the two averages of seconds is the last answer's
HOLDS = 1.5  # the quick average may be so many times the slow one, and latency holds


class Turns:
    """At most ``most`` inside at a time, fewer where that was too many."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._limit = float(most)
        self._inside = 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._halved = -1.0  # when, by the clock
        self._quick = self._slow = 0.0

    @property
    def limit(self) -> int:
        """How many may be inside now."""
        return int(self._limit)

    @asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncIterator[None]:
        """Come in when there is room, ``urgent`` before others; what is raised inside tells whether
        it was too much."""
        await self._enter(self._urgent if urgent else self._others)
        begun = self._clock()
        try:
            yield
        except (OutageError, Timeout):
            self._halve(begun)
            raise
        else:
            self._grow(self._clock() - begun)
        finally:
            self._inside -= 1
            self._let_in()

    async def _enter(self, queue: deque[asyncio.Future[None]]) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(waiting)
        self._let_in()
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # it was let in at that very moment
                self._inside -= 1
                self._let_in()
            else:
                queue.remove(waiting)
            raise

    def _let_in(self) -> None:
        for queue in (self._urgent, self._others):
            while queue and self._inside < self.limit:
                waiting = queue.popleft()
                if not waiting.done():
                    self._inside += 1
                    waiting.set_result(None)

    def _halve(self, begun: float) -> None:
        # Those that were under way together were too many once, not once each.
        if begun > self._halved:
            self._limit = max(1.0, self.limit / 2)
            self._halved = self._clock()

    def _grow(self, seconds: float) -> None:
        self._quick += QUICK * (seconds - self._quick) if self._quick else seconds
        self._slow += SLOW * (seconds - self._slow) if self._slow else seconds
        if self._quick <= HOLDS * self._slow:
            self._limit = min(float(self._most), self._limit + 1 / self.limit)
