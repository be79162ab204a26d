"""One record is read again from where it stands, and what is not there any more is not."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from testkit.broker import Broker
from tests.fixtures_broker import MakeTopic
from tickertape.kafka.recall import recall
from tickertape.versions import Origin


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
        found = await recall(broker.bootstrap, Origin(topic, 1, offset))
        assert found is not None
        assert found.value == str(offset).encode()
    for gone in (Origin(topic, 1, 5), Origin(topic, 0, 0), Origin(topic, 7, 0), Origin("no", 0, 0)):
        assert await recall(broker.bootstrap, gone) is None
