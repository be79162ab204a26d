"""A folder and a table that are watched: what changes in them is found, and nobody asks for it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from testkit import postgres
from testkit.system import System, Worker, until


async def texts(system: System, collection: str) -> set[str]:
    """What is stored."""
    async with system.store() as store:
        found = set()
        for id in await ids(system, collection):
            for document in await store.document(id, collection):
                found.update(chunk.text for chunk in document.chunks)
        return found


async def ids(system: System, collection: str) -> set[str]:
    topic = system.settings.topic_embedding_requests
    keys = {record.key.decode() for record in await system.read(topic)}
    return {key for key in keys if key.startswith(f"{collection}/")}


async def becomes(system: System, collection: str, wanted: set[str], worker: Worker) -> None:
    async def same() -> bool:
        return await texts(system, collection) == wanted

    await until(same, f"{collection} to have {wanted}:\n{worker.tail()}")


async def batches(worker: Worker) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await worker.json("/recent-batches"))["batches"]
    return found


async def test_what_changes_in_a_folder_and_a_table_is_ingested(system: System, tmp_path: Path):
    server = await asyncio.to_thread(postgres.shared)
    if server is None:
        pytest.skip(postgres.MISSING)
    schema = postgres.new_schema()
    server.run(
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.t (id int PRIMARY KEY, note text, at timestamptz DEFAULT now())",
        f"INSERT INTO {schema}.t VALUES (1, 'one')",
    )
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("first")
    sources = {
        "notes": {"kind": "files", "path": str(folder), "watch_seconds": 0.3},
        "desk": {
            "kind": "postgres",
            "url": server.url,
            "table": f"{schema}.t",
            "cursor": "at",
            "watch_seconds": 0.3,
        },
        "quiet": {"kind": "files", "path": str(folder)},
    }
    system.configure(TICKERTAPE_SOURCES=json.dumps(sources))
    worker = await system.worker()
    await becomes(system, "notes", {"first"}, worker)
    await becomes(system, "desk", {"one"}, worker)

    (folder / "a.txt").write_text("changed")
    (folder / "b.txt").write_text("second")
    server.run(f"INSERT INTO {schema}.t VALUES (2, 'two')")
    await becomes(system, "notes", {"changed", "second"}, worker)
    await becomes(system, "desk", {"one", "two"}, worker)
    (folder / "a.txt").unlink()
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "c.txt").write_text("third")
    (tmp_path / "moved").rename(folder / "moved")
    await becomes(system, "notes", {"second", "third"}, worker)

    # A worker that starts again asks for nothing that is known, and one that was away looks
    before = len(await batches(worker))
    await worker.stop()
    worker = await system.worker()
    await asyncio.sleep(3)
    assert len(await batches(worker)) == before
    await worker.stop()
    (folder / "b.txt").unlink()
    worker = await system.worker()
    await becomes(system, "notes", {"third"}, worker)
    assert await ids(system, "quiet") == set()
    assert {batch["status"] for batch in await batches(worker)} == {"completed"}
    server.run(f"DROP SCHEMA {schema} CASCADE")
