"""kill -9 of the broker under load: the worker outlives it, and the counts are exact."""

from __future__ import annotations

import asyncio
from collections import Counter

from testkit.system import System, documents, until

COUNT = 240


async def test_a_worker_outlives_its_broker(own_system: System):
    own_system.configure(TICKERTAPE_WINDOW_RECORDS="16")
    worker = await own_system.worker()
    settings = own_system.settings
    batch = await own_system.declare(COUNT)
    await own_system.send(settings.topic_financial_documents, documents(COUNT, batch))

    async def under_way() -> bool:
        return bool((await worker.flow("documents"))["processed"] >= 32)

    await until(under_way, "the work to begin")
    await asyncio.to_thread(own_system.broker.kill)
    assert (await worker.get("/livez")).status_code == 200
    await asyncio.to_thread(own_system.broker.start)

    state = await own_system.finished(worker, batch)
    assert (state["status"], state["total_documents"]) == ("completed", COUNT)
    assert (state["done"], state["dead"], state["retrying"]) == (COUNT, 0, 0)
    assert worker.process.returncode is None, worker.tail()
    wanted = {f"doc-{n}" for n in range(COUNT)}
    for topic in (settings.topic_embeddings, settings.topic_llm_results):
        assert Counter(v["id"] for v in await own_system.values(topic)).keys() == wanted
    async with own_system.store() as store:
        counts = await store.count()
        assert (counts.documents, counts.chunks) == (COUNT, COUNT)
    assert not await own_system.dead(settings.topic_financial_documents)

    more = await own_system.declare(10)
    await own_system.send(settings.topic_financial_documents, documents(10, more, "later"))
    assert (await own_system.finished(worker, more))["done"] == 10
    assert await worker.stop() == 0, worker.tail()
