"""kill -9 of the worker that ingests, again and again: no gap, no double, exact counts."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from testkit.system import System, Worker, until

COUNT = 3000


def write(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(4):
        part = range(number, count, 4)
        lines = [json.dumps({"id": n, "text": f"Company {n} paid {n}."}) for n in part]
        (folder / f"part-{number}.jsonl").write_text("\n".join(lines))


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

    async def enough(worker: Worker, count: int) -> None:
        async def seen() -> bool:
            assert worker.process.returncode is None, worker.tail()
            return (await sent(system)).total() >= count

        await until(seen, f"{count} documents to be sent:\n{worker.tail()}")

    for number in range(3):
        await enough(worker, (number + 1) * COUNT // 5)
        await worker.kill()
        assert (await sent(system)).total() < COUNT, "it was killed in the middle"
        worker = await system.worker()
    state = await system.finished(worker, "night")
    assert (state["status"], state["total_documents"]) == ("completed", COUNT), state
    assert (state["done"], state["unchanged"], state["dead"]) == (COUNT, 0, 0)
    found = await sent(system)
    assert (len(found), found.total()) == (COUNT, COUNT)
    async with system.store() as store:
        assert (await store.count("filings")).documents == COUNT
    assert not await system.dead(system.settings.topic_data_ingestion)
