"""A store beside the first holds nothing back, catches up by itself, and is filled when new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from testkit import postgres
from testkit.postgres import Postgres
from testkit.system import System, Worker, documents, until
from tickertape.stores import open_stores
from tickertape.stores.base import Store
from tickertape.stores.copying import holds


@pytest.fixture
async def server() -> AsyncIterator[Postgres]:
    """A server that the test may end."""
    try:
        made = await asyncio.to_thread(Postgres)
    except ModuleNotFoundError:
        pytest.skip(postgres.MISSING)
    yield made
    await asyncio.to_thread(made.close)


async def beside(worker: Worker) -> dict[str, Any]:
    stats = await worker.json("/stats")
    return next(dict(each) for each in stats["stores"] if each["name"] == "pgvector")


async def differing(stores: list[Store]) -> list[str]:
    """What the second store does not hold as the first does."""
    first, second = stores
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        heads, after = await first.scan(after)
        ours = await second.heads([head.key for head in heads])
        found += [head.key.id for head in heads if not holds(ours.get(head.key), head)]
    return found


async def test_a_second_store_that_is_away_keeps_nothing_from_the_first_and_catches_up(
    system: System, server: Postgres
) -> None:
    system.configure(TICKERTAPE_STORES="sqlite")
    alone = await system.worker()
    topic = system.settings.topic_financial_documents
    old = await system.declare(60)
    await system.send(topic, documents(60, old, prefix="old"))
    assert (await system.finished(alone, old))["done"] == 60
    await alone.stop()

    # It is new: filled from what is there
    system.configure(
        TICKERTAPE_STORES="sqlite,pgvector", DATABASE_URL=server.url, TICKERTAPE_STORE_TIMEOUT="5"
    )
    worker = await system.worker()
    stores = open_stores(system.settings)
    for store in stores:
        await store.start()
    try:

        async def alike() -> bool:
            return not await differing(stores)

        await until(alike, f"the second store to be filled:\n{worker.tail()}")
        assert await stores[1].count() == await stores[0].count()
        await _goes_on_without_it(system, worker, server)
        await asyncio.to_thread(server.start)
        await until(alike, f"the second store to catch up:\n{worker.tail()}")
        assert await stores[1].count() == await stores[0].count()
    finally:
        for store in stores:
            await store.stop()

    async def caught_up() -> bool:
        return bool((await worker.get("/readyz")).json()["status"] == "ready")

    await until(caught_up, f"the second store to be all right:\n{worker.tail()}")
    assert (await beside(worker))["lag"] == 0
    assert await system.dead(f"{system.settings.app_id}-store-pgvector") == []


async def _goes_on_without_it(system: System, worker: Worker, server: Postgres) -> None:
    """New documents, changed ones and deleted ones, while the second store is away."""
    topic = system.settings.topic_financial_documents
    await asyncio.to_thread(server.kill)
    count = 400
    batch = await system.declare(count + 30)
    await system.send(topic, documents(count, batch))
    changed = [
        {**each, "text": f"Restated. {each['text']}"} for each in documents(30, batch, prefix="old")
    ]
    await system.send(topic, changed)
    await system.send(topic, [None] * 10, lambda _: "old-59")
    state = await system.finished(worker, batch)
    assert (state["status"], state["done"], state["dead"]) == ("completed", count + 30, 0)
    found = await worker.json("/search", q="Company 7 dividend", k=3)
    assert len(found["results"]) == 3

    async def said() -> dict[str, Any] | None:
        ready = await worker.get("/readyz")
        assert ready.status_code == 200, ready.text
        return dict(ready.json()) if ready.json()["degraded"] else None

    degraded = await until(said, "the second store to be said")
    assert list(degraded["degraded"]) == ["store:pgvector"]

    async def behind() -> bool:
        return ((await beside(worker))["lag"] or 0) >= count

    await until(behind, "its lag to be seen")
    flow = await worker.flow("store-pgvector")
    assert flow["state"] == "held"
    assert flow["records_in_flight"] <= 512 * 4
    assert 'tickertape_store_lag{store="pgvector"}' in (await worker.get("/metrics")).text
