"""The summaries of what the demo sent, read from their topic while they are made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any

import orjson
from aiokafka.errors import KafkaError

from tickertape.chunking import sentences
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import brokers_of, client
from tickertape.kafka.consumer import Consumer
from tickertape.settings import Settings
from tickertape.summarize.forms import without_bullet
from tickertape.text import readable

POLL_MS = 200


class SummaryReader:
    """Reads the topic from its end on, without a group, and keeps what belongs to ``ids``."""

    def __init__(self, settings: Settings, ids: Collection[str]) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._settings = settings
        self._ids = frozenset(ids)
        self._consumer: Consumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Stand at the end of the topic. Raises `BrokerError` when it cannot be read."""
        topic, brokers = self._settings.topic_llm_results, brokers_of(self._settings)
        # Without a group: all partitions, and no commits
        self._consumer = Consumer(topic, **client(brokers), group_id=None)
        try:
            await self._consumer.start()
            places = self._consumer.assignment()
            for place, end in (await self._consumer.end_offsets(places)).items():
                self._consumer.seek(place, end)
        except KafkaError as error:
            raise BrokerError(f"{topic} cannot be read from {brokers}: {error}") from None
        self._task = asyncio.create_task(self._run(self._consumer))

    async def stop(self) -> None:
        """Stop reading. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._consumer is not None:
            await self._consumer.stop()

    async def wait(self, seconds: float) -> bool:
        """Wait until every id has its summary; return False when that takes longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self.found) < len(self._ids):  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(POLL_MS / 2000)
        return len(self.found) == len(self._ids)

    async def _run(self, consumer: Consumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    value = orjson.loads(record.value)
                    if value["id"] in self._ids:
                        self.found[value["id"]] = value


def sentences_of(summary: str, text: str) -> list[str] | None:
    """Return the summary as sentences that stand in the text, as a reader sees it, in its order.

    None where it is not made of such sentences alone.
    """
    found: list[str] = []
    left = summary
    text = readable(text).text
    for start, end in sentences(text):
        sentence = without_bullet(text[start:end])
        if left == sentence or left.startswith((f"{sentence} ", f"{sentence}\n")):
            found.append(sentence)
            left = left[len(sentence) + 1 :]
    return None if left or not found else found
