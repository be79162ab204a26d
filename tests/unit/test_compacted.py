"""The reader of a compacted topic: all that stands on it, what comes, and again after a fault."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from tickertape import compacted
from tickertape.compacted import CompactedReader
from tickertape.settings import Settings

ONE, TWO = TopicPartition("status", 0), TopicPartition("status", 1)


class Log:
    """A topic of two partitions, and the consumers that were made to read it."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[str]] = {ONE: ["a", "b"], TWO: ["c"]}
        self.changed = asyncio.Event()
        self.faults: list[Exception] = []
        self.consumers: list[Consumer] = []

    def put(self, tp: TopicPartition, record: str) -> None:
        self.records[tp].append(record)
        self.changed.set()

    def fail(self, error: Exception) -> None:
        self.faults.append(error)
        self.changed.set()


class Consumer:
    """As much of a consumer as the reader asks for; one record of a partition at a time."""

    def __init__(self, log: Log, topic: str, **options: Any) -> None:
        self.topic, self.options = topic, options
        self.stopped = False
        self._log = log
        self._at = dict.fromkeys(log.records, 0)
        log.consumers.append(self)

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assignment(self) -> set[TopicPartition]:
        return set(self._at)

    async def end_offsets(self, tps: Any) -> dict[TopicPartition, int]:
        return {tp: len(self._log.records[tp]) for tp in tps}

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[str]]:
        found = {tp: self._log.records[tp][at : at + 1] for tp, at in self._at.items()}
        found = {tp: messages for tp, messages in found.items() if messages}
        if not found and not self._log.faults:
            await self._log.changed.wait()
            self._log.changed.clear()
        if self._log.faults:
            raise self._log.faults.pop()
        for tp in found:
            self._at[tp] += 1
        return found


@pytest.fixture
async def topic(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    monkeypatch.setattr(
        compacted, "Consumer", lambda *args, **options: Consumer(made, *args, **options)
    )
    monkeypatch.setattr(compacted, "AGAIN_SECONDS", 0.0)
    return made


class Taken(list[str]):
    """What the reader handed over, and whether it had caught up then."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = CompactedReader(
            Settings(_env_file=None, brokers="kafka:9092"), "status", self.take, name="states"
        )
        self.early: list[str] = []

    def take(self, message: Any) -> None:
        self.append(message)
        if not self.reader.caught_up:
            self.early.append(message)

    async def count(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self) < count:  # noqa: ASYNC110 - a count has no event
                await asyncio.sleep(0)


@pytest.fixture
async def taken() -> Any:
    made = Taken()
    yield made
    await made.reader.stop()


async def test_it_has_caught_up_when_all_that_stood_there_is_taken(
    topic: Log, taken: Taken
) -> None:
    assert not taken.reader.caught_up
    await taken.reader.start()
    await taken.count(3)
    topic.put(TWO, "d")
    await taken.count(4)
    assert taken.early == ["a", "c", "b"]
    assert list(taken) == ["a", "c", "b", "d"]
    assert taken.reader.caught_up
    (consumer,) = topic.consumers
    assert (consumer.topic, consumer.options["group_id"]) == ("status", None)
    await taken.reader.stop()
    assert consumer.stopped
    await taken.reader.stop()


async def test_an_empty_topic_is_read_at_once(topic: Log, taken: Taken) -> None:
    topic.records = {ONE: [], TWO: []}
    await taken.reader.start()
    topic.changed.set()  # as a poll that brought nothing
    async with asyncio.timeout(10):
        while not taken.reader.caught_up:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
    assert taken == []


async def test_after_a_fault_it_begins_at_the_beginning(topic: Log, taken: Taken) -> None:
    await taken.reader.start()
    await taken.count(3)
    topic.fail(KafkaConnectionError("away"))
    await taken.count(6)
    assert list(taken[3:]) == ["a", "c", "b"]
    assert taken.reader.caught_up, "what was known stays known"
    first, second = topic.consumers
    assert first.stopped
    assert not second.stopped
