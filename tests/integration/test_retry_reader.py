"""The retry reader on a real broker: what is due comes, in order; what waits is not in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from testkit.broker import Broker, create_topic, unique
from tickertape import headers as h
from tickertape import topics
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.outcome import Done
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.delivery.retries import RetryReader
from tickertape.delivery.routes import routes
from tickertape.delivery.spec import FlowLimits, Spec, TopicRoute
from tickertape.record import Record
from tickertape.settings import Settings

SECONDS_MAX = 60.0  # a bound for a test that hangs, never an expectation
LONG = 3600.0
SHORT = 0.2


class Side:
    """One worker's flow and reader of retry topics. ``delays`` in seconds, one a level."""

    def __init__(self, broker: Broker, base: str, *delays: float) -> None:
        self.base = base
        self.settings = Settings(
            brokers=broker.bootstrap,
            app_id=base,
            retry_delays_seconds=delays,
            retry_jitter=0,
            session_timeout_seconds=6,
        )
        self.came: list[Record] = []
        self.go = asyncio.Event()
        self.go.set()
        self.publisher = KafkaPublisher(self.settings)
        limits = FlowLimits(1000, 2**20, delays, 0.0, base, "no-progress")
        spec = Spec("f", routes(base, retries=len(delays)), lambda record: record, self._handle)
        self.flow: Flow[Record] = Flow(spec, limits, self.publisher.send, Breakers())
        levels = [topics.retry(base, level) for level in range(len(delays))]
        self.reader = RetryReader(self.settings, dict.fromkeys(levels, self.flow))

    async def _handle(self, works):
        await self.go.wait()
        self.came += [work.record for work in works]
        return [Done()] * len(works)

    async def start(self) -> None:
        await self.publisher.start()
        await self.reader.start()

    async def stop(self) -> None:
        await self.flow.drain(0)
        await self.reader.stop()
        await self.publisher.stop()

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.came]


Open = Callable[..., object]


@pytest.fixture
async def side(broker: Broker) -> AsyncIterator[Open]:
    """Return a function that starts a side; the first makes the topics, of two partitions."""
    made: list[Side] = []

    async def start(*delays: float, base: str | None = None) -> Side:
        one = Side(broker, base or unique("retry"), *delays)
        made.append(one)
        if base is None:
            for level in range(len(delays)):
                stamped = {"message.timestamp.type": "LogAppendTime"}
                await create_topic(broker.bootstrap, topics.retry(one.base, level), 2, stamped)
        await one.start()
        return one

    yield start
    for one in made:
        await one.stop()


@pytest.fixture
async def producer(broker: Broker) -> AsyncIterator[AIOKafkaProducer]:
    made = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await made.start()
    yield made
    await made.stop()


def due(seconds: float) -> list[tuple[str, bytes]]:
    """The header of a record that is due in so many seconds."""
    return [(h.RETRY_DUE, str(round((time.time() + seconds) * 1000)).encode())]


async def send(producer, side, level, value, headers=(), partition=0):
    """Copy a record to a retry topic."""
    topic = topics.retry(side.base, level)
    await producer.send_and_wait(topic, value, headers=list(headers), partition=partition)


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            if check():
                return
            await asyncio.sleep(0.02)


