"""A log that lost its end (an unclean election, a restored disk): its offsets come again, and the
new records are not taken for old ones."""

from __future__ import annotations

import asyncio

from testkit.system import System, documents, until


async def test_offsets_that_come_again_lower_are_new_records(own_system: System) -> None:
    topic = own_system.settings.topic_text_messages
    broker = own_system.broker
    worker = await own_system.worker()
    await own_system.send(topic, documents(20, prefix="old"))

    async def stored(count: int) -> bool:
        async with own_system.store() as store:
            return bool((await store.count()).documents == count)

    await until(lambda: stored(20), f"the first records:\n{worker.tail()}")
    await asyncio.to_thread(broker.stop)
    for folder in broker.data_dir.rglob(f"{topic}-[0-9]*"):
        for file in folder.glob("*.log"):
            file.write_bytes(b"")
        for file in (*folder.glob("*index"), *folder.glob("*.snapshot")):
            file.unlink()
    await asyncio.to_thread(broker.start)
    await own_system.send(topic, documents(8, prefix="new"))
    await until(lambda: stored(28), f"the new records:\n{worker.tail()}")
    assert await own_system.committed(topic) <= 20

    async def caught_up() -> bool:
        return await own_system.committed(topic) == 8

    await until(caught_up, f"the new log's commits:\n{worker.tail()}")
    await worker.stop()
