"""kill -9 in the middle, and a restart: every document once, every batch completed."""

from __future__ import annotations

from collections import Counter

from testkit.system import System, Worker, documents, until


async def processed(worker: Worker, flow: str, count: int) -> None:
    async def enough() -> bool:
        return bool((await worker.flow(flow))["processed"] >= count)

    await until(enough, f"{count} records through {flow}")


async def test_a_killed_worker_loses_and_doubles_nothing(system: System):
    system.configure(TICKERTAPE_WINDOW_RECORDS="16")
    count = 240
    worker = await system.worker()
    batch = await system.declare(count)
    await system.send(system.settings.topic_financial_documents, documents(count, batch))
    await processed(worker, "documents", count // 4)
    await worker.kill()

    worker = await system.worker()
    await processed(worker, "documents", count // 4)
    await worker.kill()

    worker = await system.worker()
    state = await system.finished(worker, batch)
    assert (state["status"], state["total_documents"]) == ("completed", count)
    assert (state["done"], state["dead"], state["retrying"]) == (count, 0, 0)
    assert state["unchanged"] == 0, "a redelivered document is not an unchanged one"

    async with system.store() as store:
        counts = await store.count()
        assert (counts.documents, counts.chunks) == (count, count)
    wanted = {f"doc-{n}" for n in range(count)}
    for topic in (system.settings.topic_embeddings, system.settings.topic_llm_results):
        seen = Counter(value["id"] for value in await system.values(topic))
        assert set(seen) == wanted, f"{topic} lacks documents"
    assert not await system.dead(system.settings.topic_financial_documents)


async def test_sigterm_gives_everything_back_and_a_restart_goes_on(system: System):
    system.configure(TICKERTAPE_WINDOW_RECORDS="16")
    count = 160
    worker = await system.worker()
    batch = await system.declare(count)
    await system.send(system.settings.topic_text_messages, documents(count, batch))
    await processed(worker, "text", 20)
    assert await worker.stop() == 0, worker.tail()

    worker = await system.worker()
    state = await system.finished(worker, batch)
    assert (state["status"], state["done"]) == ("completed", count)
    vectors = await system.values(system.settings.topic_embeddings)
    assert len(vectors) == count, "what was drained is not done again"
