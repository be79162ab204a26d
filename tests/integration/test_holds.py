"""Holds on a real broker: a flow that is held keeps no other waiting, and loses nothing.

The app is the real one, in this process; the flows hand on what they get.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from testkit.broker import Broker, create_topic, free_port, unique
from tickertape import headers as h
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.outcome import Done, Failed
from tickertape.delivery.routes import routes
from tickertape.delivery.spec import FlowLimits, Spec
from tickertape.errors import OutageError
from tickertape.record import Record
from tickertape.settings import Settings
from tickertape.topics import changelog
from worker import TickertapeApp
from worker.app import POLL_RECORDS

SECONDS_MAX = 90.0  # a bound for a test that hangs, never an expectation
PARTITIONS = 2
IN_FLIGHT_MAX = 50
COUNT = 3000


class Hearing:
    """A flow that notes the records it was given, as fast as ``go`` lets it."""

    def __init__(self, topic: str, breakers: Breakers) -> None:
        self.topic = topic
        self.came: list[Record] = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        limits = FlowLimits(IN_FLIGHT_MAX, 2**20, (1.0,), 0.0, "group", "no-progress")
        spec = Spec(
            name=topic,
            routes=routes(topic),
            decode=lambda record: record,
            handle=self._handle,
            passes=lambda record: record.own,
            dependencies=("llm",),
            window_records=10,
        )
        self.flow: Flow[Record] = Flow(spec, limits, self._publish, breakers)

    async def _handle(self, works):
        await self.go.wait()
        if self.error is not None:
            return [Failed(self.error)] * len(works)
        self.came += [work.record for work in works]
        return [Done()] * len(works)

    async def _publish(self, records):
        raise AssertionError(f"nothing is to be published: {records}")

    def assert_each_once(self, count: int) -> None:
        for partition in range(PARTITIONS):
            offsets = [record.offset for record in self.came if record.partition == partition]
            assert sorted(offsets) == list(range(count // PARTITIONS))


@contextlib.asynccontextmanager
async def running(
    broker: Broker, folder: Path, *hearings: Hearing, app_id: str | None = None
) -> AsyncIterator[TickertapeApp]:
    settings = Settings(
        brokers=broker.bootstrap,
        app_id=app_id or unique("app"),
        web_port=free_port(),
        data_dir=folder,
        drain_seconds=0.5,
    )
    app = TickertapeApp(settings)
    # As in a worker: with a table to recover, records flow before the last seek of a rebalance.
    app.Table("cells", partitions=PARTITIONS)
    await create_topic(broker.bootstrap, changelog(settings.app_id, "cells"), PARTITIONS)
    for hearing in hearings:
        app.run_flow(hearing.flow, [hearing.topic])
    app.finalize()
    await app.start()
    holds = asyncio.create_task(app.keep_holds())
    try:
        yield app
    finally:
        await app.stop()
        holds.cancel()


@pytest.fixture
async def producer(broker: Broker) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=5)
    await made.start()
    yield made
    await made.stop()


async def fill(
    producer: AIOKafkaProducer, topic: str, count: int, own: Callable[[int], bool] = lambda _: False
) -> None:
    for number in range(count):
        headers = [(h.OWN, b"1")] if own(number) else []
        await producer.send(topic, b"x" * 200, partition=number % PARTITIONS, headers=headers)
    await producer.flush()


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            if check():
                return
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def this_process_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that stops ends its process, at the latest after some seconds."""
    monkeypatch.setattr("worker.app._end_late", lambda _loops: None)


@pytest.fixture
def hearing(make_topic) -> Callable[[str], Hearing]:
    """Return a function that makes a flow on a topic of its own."""
    return lambda name: Hearing(make_topic(name, PARTITIONS), Breakers())


