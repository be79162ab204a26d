"""A rebalance and a stop while calls are stuck: the group goes on, and the calls are made again."""

from __future__ import annotations

from collections import Counter

from testkit.llm.double import LlmDouble
from testkit.system import System, documents, until

STUCK = 4
COUNT = 40


async def test_a_stuck_call_keeps_nobody_waiting(system: System):
    async with LlmDouble() as llm:
        system.configure(
            LLM_URL=llm.url,
            MODEL_NAME="double",
            LLM_TIMEOUT="600",
            TICKERTAPE_LLM_CONCURRENCY=str(STUCK),
            TICKERTAPE_DRAIN_SECONDS="1",
        )
        first = await system.worker()
        llm.control(faults=[{"kind": "hold"}] * STUCK)
        topic = system.settings.topic_financial_documents
        batch = await system.declare(COUNT)
        await system.send(topic, documents(COUNT, batch, "a"))
        await llm.until(STUCK, "open")  # every window of the flow has a call that never ends

        second = await system.worker()
        state = await system.finished(second, batch)
        assert (state["status"], state["done"]) == ("completed", COUNT)
        assert (state["dead"], state["retrying"]) == (0, 0)
        assert llm.counts()["disconnected"] == STUCK, "what was given back was cancelled"

        llm.control(faults=[{"kind": "hold"}] * 2 * STUCK)
        again = await system.declare(COUNT)
        await system.send(topic, documents(COUNT, again, "b"))
        await llm.until(2 * STUCK, "open")
        codes = [await first.stop(), await second.stop()]
        assert codes == [0, 0], first.tail() + second.tail()
        third = await system.worker()
        assert (await system.finished(third, again))["done"] == COUNT

        summaries = await system.values(system.settings.topic_llm_results)
        names = [f"{prefix}-{n}" for prefix in "ab" for n in range(COUNT)]
        assert Counter(s["id"] for s in summaries) == dict.fromkeys(names, 1)
        async with system.store() as store:
            assert (await store.count()).documents == 2 * COUNT

        async def nothing_open() -> bool:
            return "open" not in llm.counts()

        await until(nothing_open, f"no call to be left behind: {llm.counts()}")
