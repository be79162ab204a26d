"""Workers that share Kafka and a store's server alone, as those of several machines do."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from testkit import postgres
from testkit import redis as redis_server
from testkit.postgres import Postgres
from testkit.redis import Redis
from testkit.system import System, documents, until

SERVERS: dict[str, tuple[Callable[[], Postgres | Redis], str, str]] = {
    "pgvector": (Postgres, "DATABASE_URL", postgres.MISSING),
    "redis": (lambda: Redis("--appendfsync", "always"), "REDIS_URL", redis_server.MISSING),
}


@pytest.fixture(params=SERVERS)
async def server(request: pytest.FixtureRequest, system: System) -> AsyncIterator[Postgres | Redis]:
    """A server that the test may end, and the system's store."""
    serve, url, missing = SERVERS[request.param]
    try:
        made = await asyncio.to_thread(serve)
    except ModuleNotFoundError:
        pytest.skip(missing)
    system.configure(**{"TICKERTAPE_STORES": request.param, url: made.url})
    yield made
    await asyncio.to_thread(made.close)


async def test_workers_of_two_machines_lose_and_double_nothing_whatever_dies(
    system: System, server: Postgres | Redis, tmp_path: Path
) -> None:
    system.configure(TICKERTAPE_STORE_TIMEOUT="5", TICKERTAPE_WINDOW_RECORDS="16")
    first = await system.worker(TICKERTAPE_DATA_DIR=str(tmp_path / "one"))
    second = await system.worker(TICKERTAPE_DATA_DIR=str(tmp_path / "two"))

    async def shared() -> bool:
        flows = await asyncio.gather(first.flow("documents"), second.flow("documents"))
        return all(flow["partitions"] for flow in flows)

    await until(shared, "both to have partitions")
    count = 300
    filings = await system.declare(count)
    await system.send(
        system.settings.topic_financial_documents,
        [{**each, "table_name": "shared"} for each in documents(count, filings)],
    )
    # The same documents from another topic, at the same time; which is newer, Kafka's clock says
    notes = await system.declare(count)
    await system.send(
        system.settings.topic_text_messages,
        [
            {"id": f"doc-{n}", "text": f"note {n}", "table_name": "shared", "batch_id": notes}
            for n in range(count)
        ],
    )

    async def stored() -> int:
        flows = (await second.flow("documents"), await second.flow("text"))
        return sum(flow["processed"] for flow in flows)

    await until(stored, "the second to have stored some")
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(server.start)
    before = await stored()

    async def more() -> bool:
        return await stored() > before

    await until(more, f"the second to go on:\n{second.tail()}")
    first.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.5)
    await first.kill()
    for batch in (filings, notes):
        state = await system.finished(second, batch)
        assert (state["status"], state["done"], state["dead"]) == ("completed", count, 0)
    async with system.store() as store:
        assert (await store.count()).documents == count
        wrong = [
            found.head.key.id
            for n in range(count)
            for found in await store.document(f"doc-{n}")
            if [chunk.ordinal for chunk in found.chunks] != list(range(found.head.chunk_count))
            or found.head.editions.topics
            != {system.settings.topic_financial_documents, system.settings.topic_text_messages}
        ]
        assert wrong == []
    found = await second.json("/search", q="what do the notes say", k=3)
    assert len(found["results"]) == 3
    assert not (tmp_path / "two" / "tickertape.db").exists()
