"""aiokafka's client, with one wake-up that it loses."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka.client import AIOKafkaClient


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
