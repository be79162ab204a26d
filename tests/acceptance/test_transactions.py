"""Producers that use transactions: what they abort is nowhere, and lag ends at 0."""

from __future__ import annotations

import json

from aiokafka import AIOKafkaProducer

from testkit.broker import unique
from testkit.system import System, documents, until


async def test_aborted_records_are_nowhere_and_markers_leave_no_lag(system: System) -> None:
    topic = system.settings.topic_text_messages
    producer = AIOKafkaProducer(
        bootstrap_servers=system.broker.bootstrap, transactional_id=unique("tx")
    )
    await producer.start()
    worker = await system.worker()
    batch = await system.declare(20)

    async def send(prefix: str) -> None:
        for document in documents(10, batch, prefix):
            await producer.send(topic, json.dumps(document).encode(), key=document["id"].encode())

    try:
        for prefix, commits in (("a", True), ("aborted", False), ("b", True)):
            await producer.begin_transaction()
            await send(prefix)
            await (producer.commit_transaction() if commits else producer.abort_transaction())
    finally:
        await producer.stop()
    state = await system.finished(worker, batch)
    assert (state["done"], state["seen"], state["dead"]) == (20, 20, 0)
    async with system.store() as store:
        assert (await store.count()).documents == 20
        assert not await store.document("aborted-3")

    async def no_lag() -> bool:
        flow = await worker.flow("text")
        # Every record and every marker of three transactions is behind us, for the group too.
        return flow["lag"] == 0 and await system.committed(topic) >= 30 + 3

    await until(no_lag, f"lag of {await worker.flow('text')}:\n{worker.tail()}")
    await worker.stop()