async def test_a_full_flow_is_bounded_and_keeps_no_other_waiting(
    broker, hearing, producer, tmp_path
):
    slow, fast = hearing("slow"), hearing("fast")
    await fill(producer, slow.topic, COUNT)
    await fill(producer, fast.topic, COUNT // 2)
    slow.go.clear()
    async with running(broker, tmp_path, slow, fast):
        await until(lambda: len(fast.came) == COUNT // 2)
        assert slow.flow.records_in_flight < IN_FLIGHT_MAX + POLL_RECORDS
        assert slow.flow.reason == "its bound of records or bytes in flight is reached"
        assert not slow.came
        slow.go.set()
        await until(lambda: len(slow.came) == COUNT)
    slow.assert_each_once(COUNT)
    fast.assert_each_once(COUNT // 2)


async def test_a_flow_that_is_held_again_and_again_loses_nothing(
    broker, hearing, producer, tmp_path
):
    """Faust's own pause_partitions lost 25,736 of 100,000 records at one pause."""
    one = hearing("again")
    count = COUNT // 3
    await fill(producer, one.topic, count)
    async with running(broker, tmp_path, one), asyncio.timeout(SECONDS_MAX):
        while len(one.came) < count:
            one.flow.pause()
            await asyncio.sleep(0.06)  # longer than the holds' own step
            one.flow.resume()
            await asyncio.sleep(0.04)
    one.assert_each_once(count)


async def test_an_outage_holds_until_a_probe_goes_through(broker, hearing, producer, tmp_path):
    one = hearing("outage")
    one.error = OutageError("503", dependency="llm", retry_after=0.05)
    await fill(producer, one.topic, COUNT)
    async with running(broker, tmp_path, one):
        await until(lambda: one.flow.reason == "llm: 503")
        assert one.flow.records_in_flight < IN_FLIGHT_MAX + POLL_RECORDS
        one.error = None
        await until(lambda: len(one.came) == COUNT)
    one.assert_each_once(COUNT)


async def test_a_hold_outlives_a_rebalance_and_no_backlog_is_passed_over(
    broker, hearing, producer, tmp_path
):
    """Nothing of the held topic is committed yet: what Faust fetched and threw away around the
    rebalance comes again all the same."""
    first = hearing("held")
    second = Hearing(first.topic, Breakers())
    first.flow.pause()
    app_id = unique("app")
    async with running(broker, tmp_path, first, app_id=app_id):
        await fill(producer, first.topic, COUNT)
        async with running(broker, tmp_path, second, app_id=app_id):
            await until(lambda: len(second.came) >= COUNT // 2)
            assert not first.came
            first.flow.resume()
            await until(lambda: len(first.came) + len(second.came) >= COUNT)
        await fill(producer, first.topic, 100)
        await until(lambda: len(first.came) + len(second.came) >= COUNT + 100)
    first.came += second.came
    first.assert_each_once(COUNT + 100)


async def test_what_was_in_flight_at_a_stop_comes_again(broker, hearing, producer, tmp_path):
    first = hearing("stop")
    app_id = unique("app")
    await fill(producer, first.topic, COUNT)
    async with running(broker, tmp_path, first, app_id=app_id):
        await until(lambda: len(first.came) > 100)
        first.go.clear()
        await until(lambda: first.flow.records_in_flight >= IN_FLIGHT_MAX)
    second = Hearing(first.topic, Breakers())
    async with running(broker, tmp_path, second, app_id=app_id):
        await until(lambda: len(first.came) + len(second.came) == COUNT)
    first.came += second.came
    first.assert_each_once(COUNT)


async def test_what_is_passed_over_is_committed_and_hides_nothing(
    broker, hearing, producer, tmp_path
):
    """A topic of our own records is read now and then; another's among them comes all the same."""
    one = hearing("own")
    async with running(broker, tmp_path, one) as app:
        for _ in range(5):
            await fill(producer, one.topic, 200, own=lambda number: number not in (77, 140))
            await asyncio.sleep(0.15)
        await fill(producer, one.topic, 20, own=lambda _: True)
        await until(lambda: len(one.came) == 10)
        await until(lambda: set(app.offsets.committables().values()) == {510})
    assert {record.offset % 100 for record in one.came} == {38, 70}
