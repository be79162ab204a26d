"""POST /stop pauses one worker, POST /start lets it go on: what came meanwhile is all done."""

from __future__ import annotations

from typing import Any

import httpx

from testkit.system import System, Worker, documents, until

COUNT = 60
WORK = ("documents", "summaries", "text", "requests", "vectors", "updates")


async def post(worker: Worker, path: str) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}") as client:
        response = await client.post(path)
        response.raise_for_status()
        return response.json()


async def test_a_paused_worker_loses_nothing_and_keeps_nobody_else(system: System):
    topic = system.settings.topic_financial_documents
    first = await system.worker()
    assert (await post(first, "/stop"))["status"] == "paused"
    alone = await system.declare(COUNT)
    await system.send(topic, documents(COUNT, alone, "alone"))

    flows = {flow["name"]: flow for flow in (await first.json("/stats"))["flows"]}
    assert {flows[name]["state"] for name in WORK} == {"paused"}
    assert flows["documents"]["reason"] == "paused by an operator"
    assert flows["progress"]["state"] == "running", "batches stay true"
    assert (await first.get("/readyz")).status_code == 200, "it still answers"
    assert (await first.json("/health"))["status"] == "paused"

    second = await system.worker()  # takes half of the partitions over, and of the records

    async def has_done_its_part() -> bool:
        mine, other = await second.flow("documents"), await first.flow("documents")
        both = mine["partitions"] and other["partitions"]
        return bool(both and mine["processed"] and not mine["lag"])

    await until(has_done_its_part, f"the other worker to go on:\n{second.tail()}")
    stats = await first.json("/stats")
    assert (stats["paused"], stats["messages_processed"]) == (True, 0)
    state = await second.json(f"/ingest-status/{alone}")
    assert (state["status"], state["dead"]) == ("processing", 0)
    both = await system.declare(COUNT)
    await system.send(topic, documents(COUNT, both, "both"))

    assert (await post(first, "/start"))["status"] == "running"
    for batch in (alone, both):
        state = await system.finished(first, batch)
        assert (state["status"], state["done"]) == ("completed", COUNT)
    processed = [(await worker.flow("documents"))["processed"] for worker in (first, second)]
    assert sum(processed) == 2 * COUNT, "each record once"
    async with system.store() as store:
        assert (await store.count()).documents == 2 * COUNT