async def committed(side: Side, level: int) -> list[int]:
    """Offsets that the group has committed, by partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=side.settings.bootstrap, group_id=f"{side.settings.app_id}-retry"
    )
    await consumer.start()
    try:
        topic = topics.retry(side.base, level)
        return [await consumer.committed(TopicPartition(topic, p)) or 0 for p in (0, 1)]
    finally:
        await consumer.stop()


async def test_what_is_due_comes_and_what_is_not_waits_outside_memory(side, producer):
    one = await side(LONG, SHORT)
    for number in range(500):
        await producer.send(
            topics.retry(one.base, 0), b"x" * 1000, headers=due(LONG), partition=number % 2
        )
    await producer.flush()
    await send(producer, one, 0, b"overdue, behind one that waits", due(-5))
    await send(producer, one, 1, b"due", due(-1))
    await send(producer, one, 1, b"soon", due(SHORT))
    await until(lambda: len(one.came) == 2)
    assert one.values == [b"due", b"soon"]
    assert one.flow.records_in_flight == 0
    assert {record.trusted for record in one.came} == {True}


@pytest.mark.parametrize(
    "header",
    [
        b"32503680000000",  # the year 3000
        b"9" * 18,
        b"9" * 400,
        b"-5",
        b"1e9",
        b"soon",
        b"\xff\xfe",
        "\u0661".encode(),  # a digit, but none that we write
        b"",
        None,
    ],
)
async def test_a_forged_header_delays_no_longer_than_its_level(side, producer, header):
    one = await side(SHORT)
    await send(producer, one, 0, b"forged", [(h.RETRY_DUE, header)])
    await until(lambda: one.came)


async def test_records_of_a_partition_come_in_their_order(side, producer):
    one = await side(SHORT)
    sent = [b"%d" % number for number in range(300)]
    for number, value in enumerate(sent):
        # Some are due before the one ahead of them: they wait for it.
        headers = due(SHORT * (number % 3) / 2)
        await producer.send(topics.retry(one.base, 0), value, headers=headers, partition=1)
    await producer.flush()
    await until(lambda: len(one.came) == len(sent))
    assert one.values == sent
    await one.stop()
    assert await committed(one, 0) == [0, len(sent)]


async def test_a_held_flow_is_fed_nothing_and_then_everything(side, producer):
    one = await side(SHORT)
    one.flow.pause()
    for number in range(50):
        await send(producer, one, 0, b"%d" % number, due(-1), number % 2)
    await asyncio.sleep(4 * SHORT)  # time to do the wrong thing
    assert one.flow.records_in_flight == 0
    one.flow.resume()
    await until(lambda: len(one.came) == 50)
    assert sorted(one.values) == sorted(b"%d" % number for number in range(50))


async def test_what_was_not_settled_comes_again_after_a_restart(side, producer):
    first = await side(SHORT)
    for number in range(10):
        await send(producer, first, 0, b"%d" % number, due(-1), number % 2)
    await until(lambda: len(first.came) == 10)
    first.go.clear()
    for number in range(10, 20):
        await send(producer, first, 0, b"%d" % number, due(-1), number % 2)
    await until(lambda: first.flow.records_in_flight == 10)
    await first.stop()
    assert await committed(first, 0) == [5, 5]

    second = await side(SHORT, base=first.base)
    await until(lambda: len(second.came) == 10)
    assert sorted(second.values) == sorted(b"%d" % number for number in range(10, 20))


async def test_records_that_wait_outlive_a_rebalance(side, producer):
    first = await side(2.0)
    for number in range(40):
        await send(producer, first, 0, b"%d" % number, due(2), number % 2)
    second = await side(2.0, base=first.base)
    await until(lambda: len({*first.values, *second.values}) == 40)
    for one in (first, second):
        for partition in (0, 1):
            offsets = [r.offset for r in one.came if r.partition == partition]
            assert offsets == sorted(offsets)
    await second.stop()
    await send(producer, first, 0, b"later", due(-1), 0)
    await send(producer, first, 0, b"later", due(-1), 1)
    await until(lambda: first.values.count(b"later") == 2)
    await first.stop()
    assert await committed(first, 0) == [21, 21]


async def test_a_retry_topic_made_anew_is_read_from_its_beginning(broker, side, producer):
    """Also where it has more records by then than the one before had been read of."""
    one = await side(SHORT)
    topic = topics.retry(one.base, 0)
    for number in range(4):
        await send(producer, one, 0, b"old %d" % number, due(-1), number % 2)
    await until(lambda: len(one.came) == 4)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    async with asyncio.timeout(SECONDS_MAX):
        while topic in await admin.list_topics():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.05)
    await admin.close()
    await create_topic(broker.bootstrap, topic, 2, {"message.timestamp.type": "LogAppendTime"})
    for number in range(20):
        await send(producer, one, 0, b"new %d" % number, due(-1), number % 2)
    wanted = {b"new %d" % number for number in range(20)}
    await until(lambda: wanted <= set(one.values))
    await one.stop()
    assert await committed(one, 0) == [10, 10]


async def test_a_reader_whose_consumer_dies_makes_another_and_says_so_meanwhile(side, producer):
    one = await side(SHORT)
    await send(producer, one, 0, b"before", due(-1))
    await until(lambda: one.values == [b"before"])
    said = []
    dead = one.reader._consumer
    await dead.stop()
    await until(lambda: said.append(one.reader.down) or one.reader._consumer not in {None, dead})
    assert any("ConsumerStoppedError" in reason for reason in said)
    await send(producer, one, 0, b"after", due(-1))
    await until(lambda: b"after" in one.values)
    assert one.reader.down == ""
    await one.stop()


async def test_what_waits_at_a_level_that_is_no_more_is_read(broker, side, producer):
    two = await side(SHORT, SHORT)
    await two.stop()
    await send(producer, two, 1, b"left over", due(-1))
    one = Side(broker, two.base, SHORT)
    topic = topics.retry(one.base, 1)
    one.flow.spec.routes[topic] = TopicRoute(one.base, attempts=2, internal=True)
    one.reader = RetryReader(one.settings, {topic: one.flow})
    await one.start()
    await until(lambda: one.values == [b"left over"])
    await one.stop()
