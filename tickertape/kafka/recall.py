"""Records, read again from where they stand."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from tickertape.kafka.brokers import Brokers, client
from tickertape.kafka.clock import LOG_APPEND
from tickertape.kafka.consumer import Consumer
from tickertape.versions import Stamp

SECONDS_MAX = 10.0  # that nothing comes
NEAR = 1_000  # records: to read past them costs less than to seek


class Recall:
    """Reads records again, one call at a time: by one consumer, kept for the next call."""

    def __init__(self, at: Brokers | str) -> None:
        self._at = at
        self._consumer: Consumer | None = None
        self._one = asyncio.Lock()

    async def start(self) -> None:
        """Nothing yet: most workers never need it."""

    async def stop(self) -> None:
        """Close the consumer. Safe to call twice."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def of(self, stamps: Collection[Stamp]) -> dict[Stamp, Any]:
        """Return the records that were said then and there (aiokafka.ConsumerRecord). One that is
        not there any more is absent, and so is one that another stands for, as its topic was made
        anew.

        Raises:
            KafkaError: the broker does not answer.
        """
        wanted: dict[TopicPartition, dict[int, Stamp]] = defaultdict(dict)
        for stamp in stamps:
            wanted[TopicPartition(stamp.topic, stamp.partition)][stamp.offset] = stamp
        if not wanted:
            return {}
        async with self._one:
            try:
                return await self._read(await self._ready(), wanted)
            except BaseException:  # cancelled, too: nobody knows what it was about to do
                await self.stop()
                raise

    async def _ready(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(**client(self._at), auto_offset_reset="earliest")
            await self._consumer.start()
        return self._consumer

    async def _read(
        self, consumer: Consumer, wanted: Mapping[TopicPartition, Mapping[int, Stamp]]
    ) -> dict[Stamp, Any]:
        found: dict[Stamp, Any] = {}
        states = await consumer.topic_states({tp.topic for tp in wanted})
        for tp, theirs in wanted.items():
            if tp.topic in states and tp.partition < states[tp.topic].partitions:
                found |= await _of_partition(consumer, tp, theirs)
        consumer.unsubscribe()  # it would go on to fetch
        return found


async def _of_partition(
    consumer: Consumer, tp: TopicPartition, wanted: Mapping[int, Stamp]
) -> dict[Stamp, Any]:
    consumer.assign([tp])
    begin = (await consumer.beginning_offsets([tp]))[tp]
    end = (await consumer.end_offsets([tp]))[tp]
    found: dict[Stamp, Any] = {}
    position: int | None = None
    for offset in sorted(offset for offset in wanted if begin <= offset < end):
        if position is not None and offset < position:
            continue  # came with the one before it, or is not there
        if position is None or offset > position + NEAR:
            consumer.seek(tp, offset)
        while (position := await consumer.position(tp)) <= offset:
            try:
                async with asyncio.timeout(SECONDS_MAX):
                    messages = await _next(consumer, tp)
            except TimeoutError as error:
                place = f"{tp.topic}/{tp.partition}/{offset}"
                raise KafkaTimeoutError(f"{place} did not come in {SECONDS_MAX:g} s") from error
            for message in messages:
                stamp = wanted.get(message.offset)
                if stamp is not None and _said_then(message, stamp):
                    found[stamp] = message
    return found


async def _next(consumer: Consumer, tp: TopicPartition) -> list[Any]:
    """Wait until the position has moved: over records, or a gap of a compacted topic, or those
    of an aborted transaction."""
    before = await consumer.position(tp)
    while True:
        messages: list[Any] = (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
        if messages or await consumer.position(tp) > before:
            return messages


def _said_then(message: Any, stamp: Stamp) -> bool:
    """By the broker's clock; a producer's says nothing for sure."""
    return bool(message.timestamp_type != LOG_APPEND or message.timestamp == stamp.ms)
