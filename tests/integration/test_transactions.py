"""Transactions on a real broker: what it refuses takes all of its page with it."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from testkit.broker import unique
from tickertape.errors import PermanentError
from tickertape.kafka.consumer import Consumer
from tickertape.kafka.transactions import Transactions
from tickertape.record import Outgoing
from tickertape.settings import Settings
from tickertape.topics import COPY_BYTES_MAX

TOPIC_BYTES_MAX = 20_000


@pytest.mark.parametrize("size", [TOPIC_BYTES_MAX + 1, COPY_BYTES_MAX + 1])
async def test_a_record_that_is_refused_is_so_for_ever_and_none_of_its_page_is_there(
    broker, size: int
):
    topic = unique("pages")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    configs = {"max.message.bytes": str(TOPIC_BYTES_MAX)}
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    await admin.close()
    settings = Settings(brokers=broker.bootstrap, compression="none")
    name = unique("name")
    good, large = Outgoing(topic, b"a", b"x"), Outgoing(topic, b"b", b"x" * size)
    with pytest.raises(PermanentError, match="limit"):
        async with Transactions(settings, name) as transactions:
            await transactions.send([good, large])
    async with Transactions(settings, name) as transactions:
        await transactions.send([Outgoing(topic, b"c", b"x")])
    consumer = Consumer(
        topic,
        bootstrap_servers=broker.bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    found = await consumer.getone()
    await consumer.stop()
    assert found.key == b"c"
