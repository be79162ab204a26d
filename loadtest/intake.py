"""From Kafka to the store with offsets committed: a backlog, and how long workers take over it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from loadtest import usage
from loadtest.corpus import Text
from loadtest.processes import BATCH_BYTES, Bench
from testkit.system import Worker
from tickertape.record import Outgoing

POLL_SECONDS = 0.1
WAIT_SECONDS_MAX = 900.0
RECORD_BYTES = 200  # what Kafka needs around key and value, and more
# A worker that is stopped while others are measured stays in its group for so long.
SESSION = {"TICKERTAPE_SESSION_TIMEOUT": "30"}


@dataclass(frozen=True, slots=True)
class Taken:
    """A backlog that was worked off. CPU is in seconds, over all workers."""

    records: int
    seconds: float
    worker_cpu: float
    broker_cpu: float

    @property
    def per_second(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    def a_thousand(self, seconds: float) -> float:
        """Return seconds per 1,000 records."""
        return round(seconds / self.records * 1000, 3)


class Intake:
    """A topic that nobody else writes to, and the group that reads it."""

    def __init__(
        self, bench: Bench, admin: AIOKafkaAdminClient, topic: str, after: Sequence[str]
    ) -> None:
        """``after``: topics that the group writes to meanwhile and reads itself."""
        self.topic = topic
        self.bench = bench
        self._admin = admin
        self._after = after
        self._ends: Counter[int] = Counter()  # partition: records written
        self._turn = 0

    async def fill(self, texts: Sequence[Text]) -> None:
        """Write records in large batches, partition after partition."""
        producer = await self.bench.producer()
        partitions = sorted(await producer.partitions_for(self.topic))
        for batch in batches(self.topic, texts, len(texts) // len(partitions) + 1):
            partition = partitions[self._turn % len(partitions)]
            self._turn += 1
            await self.bench.send_batch(self.topic, partition, batch)
            self.wrote(partition, len(batch))

    def wrote(self, partition: int, records: int) -> None:
        """Count records that were written by another way."""
        self._ends[partition] += records

    @property
    def written(self) -> int:
        """How many records were written."""
        return self._ends.total()

    async def committed(self) -> int:
        """Return how many of all records written so far are committed."""
        tps = [TopicPartition(self.topic, partition) for partition in self._ends]
        return sum((await self._offsets(tps)).values())

    async def empty(self) -> None:
        """Wait until all is committed, then what followed from it."""
        deadline, wanted = time.monotonic() + WAIT_SECONDS_MAX, self.written
        while (done := await self.committed()) < wanted:
            assert time.monotonic() < deadline, f"{wanted - done} of {wanted} are not committed"
            await asyncio.sleep(POLL_SECONDS)
        # What follows from a record is in Kafka before the record is committed: these ends stay.
        found = [await self.bench.ends(topic) for topic in self._after]
        ends = {tp: end for topic in found for tp, end in topic.items()}
        while any(at < ends[tp] for tp, at in (await self._offsets(list(ends))).items()):
            assert time.monotonic() < deadline, f"of {', '.join(self._after)} not all is committed"
            await asyncio.sleep(POLL_SECONDS)

    async def _offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """How far the group has committed; nothing is 0."""
        if not tps:
            return {}
        group = self.bench.settings.app_id
        found = await self._admin.list_consumer_group_offsets(group, partitions=tps)
        return {tp: max(found[tp].offset, 0) if tp in found else 0 for tp in tps}

    async def take(self, texts: Sequence[Text], *workers: Worker) -> Taken:
        """Write while the workers are stopped; then time them to the commit of the last record."""
        pids = [worker.process.pid for worker in workers]
        with usage.stopped(*pids):
            await self.fill(texts)
            broker = await asyncio.to_thread(self.broker_pid)
            before = self._cpu(pids), usage.cpu_seconds(broker)
            began = time.monotonic()
        await self.empty()
        seconds = time.monotonic() - began
        after = self._cpu(pids), usage.cpu_seconds(broker)
        return Taken(len(texts), seconds, after[0] - before[0], after[1] - before[1])

    def broker_pid(self) -> int:
        """Return the broker's process id. Blocks."""
        pid = self.bench.broker.embedded.status().pid
        assert pid is not None, "the broker has ended"
        return pid

    def _cpu(self, pids: Sequence[int]) -> float:
        return sum(map(usage.cpu_seconds, pids))

    async def stored(self) -> int:
        """Return how many documents the store has."""
        async with self.bench.store() as store:
            return int((await store.count()).documents)


@asynccontextmanager
async def intake(
    bench: Bench, topic: str | None = None, after: Sequence[str] = ()
) -> AsyncIterator[Intake]:
    """Yield the intake of a bench; absent, ``topic`` is that of text messages."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bench.broker.bootstrap)
    await admin.start()
    try:
        yield Intake(bench, admin, topic or bench.settings.topic_text_messages, after)
    finally:
        await admin.close()


def batches(topic: str, texts: Sequence[Text], records: int) -> Iterator[list[Outgoing]]:
    """Cut into batches of so many records at most, and of what a broker takes."""
    batch: list[Outgoing] = []
    size = 0
    for text in texts:
        key, value = text.id.encode(), text.value
        length = len(key) + len(value) + RECORD_BYTES
        if batch and (len(batch) == records or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(Outgoing(topic, key, value))
        size += length
    if batch:
        yield batch
