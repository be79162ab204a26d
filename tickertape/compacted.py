"""A compacted topic, read by each worker for itself: all that stands on it, then what comes.

A plain consumer of all partitions, without a group and without commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from tickertape.background import spawn
from tickertape.kafka.brokers import brokers_of, client
from tickertape.kafka.consumer import Consumer
from tickertape.settings import Settings

FETCH_WAIT_MS = 5000  # data ends the wait
POLL_MS = 500
AGAIN_SECONDS = 1.0

log = structlog.get_logger("tickertape.compacted")


class CompactedReader:
    """Hands each message to ``take``, a partition's in their order. After a fault it begins at the
    beginning: what was taken comes again, so the newest of a key must win however often it comes.
    """

    def __init__(
        self, settings: Settings, topic: str, take: Callable[[Any], None], *, name: str
    ) -> None:
        """``name`` is the end of the consumer's client id. ``take`` never raises."""
        self._settings = settings
        self._topic = topic
        self._take = take
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self._caught_up = False

    async def start(self) -> None:
        """Read in the background, from the beginning."""
        self._task = spawn(self._name, self._run)

    async def stop(self) -> None:
        """Stop reading. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    @property
    def caught_up(self) -> bool:
        """True once all that stood on the topic at start has been read."""
        return self._caught_up

    async def _run(self) -> None:
        while True:
            try:
                await self._read()
            except (KafkaError, OSError) as error:
                log.warning("compacted_reader", topic=self._topic, error=repr(error))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _read(self) -> None:
        consumer = Consumer(
            self._topic,
            **client(brokers_of(self._settings)),
            client_id=f"{self._settings.app_id}-{self._name}",
            group_id=None,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            tps = list(consumer.assignment())
            ends = await consumer.end_offsets(tps)
            while True:
                for messages in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for message in messages:
                        self._take(message)
                if not self._caught_up:
                    positions = [(tp, await consumer.position(tp)) for tp in tps]
                    self._caught_up = all(at >= ends[tp] for tp, at in positions)
        finally:
            await consumer.stop()
