"""kill -9 in the middle, and a restart: every document once, every batch completed."""

from __future__ import annotations

from collections import Counter

from testkit.system import System, Worker, documents, until


async def processed(worker: Worker, flow: str, count: int) -> None:
    async def enough() -> bool:
        return bool((await worker.flow(flow))["processed"] >= count)

    await until(enough, f"{count} records through {flow}")


class Repeats:
    """How many records of each output come again for the kills so far, counted at each.

    Sent is a record for each that is committed, for each that was not yet, and what came again.
    """

    def __init__(self, system: System) -> None:
        names = system.settings
        self.pairs = (
            (names.topic_financial_documents, names.topic_embeddings),
            (names.topic_summary_requests, names.topic_llm_results),
        )
        self.of: Counter[str] = Counter()
        self._system = system

    async def after_a_kill(self) -> None:
        for source, target in self.pairs:
            sent = sum((await self._system.ends(target)).values())
            self.of[target] = sent - await self._system.committed(source)


async def test_a_killed_worker_loses_and_doubles_nothing(system: System):
    system.configure(TICKERTAPE_WINDOW_RECORDS="16")
    count = 240
    worker = await system.worker()
    batch = await system.declare(count)
    await system.send(system.settings.topic_financial_documents, documents(count, batch))
    repeats = Repeats(system)
    await processed(worker, "documents", count // 4)
    await worker.kill()
    await repeats.after_a_kill()

    worker = await system.worker()
    await processed(worker, "documents", count // 4)
    await worker.kill()
    await repeats.after_a_kill()

    worker = await system.worker()
    state = await system.finished(worker, batch)
    assert (state["status"], state["total_documents"]) == ("completed", count)
    assert (state["done"], state["dead"], state["retrying"]) == (count, 0, 0)
    assert state["unchanged"] == 0, "a redelivered document is not an unchanged one"

    async with system.store() as store:
        counts = await store.count()
        assert (counts.documents, counts.chunks) == (count, count)
    wanted = {f"doc-{n}" for n in range(count)}
    for source, target in repeats.pairs:
        seen = Counter(value["id"] for value in await system.values(target))
        assert set(seen) == wanted, f"{target} lacks documents"
        # A kill repeats what was sent and not yet committed, and nothing beside it.
        asked = sum((await system.ends(source)).values())
        assert seen.total() <= asked + repeats.of[target], f"{target} has records twice"
        assert max(seen.values()) <= 3, "once, and once more for each kill"
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
