"""A consumed topic is deleted, and made anew, under running workers: all of the new one is read,
and no other topic waits meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from testkit.system import PARTITIONS, System, documents, until
from tickertape import kafka_admin


async def delete(system: System, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([topic])
        async with asyncio.timeout(30):
            while topic in await admin.list_topics():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def make(system: System, topic: str) -> None:
    wanted = [replace(t, partitions=PARTITIONS) for t in kafka_admin.wanted(system.settings)]
    (again,) = [t for t in wanted if t.name == topic]
    (await kafka_admin.ensure(system.broker.bootstrap, [again])).raise_for_errors()


async def stored(system: System, count: int) -> None:
    async with system.store() as store:

        async def all_there() -> bool:
            return bool((await store.count()).documents == count)

        await until(all_there, f"{count} documents, there are {await store.count()}")


@pytest.mark.parametrize("again", [40, 10], ids=["longer", "shorter"])
async def test_a_topic_made_anew_is_read_from_its_beginning(system: System, again: int) -> None:
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    await system.send(topic, documents(20, prefix="old"))
    await stored(system, 20)

    async def committed() -> bool:
        return await system.committed(topic) == 20

    await until(committed, f"the first topic's commits:\n{worker.tail()}")
    await delete(system, topic)
    await make(system, topic)
    await system.send(topic, documents(again, prefix="new"))
    await stored(system, 20 + again)

    async def caught_up() -> bool:
        return await system.committed(topic) == again and not (await worker.flow("text"))["lag"]

    await until(caught_up, f"the new topic's commits:\n{worker.tail()}")
    await worker.stop()


async def test_an_offset_of_the_topic_before_is_not_used_after_a_restart(system: System) -> None:
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    await system.send(topic, documents(20, prefix="old"))
    await stored(system, 20)
    await worker.kill()  # its offsets are committed, or were about to be
    await delete(system, topic)
    await make(system, topic)
    await system.send(topic, documents(40, prefix="new"))
    await system.worker()
    await stored(system, 60)


async def test_no_other_topic_waits_for_one_that_is_gone(system: System) -> None:
    gone = system.settings.topic_text_messages
    worker = await system.worker()
    await system.send(gone, documents(10, prefix="gone"))
    await stored(system, 10)
    await delete(system, gone)
    other = system.settings.topic_financial_documents
    for number in range(1, 4):  # also over a rebalance: a second worker joins
        batch = await system.declare(10)
        await system.send(other, documents(10, batch, f"other-{number}"))
        async with asyncio.timeout(30):
            assert (await system.finished(worker, batch))["done"] == 10
            while await system.committed(other) < 10 * number:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        if number == 1:
            await system.worker()
    await worker.stop()
