"""Reads letters and marks: a plain consumer without a group, open for one question.

Lists are read backwards from the end, a block of every partition at a time, until no older block
can hold a newer letter than those found: a list of 20 costs some blocks, not the topic. A value is
dropped as soon as its record was looked at, so memory is bounded by what is asked for.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.marks import Marks
from tickertape.errors import BrokerError
from tickertape.kafka.brokers import Brokers, client, refusal, unreachable
from tickertape.kafka.consumer import Consumer

CONNECT_SECONDS_MAX = 8.0
STALL_SECONDS = 20.0
POLL_MS = 200
POLL_RECORDS = 500
BLOCK_MIN = 4
BLOCK_MAX = 1000
FETCH_BYTES_MAX = 8 * 2**20
PARTITION_BYTES_MAX = 512 * 1024

Wanted = Callable[[Letter], bool]


class Reader(Protocol):
    """What is asked of dead letter topics."""

    existing: set[str]
    """The topics of the broker."""

    async def catch_up(self, topic: str, marks: Marks) -> None:
        """Add the marks that were written since."""

    async def newest(
        self, topics: Iterable[str], wanted: Wanted, limit: int, since_ms: int | None = None
    ) -> list[Letter]:
        """Return the newest letters that are wanted, newest first, without their values."""

    def oldest(
        self, topics: Iterable[str], since_ms: int | None = None
    ) -> AsyncGenerator[Letter, None]:
        """Yield all letters there are now, each partition's in order."""

    async def get(self, place: Place) -> Letter | None:
        """Return one letter; None where there is none (any more)."""

    async def of_key(self, topics: Iterable[str], key: bytes, wanted: Wanted) -> Letter | None:
        """Return the newest letter of a key, among the last ones of its partitions."""

    async def bounds(self, topics: Iterable[str]) -> Mapping[tuple[str, int], tuple[int, int]]:
        """Return the first offset and the end of each partition that is there."""


@asynccontextmanager
async def kafka_reader(at: Brokers | str) -> AsyncIterator[KafkaReader]:
    """Open a reader.

    Raises:
        BrokerError: no broker answers, or it stops answering.
    """
    consumer = Consumer(
        **client(at),
        client_id="tickertape-dlq",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=20,  # a seek waits for the fetch under way
        fetch_max_bytes=FETCH_BYTES_MAX,
        max_partition_fetch_bytes=PARTITION_BYTES_MAX,
        max_poll_records=POLL_RECORDS,
    )
    try:
        with refusal() as said:
            try:
                async with asyncio.timeout(CONNECT_SECONDS_MAX):
                    await consumer.start()
                    partitions = await _topics(at)
            except (KafkaError, OSError, TimeoutError):
                raise BrokerError(unreachable(at, said)) from None
        try:
            yield KafkaReader(consumer, partitions)
        except KafkaError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BrokerError(f"the broker at {at} failed: {reason[:200]}") from error
        except TimeoutError:
            raise BrokerError(f"the broker at {at} stopped answering") from None
    finally:
        await consumer.stop()


