"""`reset` of workers whose broker is named: their groups forget, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from testkit.broker import Broker, unique
from tickertape.cli import reset
from tickertape.errors import BrokerError
from tickertape.settings import Settings


async def committed(bootstrap: str, group: str) -> dict[TopicPartition, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
        return {place: at.offset for place, at in found.items() if at.offset >= 0}
    finally:
        await admin.close()


async def test_what_was_committed_is_forgotten_once_nobody_works(
    broker: Broker, make_topic: Callable[[], str], tmp_path: Path
) -> None:
    topic, app = make_topic(), unique("app")
    settings = Settings(
        _env_file=None, brokers=broker.bootstrap, app_id=app, data_dir=tmp_path / "data"
    )
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        await producer.send_and_wait(topic, b"x", partition=0)
    worker = AIOKafkaConsumer(
        topic,
        bootstrap_servers=broker.bootstrap,
        group_id=app,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await worker.start()
    try:
        await worker.getone()
        await worker.commit()
        with pytest.raises(BrokerError, match=f"a worker runs as {app}"):
            await reset._forget(settings)
    finally:
        await worker.stop()
    assert await committed(broker.bootstrap, app) == {TopicPartition(topic, 0): 1}
    await reset._forget(settings)
    assert await committed(broker.bootstrap, app) == {}
    await reset._forget(settings)  # of groups that are not there
