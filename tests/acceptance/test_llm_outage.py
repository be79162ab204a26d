"""The LLM is down or overloaded: summaries wait for it, without attempts, and nothing else does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from testkit.llm.double import LlmDouble
from testkit.system import System, Worker, documents, until
from tickertape import topics

COUNT = 12
Step = Callable[[], Awaitable[None]]


async def test_summaries_are_held_while_the_llm_is_away_and_go_on_by_themselves(system: System):
    async with LlmDouble() as llm:
        system.configure(LLM_URL=llm.url, MODEL_NAME="double")
        worker = await system.worker()

        async def back() -> None:
            llm.control(rates={}, faults=[])

        async def busy() -> None:
            llm.control(faults=[{"kind": "busy", "retry_after": 1}] * 1000)

        async def limited() -> None:
            llm.control(rates={"rate_limited": 1})

        async def refused_key() -> None:
            llm.control(rates={"unauthorized": 1})

        outages: list[tuple[str, str, Step, Step]] = [
            ("down", "llm: no connection to", llm.stop, llm.start),
            ("busy", "llm: HTTP 503", busy, back),
            ("limited", "llm: HTTP 429: Rate limit reached", limited, back),
            ("key", "see LLM_API_KEY", refused_key, back),
        ]
        for name, reason, begin, end in outages:
            await begin()
            batch = await system.declare(COUNT)
            sent = documents(COUNT, batch, name)
            await system.send(system.settings.topic_financial_documents, sent)
            await held(worker, reason)
            await stored(system, worker, name)
            state = await worker.json(f"/ingest-status/{batch}")
            assert (state["status"], state["done"]) == ("processing", 0)
            assert (state["retrying"], state["dead"]) == (0, 0), f"{name}: {state}"

            await end()
            state = await system.finished(worker, batch)
            assert (state["status"], state["done"]) == ("completed", COUNT), f"{name}: {state}"

        summaries = await system.values(system.settings.topic_llm_results)
        counts = Counter(summary["id"] for summary in summaries)
        assert counts == {f"{name}-{n}": 1 for name, *_ in outages for n in range(COUNT)}
        assert {summary["model_name"] for summary in summaries} == {"double"}
        requests = system.settings.topic_summary_requests
        for topic in (topics.retry(requests, 0), topics.retry(requests, 1), topics.dlq(requests)):
            assert not await system.read(topic), f"{topic}: an outage spends no attempts"
        assert (await worker.flow("summaries"))["retried"] == 0
        await until(lambda: is_ready(worker), "the worker to say that it is ready again")


async def held(worker: Worker, reason: str) -> None:
    """Wait until the flow is held, and see that every page says why."""

    async def told() -> bool:
        flow = await worker.flow("summaries")
        return flow["state"] == "held" and reason in flow["reason"]

    await until(told, f"summaries to be held: {reason}")

    async def unready() -> bool:
        response = await worker.get("/readyz")
        said = response.json().get("unready", {}).get("llm", "")
        return response.status_code == 503 and reason.removeprefix("llm: ") in said

    await until(unready, f"/readyz to name the llm: {reason}")
    assert (await worker.get("/livez")).status_code == 200


async def stored(system: System, worker: Worker, name: str) -> None:
    """Wait until all documents of an outage are embedded and found, with the LLM still away."""

    async def found() -> bool:
        async with system.store() as store:
            return all([await store.document(f"{name}-{n}") for n in range(COUNT)])

    await until(found, "the documents to be stored")
    flow = await worker.flow("documents")
    assert (flow["state"], flow["reason"]) == ("running", "")
    hits = await worker.json("/search", q=f"dividend declared by the board of Company {COUNT - 1}")
    assert hits["results"]


async def is_ready(worker: Worker) -> bool:
    return (await worker.get("/readyz")).status_code == 200
