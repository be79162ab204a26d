"""Somebody else holds the database: the flows that write to it wait, and lose nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from testkit.system import System, documents, until
from tickertape import topics
from tickertape.stores.sqlite.store import FILE

COUNT = 30


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the write lock, as a backup or somebody's shell does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def test_flows_are_held_while_the_database_is_locked(system: System):
    worker = await system.worker()
    settings = system.settings
    batch = await system.declare(2 * COUNT)
    with locked(settings.data_dir / FILE):
        await system.send(settings.topic_financial_documents, documents(COUNT, batch))
        await system.send(settings.topic_text_messages, documents(COUNT, batch, "text"))

        async def held() -> bool:
            flows = [await worker.flow(name) for name in ("documents", "text")]
            return all(
                flow["state"] == "held" and "store:sqlite" in flow["reason"] for flow in flows
            )

        await until(held, f"both flows to be held:\n{worker.tail()}")
        ready = await worker.get("/readyz")
        assert ready.status_code == 503
        assert "Busy" in ready.json()["unready"]["store:sqlite"]
        state = await worker.json(f"/ingest-status/{batch}")
        assert (state["done"], state["retrying"], state["dead"]) == (0, 0, 0)
        found = await worker.json("/search", q="dividend")
        assert found["results"] == [], "reading goes on"

    state = await system.finished(worker, batch)
    assert (state["status"], state["done"], state["unchanged"]) == ("completed", 2 * COUNT, 0)
    async with system.store() as store:
        assert (await store.count()).documents == 2 * COUNT
    for topic in (settings.topic_financial_documents, settings.topic_text_messages):
        assert not await system.read(topics.retry(topic, 0)), "no attempts are spent"
        assert not await system.dead(topic)
    summaries = await system.values(settings.topic_llm_results)
    assert sorted(s["id"] for s in summaries) == sorted(d["id"] for d in documents(COUNT))
