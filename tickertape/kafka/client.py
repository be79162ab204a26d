"""aiokafka's client, with one wake-up that it loses, and an end that does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka.client import AIOKafkaClient

GOODBYE_SECONDS = 0.5


class Client(AIOKafkaClient):  # type: ignore[misc]
    """Reads the metadata of new topics at once, also where a reading of the old ones is under way.

    aiokafka then reads again "right away", but sleeps for the age of its metadata first: a group's
    leader in the middle of a rebalance waits for that, and with it the group, and a stop.
    """

    def set_topics(self, topics: Collection[str]) -> asyncio.Future[Any]:
        """Track these topics; return what is done when they are known."""
        known: asyncio.Future[Any] = super().set_topics(topics)
        if self._md_update_fut is not None and not self._md_update_waiter.done():
            self._md_update_waiter.set_result(None)
        return known

    async def close(self) -> None:
        """Close the connections. TLS waits for the broker's goodbye, and that comes behind the
        answer to a fetch under way, seconds later: a stop does not wait for it."""
        writers = [conn._writer for conn in self._conns.values() if conn._writer is not None]

        def end() -> None:
            for writer in writers:
                writer.transport.abort()

        timer = asyncio.get_running_loop().call_later(GOODBYE_SECONDS, end)
        try:
            await super().close()
        finally:
            timer.cancel()