class KafkaReader:
    """Implements `Reader`. Raises aiokafka's errors, and TimeoutError from a silent broker."""

    def __init__(self, consumer: Consumer, partitions: Mapping[str, int]) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self.existing = set(partitions)

    async def catch_up(self, topic: str, marks: Marks) -> None:
        places = self._places([topic])
        if not places:
            return
        begins, ends = await self._bounds(places)
        done = marks.offsets
        if any(done.get(tp.partition, 0) > end for tp, end in ends.items()):
            marks.forget()
        starts = {tp: max(done.get(tp.partition, 0), at) for tp, at in begins.items()}
        async for message in self._read(starts, ends):
            marks.take(message)

    async def newest(
        self, topics: Iterable[str], wanted: Wanted, limit: int, since_ms: int | None = None
    ) -> list[Letter]:
        places = self._places(topics)
        return await self._newest(places, wanted, limit, since_ms)

    async def oldest(
        self, topics: Iterable[str], since_ms: int | None = None
    ) -> AsyncGenerator[Letter, None]:
        places = self._places(topics)
        begins, ends = await self._bounds(places, since_ms)
        async for message in self._read(begins, ends):
            yield Letter.of(message)

    async def get(self, place: Place) -> Letter | None:
        tp = TopicPartition(place.topic, place.partition)
        if tp not in self._places([place.topic]):
            return None
        begins, ends = await self._bounds([tp])
        if not begins[tp] <= place.offset < ends[tp]:
            return None
        async for message in self._read({tp: place.offset}, {tp: place.offset + 1}):
            if message.offset == place.offset:
                return Letter.of(message)
        return None

    async def of_key(self, topics: Iterable[str], key: bytes, wanted: Wanted) -> Letter | None:
        mine = []
        for topic in topics:
            places = self._places([topic])
            if places:
                mine.append(places[(murmur2(key) & 0x7FFFFFFF) % len(places)])
        found = await self._newest(
            mine, lambda letter: letter.key == key and wanted(letter), 1, None, BLOCK_MAX
        )
        return found[0] if found else None

    async def bounds(self, topics: Iterable[str]) -> Mapping[tuple[str, int], tuple[int, int]]:
        begins, ends = await self._bounds(self._places(topics))
        return {(tp.topic, tp.partition): (at, ends[tp]) for tp, at in begins.items()}

    async def _newest(
        self,
        places: Sequence[TopicPartition],
        wanted: Wanted,
        limit: int,
        since_ms: int | None,
        scan_max: int | None = None,
    ) -> list[Letter]:
        """Round by round one block further back; ``scan_max`` offsets of a partition at most."""
        begins, ends = await self._bounds(places, since_ms)
        if scan_max is not None:
            begins = {tp: max(at, ends[tp] - scan_max) for tp, at in begins.items()}
        cursors = {tp: end for tp, end in ends.items() if begins[tp] < end}
        best: list[tuple[int, Place, Letter]] = []  # a heap, the oldest first
        block = max(BLOCK_MIN, 2 * limit // max(len(cursors), 1))
        while cursors:
            starts = {tp: max(begins[tp], at - block) for tp, at in cursors.items()}
            first: dict[TopicPartition, int] = {}
            async for message in self._read(starts, cursors):
                tp = TopicPartition(message.topic, message.partition)
                first.setdefault(tp, message.timestamp)
                letter = Letter.of(message)
                if wanted(letter):
                    heapq.heappush(best, (letter.timestamp_ms, letter.place, letter.light()))
                    if len(best) > limit:
                        heapq.heappop(best)
            full = len(best) >= limit
            cursors = {
                tp: at
                for tp, at in starts.items()
                if at > begins[tp] and not (full and tp in first and first[tp] < best[0][0])
            }
            block = min(block * 2, BLOCK_MAX)
        return [letter for _, _, letter in sorted(best, key=lambda one: one[:2], reverse=True)]

    # Kafka

    def _places(self, topics: Iterable[str]) -> list[TopicPartition]:
        """The partitions there are, in order. A topic that is not there has none."""
        return [
            TopicPartition(topic, number)
            for topic in dict.fromkeys(topics)
            for number in range(self._partitions.get(topic, 0))
        ]

    async def _bounds(
        self, places: Sequence[TopicPartition], since_ms: int | None = None
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """Where to begin and to end. Nothing before ``begin`` is as new as ``since_ms``."""
        if not places:
            return {}, {}
        consumer = self._consumer
        # Offsets are asked of leaders, which the client knows of assigned partitions only.
        consumer.assign(places)
        consumer.pause(*places)
        async with asyncio.timeout(STALL_SECONDS):
            begins = await consumer.beginning_offsets(places)
            ends = await consumer.end_offsets(places)
            if since_ms is not None:
                found = await consumer.offsets_for_times(dict.fromkeys(places, since_ms))
                begins = {tp: at.offset if at else ends[tp] for tp, at in found.items()}
        return begins, ends

    async def _read(
        self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> AsyncIterator[Any]:
        """Yield the messages between, and none else; ends also where the last were compacted."""
        consumer = self._consumer
        left = {tp for tp, start in starts.items() if start < ends[tp]}
        if not left:
            return
        consumer.assign(list(left))
        for tp in left:
            consumer.seek(tp, starts[tp])
        while left:
            async with asyncio.timeout(STALL_SECONDS):
                batches: dict[TopicPartition, list[Any]] = {}
                while not batches:
                    batches = await consumer.getmany(timeout_ms=POLL_MS)
                    for tp in list(left):
                        if await consumer.position(tp) >= ends[tp]:
                            left.discard(tp)
                            consumer.pause(tp)
                    if not left:
                        break
            for tp, messages in batches.items():
                for message in messages:
                    if message.offset < ends[tp]:
                        yield message


async def _topics(at: Brokers | str) -> dict[str, int]:
    """All topics and how many partitions each has. Asking by name might create them."""
    admin = AIOKafkaAdminClient(**client(at))
    await admin.start()
    try:
        found = await admin.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in found}
    finally:
        await admin.close()
