"""Dead letters read from a real broker."""

from __future__ import annotations

import asyncio

import pytest

from testkit.broker import Broker
from tests.fixtures_dlq import PARTITIONS, System, everything, value
from tests.fixtures_dlq import system as system
from tickertape import topics
from tickertape.dlq import reader as reader_module
from tickertape.dlq.box import Selection
from tickertape.dlq.filters import Filter
from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.marks import ALL, LetterState
from tickertape.dlq.reader import kafka_reader
from tickertape.dlq.replay import Plan
from tickertape.errors import BrokerError


async def test_the_newest_come_first_from_all_partitions(system: System) -> None:
    await system.die(*[value(n) for n in range(60)])
    await system.die(*[value(n) for n in range(60)], base=system.settings.topic_embeddings)
    both = [system.dlq, topics.dlq(system.settings.topic_embeddings)]
    async with kafka_reader(system.settings.bootstrap) as reader:
        whole = [letter async for letter in reader.oldest(both)]
        expected = sorted(whole, key=lambda x: (x.timestamp_ms, x.place), reverse=True)
        assert len({letter.place.partition for letter in whole}) >= PARTITIONS
        for limit in (1, 7, 120, 500):
            found = await reader.newest(both, everything, limit)
            assert [x.place for x in found] == [x.place for x in expected[:limit]]
            assert {x.value for x in found} == {None}
        assert await reader.newest(["not-there-dlq"], everything, 5) == []
        assert await reader.newest([], everything, 5) == []


async def test_a_short_list_of_many_reads_few(system: System) -> None:
    count = 10_000
    await system.die(*[value(n) for n in range(count)])
    looked = 0

    def wanted(letter: Letter) -> bool:
        nonlocal looked
        looked += 1
        return True

    async with kafka_reader(system.settings.bootstrap) as reader:
        found = await reader.newest([system.dlq], wanted, 20)
        assert len(found) == 20
        assert 20 <= looked <= count / 5
        # A rare one is found wherever it is, and looked for no longer than needed.
        first = await reader.newest([system.dlq], lambda x: x.key == b"d0", 1)
        assert [letter.key for letter in first] == [b"d0"]
        looked = 0
        since = found[-1].timestamp_ms
        recent = await reader.newest([system.dlq], wanted, count, since)
        assert all(letter.timestamp_ms >= since for letter in recent) or looked < count
        assert looked < count


async def test_one_letter_by_its_place(system: System) -> None:
    await system.die(value(0), b"\xff\x00", None, partition=1)
    async with kafka_reader(system.settings.bootstrap) as reader:
        values = []
        for offset in range(3):
            letter = await reader.get(Place(system.dlq, 1, offset))
            assert letter is not None
            assert letter.place.offset == offset
            values.append(letter.value)
        assert values == [value(0), b"\xff\x00", None]
        for place in (
            Place(system.dlq, 1, 3),
            Place(system.dlq, 0, 0),
            Place(system.dlq, 9, 0),
            Place("not-there-dlq", 0, 0),
        ):
            assert await reader.get(place) is None


async def test_a_documents_letter_is_found_by_its_key(system: System) -> None:
    await system.die(*[value(n) for n in range(40)])
    box = system.box()
    letter = await box.of_document("d7")
    assert letter is not None
    assert letter.key == b"d7"
    assert await box.of_document("d40") is None
    await box.replay(Selection(ids=(letter.place,)), Plan())
    assert await box.of_document("d7") is None


async def test_a_broker_that_falls_silent_ends_a_reading(
    system: System, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "STALL_SECONDS", 2.0)
    await system.die(*[value(n) for n in range(3)])

    async def ask() -> None:
        async with kafka_reader(system.settings.bootstrap) as reader:
            broker.kill()
            await reader.newest([system.dlq], everything, 5)

    try:
        with pytest.raises(BrokerError, match="at localhost"):
            await ask()
    finally:
        await asyncio.to_thread(broker.start)


async def test_marks_are_read_by_those_who_have_read_before(system: System) -> None:
    """A worker keeps the marks it has read; another process adds some."""
    await system.die(*[value(n) for n in range(4)], partition=0)
    mine, other = system.box(), system.box()
    assert len(await mine.newest(Selection(), 10)) == 4
    await other.replay(Selection(filter=Filter(key="d1")), Plan())
    assert [x.key for x, _ in await mine.newest(Selection(), 10)] == [b"d3", b"d2", b"d0"]
    states = {x.key: state for x, state in await mine.newest(Selection(states=ALL), 10)}
    assert states[b"d1"] is LetterState.REPLAYED
