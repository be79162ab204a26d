"""A log whose bytes changed on the disk: the batch is passed over, and what follows is read."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from testkit.broker import Broker
from tests.fixtures_broker import MakeTopic
from tickertape.kafka.consumer import Consumer


async def test_a_batch_with_a_wrong_checksum_is_passed_over(
    broker: Broker, make_topic: MakeTopic
) -> None:
    topic = make_topic("damaged")
    sent = [f"record number {n}".encode() for n in range(3)]
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await producer.start()
    for value in sent:
        await producer.send_and_wait(topic, value)
    await producer.stop()
    broker.stop()
    (log,) = broker.data_dir.rglob(f"{topic}-0/*.log")
    log.write_bytes(log.read_bytes().replace(sent[1], b"RECORD number 1"))
    broker.start()
    consumer = Consumer(topic, bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        found = [await consumer.getone() for _ in range(2)]
    finally:
        await consumer.stop()
    assert [record.value for record in found] == [sent[0], sent[2]]
