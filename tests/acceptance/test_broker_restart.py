"""kill -9 of the broker under load: the worker outlives it, and the counts are exact."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from testkit.broker import Broker
from testkit.system import System, documents, until

COUNT = 240


@pytest.fixture
async def system(model_cache: Path, tmp_path: Path) -> AsyncIterator[System]:
    """A system on a broker of its own, which it may kill."""
    broker = Broker(tmp_path / "kafka")
    await asyncio.to_thread(broker.start)
    made = System(broker, model_cache, tmp_path)
    try:
        await made.open()
        yield made
    finally:
        await made.close()
        await asyncio.to_thread(broker.stop)


async def test_a_worker_outlives_its_broker(system: System):
    system.configure(TICKERTAPE_WINDOW_RECORDS="16")
    worker = await system.worker()
    settings = system.settings
    batch = await system.declare(COUNT)
    await system.send(settings.topic_financial_documents, documents(COUNT, batch))

    async def under_way() -> bool:
        return bool((await worker.flow("documents"))["processed"] >= 32)

    await until(under_way, "the work to begin")
    await asyncio.to_thread(system.broker.kill)
    assert (await worker.get("/livez")).status_code == 200
    await asyncio.to_thread(system.broker.start)

    state = await system.finished(worker, batch)
    assert (state["status"], state["total_documents"]) == ("completed", COUNT)
    assert (state["done"], state["dead"], state["retrying"]) == (COUNT, 0, 0)
    assert worker.process.returncode is None, worker.tail()
    wanted = {f"doc-{n}" for n in range(COUNT)}
    for topic in (settings.topic_embeddings, settings.topic_llm_results):
        assert Counter(v["id"] for v in await system.values(topic)).keys() == wanted
    async with system.store() as store:
        counts = await store.count()
        assert (counts.documents, counts.chunks) == (COUNT, COUNT)
    assert not await system.dead(settings.topic_financial_documents)

    more = await system.declare(10)
    await system.send(settings.topic_financial_documents, documents(10, more, "later"))
    assert (await system.finished(worker, more))["done"] == 10
    assert await worker.stop() == 0, worker.tail()
