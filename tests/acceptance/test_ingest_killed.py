"""kill -9 of the worker that ingests, again and again: no gap, no double, exact counts."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from testkit.postgres import Postgres
from testkit.system import System, Worker, until

COUNT = 3000


def write(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(4):
        part = range(number, count, 4)
        lines = [json.dumps({"id": n, "text": f"Company {n} paid {n}."}) for n in part]
        (folder / f"part-{number}.jsonl").write_text("\n".join(lines))


async def enough(system: System, worker: Worker, count: int) -> None:
    """Wait until so many documents are sent, and fail where that was all."""

    async def seen() -> bool:
        assert worker.process.returncode is None, worker.tail()
        return (await sent(system)).total() >= count

    await until(seen, f"{count} documents to be sent:\n{worker.tail()}")
    assert (await sent(system)).total() < COUNT, "it is to be broken off in the middle"


async def sent(system: System) -> Counter[str]:
    """How often each document stands on embedding-requests, as consumers may read it."""
    records = await system.read(system.settings.topic_embedding_requests)
    return Counter(record.key.decode() for record in records if record.value is not None)


async def test_a_killed_ingest_goes_on_without_gap_or_double(system: System, tmp_path: Path):
    folder = tmp_path / "filings"
    await asyncio.to_thread(write, folder, COUNT)
    sources = {"filings": {"kind": "files", "path": str(folder)}}
    system.configure(TICKERTAPE_SOURCES=json.dumps(sources), TICKERTAPE_INGEST_AHEAD_MAX="1000")
    worker = await system.worker()
    request = {"source_id": "filings", "batch_id": "night"}
    await system.send(system.settings.topic_data_ingestion, [request], lambda _: "filings")

    for number in range(3):
        await enough(system, worker, (number + 1) * COUNT // 5)
        await worker.kill()
        worker = await system.worker()
    state = await system.finished(worker, "night")
    assert (state["status"], state["total_documents"]) == ("completed", COUNT), state
    assert (state["done"], state["unchanged"], state["dead"]) == (COUNT, 0, 0)
    found = await sent(system)
    assert (len(found), found.total()) == (COUNT, COUNT)
    async with system.store() as store:
        assert (await store.count("filings")).documents == COUNT
    assert not await system.dead(system.settings.topic_data_ingestion)


async def test_workers_and_the_database_die_and_every_row_is_sent_once(
    system: System, server: Postgres
):
    server.run(
        "CREATE TABLE notes (id int PRIMARY KEY, note text, at timestamptz DEFAULT now())",
        f"INSERT INTO notes SELECT n, 'Company ' || n FROM generate_series(1, {COUNT}) AS n",
    )
    desk = {"kind": "postgres", "url": server.url, "table": "notes", "cursor": "at"}
    system.configure(
        TICKERTAPE_SOURCES=json.dumps({"desk": {**desk, "overlap_seconds": 0}}),
        TICKERTAPE_INGEST_AHEAD_MAX="1000",
    )
    worker = await system.worker()

    async def ask(batch: str, **more: bool) -> None:
        request = {"source_id": "desk", "batch_id": batch, **more}
        await system.send(system.settings.topic_data_ingestion, [request], lambda _: "desk")

    await ask("first")
    await enough(system, worker, COUNT // 5)
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(1)
    await asyncio.to_thread(server.start)
    for number in (2, 3):
        await enough(system, worker, number * COUNT // 5)
        await worker.kill()
        worker = await system.worker()
    state = await system.finished(worker, "first")
    assert (state["status"], state["total_documents"], state["done"]) == ("completed", COUNT, COUNT)
    found = await sent(system)
    assert (len(found), found.total()) == (COUNT, COUNT)

    await asyncio.to_thread(
        server.run,
        "UPDATE notes SET note = 'Company 7 paid nothing.', at = now() WHERE id = 7",
        "DELETE FROM notes WHERE id = 8",
        "INSERT INTO notes VALUES (0, 'A new company.')",
    )
    await ask("second")
    state = await system.finished(worker, "second")
    changed = state["total_documents"] - state["unchanged"]
    assert (state["status"], changed) == ("completed", 2)
    await ask("third", full=True)
    state = await system.finished(worker, "third")
    assert (state["total_documents"], state["unchanged"]) == (COUNT, COUNT)

    async def removed() -> bool:
        async with system.store() as store:
            return bool((await store.count("desk")).documents == COUNT)

    await until(removed, "the row that is gone to be removed")
