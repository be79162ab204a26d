"""A flow is held while workers come and go: the hold outlives the rebalances, nothing is lost."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import httpx

from testkit.llm.double import LlmDouble
from testkit.system import System, Worker, documents, until
from tickertape import topics

COUNT = 60


async def test_summaries_stay_held_over_rebalances_and_are_all_made(system: System):
    async with LlmDouble() as llm:
        # A small bound, so that partitions are held too and not only windows.
        system.configure(
            LLM_URL=llm.url, MODEL_NAME="double", TICKERTAPE_IN_FLIGHT_RECORDS_MAX="16"
        )
        first = await system.worker()
        await llm.stop()
        topic = system.settings.topic_financial_documents
        batches = [await system.declare(COUNT) for _ in range(3)]
        await system.send(topic, documents(COUNT, batches[0], "alone"))
        await held(first)

        second = await system.starting()
        await owns(first, 2)
        await owns(second, 2)
        await system.send(topic, documents(COUNT, batches[1], "both"))
        await held(first)
        await held(second)

        assert await second.stop() == 0, second.tail()
        await system.send(topic, documents(COUNT, batches[2], "left"))
        await owns(first, 4)
        await held(first)
        assert not await system.read(system.settings.topic_llm_results)

        await llm.start()
        for batch in batches:
            state = await system.finished(first, batch)
            assert (state["status"], state["done"]) == ("completed", COUNT)
            assert (state["dead"], state["retrying"]) == (0, 0)
        summaries = await system.values(system.settings.topic_llm_results)
        names = ("alone", "both", "left")
        assert Counter(s["id"] for s in summaries) == {
            f"{name}-{n}": 1 for name in names for n in range(COUNT)
        }
        requests = system.settings.topic_summary_requests
        assert not await system.read(topics.retry(requests, 0)), "no attempts were spent"
        assert not await system.dead(requests)


async def held(worker: Worker) -> None:
    async def told() -> bool:
        flow = await worker.flow("summaries")
        return flow["state"] == "held" and "llm: no connection" in flow["reason"]

    await until(told, f"summaries to be held:\n{worker.tail()}")


async def owns(worker: Worker, partitions: int) -> None:
    """Wait until it has so many partitions: of the topic and of the internal one, two each."""

    async def has() -> bool:
        with suppress(httpx.TransportError, StopIteration):  # it may not listen yet
            return bool((await worker.flow("documents"))["partitions"] == partitions)
        return False

    await until(has, f"a worker to have {partitions} partitions:\n{worker.tail()}")
