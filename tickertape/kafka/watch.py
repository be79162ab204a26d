"""Whether a broker answers: clients wait for one that is away, and say so to nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from tickertape import metrics

ASK_SECONDS = 3.0  # between two questions
ANSWER_SECONDS_MAX = 5.0
DOWN_SECONDS = 10.0  # a restart of a broker, or a change of its leader, is no news
SAY_SECONDS = 60.0

log = structlog.get_logger("tickertape.broker")


class BrokerWatch:
    """Asks for the brokers' metadata now and then.

    ``ask`` returns whether a broker answered, and may raise or hang; ``revive`` is called at each
    question while none does (the embedded broker is ours to start again).
    """

    def __init__(
        self,
        bootstrap: str,
        ask: Callable[[], Awaitable[bool]],
        revive: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bootstrap = bootstrap
        self._ask = ask
        self._revive = revive
        self._clock = clock
        self._answered = clock()
        self._said = float("-inf")
        metrics.broker_up.set_function(lambda: not self.reason)

    @property
    def reason(self) -> str:
        """Why nothing can be read or written; empty while a broker answers."""
        silent = self._clock() - self._answered
        if silent < DOWN_SECONDS:
            return ""
        return f"no broker answers at {self._bootstrap}, for {silent:.0f} s"

    async def run(self) -> None:
        """Ask, for ever."""
        while True:
            await self.turn()
            await asyncio.sleep(ASK_SECONDS)

    async def turn(self) -> None:
        """Ask once, and tell what changed."""
        was = self.reason
        try:
            answered = await asyncio.wait_for(self._ask(), ANSWER_SECONDS_MAX)
        except Exception:
            answered = False  # whatever it was: nobody answered
        if answered:
            self._answered = self._clock()
            if was:
                log.info("broker_back", bootstrap=self._bootstrap)
            self._said = float("-inf")
        elif self._revive is not None:
            await self._revive()
        reason = self.reason
        if reason and self._clock() - self._said >= SAY_SECONDS:
            self._said = self._clock()
            log.error("broker_down", reason=reason)
