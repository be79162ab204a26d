"""A store beside the first holds nothing back, catches up by itself, and is filled when new."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from typing import Any

import asyncpg

from testkit.postgres import Postgres
from testkit.system import ROOT, System, Worker, documents, until
from tickertape.stores import open_stores
from tickertape.stores.base import Store
from tickertape.stores.copying import holds


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
    code, told = await verify(system)
    assert (code, told["found"]) == (0, {}), told
    assert told["looked"]["topics"] == 60 + 400 + 30 + 10
    assert told["looked"]["sqlite"] == told["looked"]["pgvector"] == 460
    await _is_mended(system, worker)


async def verify(system: System, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the command; return how it ended, and what it says of the whole."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faust", "-A", "app", "verify", "--json", *options),
        cwd=ROOT,
        env=system.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert out, err.decode()
    return process.returncode or 0, json.loads(out.splitlines()[-1])


async def _is_mended(system: System, worker: Worker) -> None:
    """Both stores lose documents behind everybody's back; `verify` finds and mends them."""
    database = await asyncpg.connect(system.settings.database_url.get_secret_value())
    try:
        await database.execute(
            "DELETE FROM tickertape.chunks WHERE document IN"
            " (SELECT key FROM tickertape.documents WHERE id IN ('doc-1', 'doc-2'))"
        )
        await database.execute("DELETE FROM tickertape.documents WHERE id = 'doc-3'")
        await database.execute("UPDATE tickertape.documents SET source = 'x' WHERE id = 'doc-4'")
    finally:
        await database.close()
    with sqlite3.connect(system.settings.data_dir / "tickertape.db") as file:
        file.execute("DELETE FROM documents WHERE key = 'doc-5'")
    file.close()
    code, told = await verify(system)
    assert code == 1
    # doc-5 is missing in the ledger, so its copy is orphaned
    assert told["found"]["pgvector"] == {"damaged": 3, "missing": 1, "orphaned": 1}
    assert told["found"]["sqlite"]["missing"] == 1
    code, told = await verify(system, "--repair", "--vectors", "0")
    assert code == 1, "one was sent again, and one is kept"

    async def clean() -> bool:
        return (await verify(system, "--vectors", "0"))[0] == 0

    await until(clean, f"the stores to agree:\n{worker.tail()}")


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


async def test_workers_and_the_second_store_die_and_it_ends_as_the_first(
    system: System, server: Postgres
) -> None:
    """Two workers fill it; one is killed while it catches up, and it is away in between."""
    system.configure(
        TICKERTAPE_STORES="sqlite,pgvector",
        DATABASE_URL=server.url,
        TICKERTAPE_STORE_TIMEOUT="5",
        TICKERTAPE_WINDOW_RECORDS="16",
    )
    first, second = await system.worker(), await system.worker()

    async def shared() -> bool:
        flows = await asyncio.gather(first.flow("store-pgvector"), second.flow("store-pgvector"))
        return all(flow["partitions"] for flow in flows)

    await until(shared, "both to have partitions of the second store's topic")
    topic, notes = system.settings.topic_financial_documents, system.settings.topic_text_messages
    batch = await system.declare(400)
    await system.send(topic, documents(200, batch))
    pieces = [{"id": f"doc-{n}", "text": f"note {n}", "batch_id": batch} for n in range(200)]
    await system.send(notes, pieces)
    await system.send(topic, [None] * 20, lambda _: "doc-7")

    async def taken() -> bool:
        flows = (await first.flow("store-pgvector"), await second.flow("store-pgvector"))
        return sum(flow["processed"] for flow in flows) > 40

    await until(taken, "it to have taken over some")
    await asyncio.to_thread(server.kill)
    await first.kill()
    await asyncio.sleep(2)
    await asyncio.to_thread(server.start)
    state = await system.finished(second, batch)
    assert (state["status"], state["done"], state["dead"]) == ("completed", 400, 0)

    async def caught_up() -> bool:
        return (await beside(second))["lag"] == 0

    await until(caught_up, f"it to catch up:\n{second.tail()}")
    code, told = await verify(system)
    assert (code, told["found"]) == (0, {}), told
    assert told["looked"]["sqlite"] == told["looked"]["pgvector"] == 400
