"""One record is read again from where it stands, and what is not there any more is not."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from testkit.broker import Broker
from tests.fixtures_broker import MakeTopic
from tickertape.kafka.recall import recall
from tickertape.versions import Stamp


async def test_one_record_is_read_again(broker: Broker, make_topic: MakeTopic) -> None:
    topic = make_topic(partitions=2)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        for n in range(5):
            await producer.send_and_wait(topic, str(n).encode(), partition=1)
    finally:
        await producer.stop()
    for offset in (0, 4):
        found = await recall(broker.bootstrap, Stamp(0, offset, 1, topic))
        assert found is not None
        assert found.value == str(offset).encode()
    places = [(5, 1, topic), (0, 0, topic), (0, 7, topic), (0, 0, "no-such-topic")]
    for gone in (Stamp(0, *place) for place in places):
        assert await recall(broker.bootstrap, gone) is None


async def test_another_record_at_its_place_is_not_it(broker: Broker, make_topic: MakeTopic) -> None:
    topic = make_topic(config={"message.timestamp.type": "LogAppendTime"})
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    try:
        sent = await producer.send_and_wait(topic, b"x", partition=0)
    finally:
        await producer.stop()
    assert await recall(broker.bootstrap, Stamp(sent.timestamp, 0, 0, topic)) is not None
    assert await recall(broker.bootstrap, Stamp(sent.timestamp - 1, 0, 0, topic)) is None
