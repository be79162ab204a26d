"""Records are read again from where they stand, and what is not there any more is not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer

import tickertape.kafka.recall
from testkit.broker import Broker
from tests.fixtures_broker import MakeTopic
from tickertape.kafka.consumer import Consumer
from tickertape.kafka.recall import Recall
from tickertape.versions import Stamp


@pytest.fixture
async def recall(broker: Broker) -> AsyncIterator[Recall]:
    made = Recall(broker.bootstrap)
    yield made
    await made.stop()


async def test_records_are_read_again(
    broker: Broker, make_topic: MakeTopic, recall: Recall
) -> None:
    topic = make_topic(partitions=2)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        for n in range(5):
            await producer.send_and_wait(topic, str(n).encode(), partition=1)
    finally:
        await producer.stop()
    there = [Stamp(0, offset, 1, topic) for offset in (4, 0, 1)]
    places = [(5, 1, topic), (0, 0, topic), (0, 7, topic), (0, 0, "no-such-topic")]
    gone = [Stamp(0, *place) for place in places]
    found = await recall.of([*gone, *there])
    assert {stamp: message.value for stamp, message in found.items()} == dict(
        zip(there, (b"4", b"0", b"1"), strict=True)
    )


async def test_what_lies_far_apart_is_all_found(
    broker: Broker, make_topic: MakeTopic, recall: Recall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickertape.kafka.recall, "NEAR", 3)
    topic = make_topic(partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        for n in range(100):
            await producer.send(topic, str(n).encode() * 1000)
        await producer.flush()
    finally:
        await producer.stop()
    wanted = [Stamp(0, offset, 0, topic) for offset in (0, 2, 50, 52, 57, 99)]
    found = await recall.of(wanted)
    assert sorted(message.offset for message in found.values()) == [0, 2, 50, 52, 57, 99]


async def test_another_record_at_its_place_is_not_it(
    broker: Broker, make_topic: MakeTopic, recall: Recall
) -> None:
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        sent = await producer.send_and_wait(topic, b"x", partition=0)
    finally:
        await producer.stop()
    right, wrong = (Stamp(sent.timestamp - late, 0, 0, topic) for late in (0, 1))
    assert list(await recall.of([right])) == [right]
    assert await recall.of([wrong]) == {}


async def test_a_consumer_that_has_just_been_started_can_be_stopped(broker: Broker) -> None:
    consumer = Consumer(bootstrap_servers=broker.bootstrap)
    await consumer.start()
    await consumer.stop()
