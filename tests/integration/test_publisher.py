"""The publisher on a real broker: order, partitions, and which record of a batch is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from testkit.broker import unique
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.errors import PermanentError, Rejected, TooLarge
from tickertape.record import Outgoing
from tickertape.settings import Settings
from tickertape.topics import COPY_BYTES_MAX

PARTITIONS = 3
TOPIC_BYTES_MAX = 20_000


@pytest.fixture
async def publisher(broker) -> AsyncIterator[KafkaPublisher]:
    # A batch holds some 50 of the records here, so that each call makes several.
    made = KafkaPublisher(Settings(brokers=broker.bootstrap, producer_batch_bytes=10_000))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def topic(broker) -> str:
    """A topic that takes no batch over 20 kB."""
    name = unique("published")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    configs = {"max.message.bytes": str(TOPIC_BYTES_MAX)}
    await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=configs)])
    await admin.close()
    return name


async def stored(broker, topic: str) -> dict[int, list[tuple[bytes, bytes]]]:
    """What each partition holds: (key, value)."""
    consumer = AIOKafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    tps = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer.assign(tps)
    ends = await consumer.end_offsets(tps)
    found: dict[int, list[tuple[bytes, bytes]]] = {tp.partition: [] for tp in tps}
    while sum(map(len, found.values())) < sum(ends.values()):
        for tp, messages in (await consumer.getmany(timeout_ms=200)).items():
            found[tp.partition] += [(message.key, message.value) for message in messages]
    await consumer.stop()
    return found


async def test_records_keep_their_order_and_stand_where_any_producer_puts_their_key(
    broker, publisher, topic
):
    records = [Outgoing(topic, b"k%d" % (n % 7), b"%d" % n + b"x" * 150) for n in range(500)]
    assert await publisher.send(records) == [None] * 500
    found = await stored(broker, topic)
    for place in found.values():
        for key in {key for key, _ in place}:
            values = [value for found_key, value in place if found_key == key]
            assert values == [record.value for record in records if record.key == key]
    other = AIOKafkaProducer(bootstrap_servers=broker.bootstrap)
    await other.start()
    for n in range(7):
        where = await other.send_and_wait(topic, b"", key=b"k%d" % n)
        assert b"k%d" % n in {key for key, _ in found[where.partition]}
    await other.stop()


async def test_what_the_broker_refuses_is_named_and_keeps_no_other_from_going(
    broker, publisher, topic
):
    good = [Outgoing(topic, b"k", b"%d" % n + b"x" * 150, partition=1) for n in range(200)]
    large = Outgoing(topic, b"k", b"x" * (TOPIC_BYTES_MAX + 1), partition=1)
    huge = Outgoing(topic, b"k", b"x" * (COPY_BYTES_MAX + 1), partition=1)
    nothing = Outgoing(topic, None, None, partition=1)
    records = [*good[:100], large, nothing, huge, *good[100:]]
    errors = await publisher.send(records)
    assert [error for error in errors if error is not None] == errors[100:103]
    assert isinstance(errors[100], TooLarge)
    assert isinstance(errors[101], PermanentError)
    assert isinstance(errors[102], TooLarge)
    assert (await stored(broker, topic))[1] == [(b"k", record.value) for record in good]


async def test_a_batch_over_the_topics_limit_goes_record_by_record(broker, topic):
    publisher = KafkaPublisher(Settings(brokers=broker.bootstrap, producer_batch_bytes=10**6))
    await publisher.start()
    records = [Outgoing(topic, b"k", b"%d" % n + b"x" * 150, partition=2) for n in range(200)]
    assert await publisher.send(records) == [None] * 200
    await publisher.stop()
    assert (await stored(broker, topic))[2] == [(b"k", record.value) for record in records]


async def test_of_a_batch_only_the_record_that_the_broker_refuses_is_refused(broker, publisher):
    """A compacted topic takes no record without a key, and refuses the whole batch for one."""
    name = unique("compacted")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"cleanup.policy": "compact"})])
    await admin.close()
    keys = [b"a", None, b"b"]
    errors = await publisher.send([Outgoing(name, key, b"v", partition=0) for key in keys])
    assert [type(error) for error in errors] == [type(None), Rejected, type(None)]
