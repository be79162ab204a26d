"""What workers know of partitions: those that are added, and where held ones end."""

from __future__ import annotations

import asyncio
import json

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from testkit.system import PARTITIONS, System, documents, until
from tests.acceptance.test_pause import post

READ_WITHIN_SECONDS = 30.0


async def test_new_partitions_are_read_soon_and_no_batch_is_complete_before(
    system: System,
) -> None:
    system.configure(TICKERTAPE_BATCH_IDLE_SECONDS="1")
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(total_count=PARTITIONS + 2)})
    await admin.close()
    old, new = documents(6, "undeclared", "old"), documents(6, "undeclared", "new")
    producer = await system.producer()
    await producer.client.force_metadata_update()
    async with asyncio.timeout(READ_WITHIN_SECONDS):
        for partition, sent in ((0, old), (PARTITIONS, new[:3]), (PARTITIONS + 1, new[3:])):
            for document in sent:
                value = json.dumps(document).encode()
                await producer.send_and_wait(
                    topic, value, key=document["id"].encode(), partition=partition
                )
        state = await system.finished(worker, "undeclared")
    assert state["done"] == 12, "it was called complete while partitions were not read"


async def test_lag_grows_while_a_flow_is_held(system: System) -> None:
    """The end of a held partition is told by no fetch: lag stood still, just when it matters."""
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    await system.send(topic, documents(4, prefix="before"))

    async def lag(count: int) -> bool:
        return bool((await worker.flow("text"))["lag"] == count)

    await until(lambda: lag(0), f"no lag:\n{worker.tail()}")
    await post(worker, "/stop")
    for sent in (10, 30):
        await system.send(topic, documents(20 if sent > 10 else 10, prefix=f"held-{sent}"))
        await until(lambda sent=sent: lag(sent), f"a lag of {sent}: {await worker.flow('text')}")
    await post(worker, "/start")
    await until(lambda: lag(0), f"no lag:\n{worker.tail()}")
