"""A folder, ingested again and again: what is new, changed, unchanged, gone, and what is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx

from testkit.system import ROOT, System, Worker, until

COUNT = 30


class Desk:
    """A folder that is a source, and the ingests of it."""

    def __init__(self, system: System, folder: Path) -> None:
        self.folder = folder
        self._system = system
        self._number = 0
        folder.mkdir()
        for number in range(COUNT):
            (folder / f"note-{number:02}.txt").write_text(f"Company {number} paid {number}.")
        sources = {"notes": {"kind": "files", "path": str(folder), "remove_share_max": 0.5}}
        system.configure(TICKERTAPE_SOURCES=json.dumps(sources))

    async def ingest(self, worker: Worker, **request: Any) -> dict[str, Any]:
        """Ask for one, and wait until its batch is finished."""
        self._number += 1
        batch = f"batch-{self._number}"
        record = {"source_id": "notes", "batch_id": batch, **request}
        topic = self._system.settings.topic_data_ingestion
        await self._system.send(topic, [record], lambda _: "notes")
        return await self._system.finished(worker, batch)

    async def stored(self, count: int) -> None:
        """Wait until so many documents are stored: what is removed has no batch."""

        async def found() -> bool:
            async with self._system.store() as store:
                return bool((await store.count("notes")).documents == count)

        await until(found, f"{count} documents to be stored")


async def test_a_source_and_the_store_agree_after_every_ingest(system: System, tmp_path: Path):
    desk = Desk(system, tmp_path / "notes")
    worker = await system.worker()
    state = await desk.ingest(worker)
    assert (state["status"], state["total_documents"], state["done"]) == ("completed", COUNT, COUNT)
    await desk.stored(COUNT)
    found = await worker.json("/search", q="Company 7 paid", k=1)
    assert found["results"][0]["id"] == "notes/note-07.txt"

    (desk.folder / "note-07.txt").write_text("Company 7 paid nothing at all.")
    (desk.folder / "note-08.txt").unlink()
    (desk.folder / "new.txt").write_text("A new company.")
    state = await desk.ingest(worker)
    assert state["status"] == "completed"
    assert state["total_documents"] - state["unchanged"] == 2, "the others are as they were"
    await desk.stored(COUNT)
    async with system.store() as store:
        assert not (await store.document("notes/note-08.txt"))[0].chunks

    state = await desk.ingest(worker, full=True)
    assert (state["total_documents"], state["unchanged"]) == (COUNT, COUNT)

    # What cannot be read costs itself, and is not removed; it says why
    (desk.folder / "note-09.txt").write_bytes(b"%PDF-1.7")
    state = await desk.ingest(worker, full=True)
    assert (state["status"], state["done"], state["dead"]) == ("failed", COUNT - 1, 1)
    (letter,) = await system.dead(system.settings.topic_embedding_requests)
    said = dict(letter.headers)["kafka_dlt-exception-message"].decode()
    assert said == "note-09.txt: it is a PDF, by its content"
    await desk.stored(COUNT)

    # A folder that is suddenly empty is asked about, and one that is not there removes nothing
    for path in desk.folder.iterdir():
        path.unlink()
    state = await desk.ingest(worker)
    assert state["status"] == "failed"
    assert state["error_message"] == (
        f"notes: {COUNT} of {COUNT} documents are in the source no more; over 50% "
        "(remove_share_max) are removed only by `ingest notes --full --yes`"
    )
    desk.folder.rmdir()
    state = await desk.ingest(worker)
    assert state["status"] == "failed"
    assert "No such file" in state["error_message"]
    await desk.stored(COUNT)
    desk.folder.mkdir()
    state = await desk.ingest(worker, full=True, yes=True)
    assert (state["status"], state["total_documents"]) == ("completed", 0)
    await desk.stored(0)


async def command(system: System, *words: str, code: int = 0) -> Any:
    """Run one of ours, and return the JSON that it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "faust", "-A", "app", *words, "--json"),
        cwd=ROOT,
        env=system.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate()
    assert process.returncode == code, said.decode()
    return json.loads(out)


async def test_routes_and_the_command_lead_to_the_same_ingest(system: System, tmp_path: Path):
    desk = Desk(system, tmp_path / "notes")
    worker = await system.worker()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{worker.port}", timeout=60) as client:
        answer = await client.post("/ingest-data", json={"source_id": "notes"}, params={"wait": 50})
        assert (answer.status_code, answer.json()["done"]) == (200, COUNT)
        (desk.folder / "new.txt").write_text("A new company.")
        answer = await client.post("/ingest-data-async", json={"source_id": "notes"})
        assert answer.status_code == 202
        state = await system.finished(worker, answer.json()["batch_id"])
        assert (state["status"], state["done"]) == ("completed", 1)
        recent = (await client.get("/recent-batches")).json()["batches"]
        assert recent[0]["batch_id"] == answer.json()["batch_id"]
        events = await client.get(answer.headers["Location"], params={"watch": "1"})
        assert "event: done" in events.text
    found = await command(system, "ingest", "notes", "--full", "--wait")
    assert (found["status"], found["unchanged"]) == ("completed", COUNT + 1)
    shown = await command(system, "sources", "show", "notes")
    assert shown["documents"] == COUNT + 1
    assert shown["last_ingest"] == {"batch_id": found["batch_id"], "documents": COUNT + 1}
    assert shown["running"] == []
    assert shown["sample"]["id"] == "notes/new.txt"
    (desk.folder / "bad.txt").write_bytes(b"")
    assert (await command(system, "ingest", "notes", "--wait", code=1))["dead"] == 1
    assert (await command(system, "ingest", "notes", "--no-wait"))["source"] == "notes"


async def test_a_source_that_is_configured_wrongly_stops_the_start_with_one_line(system: System):
    system.configure(
        TICKERTAPE_SOURCES=json.dumps({"notes": {"kind": "files", "path": "x", "pth": "x"}})
    )
    worker = await system.starting()
    assert await worker.process.wait() == 1
    assert worker.tail().splitlines()[-1].startswith("sources.notes.pth: unknown; expected kind")
    other = await system.worker(TICKERTAPE_ROLES="embed,summarize,write,progress")
    await other.stop()


async def test_a_request_of_any_producer_names_a_source_and_brings_no_password(
    system: System, tmp_path: Path
):
    desk = Desk(system, tmp_path / "notes")
    worker = await system.worker()
    named = {"source_id": None, "db_type": "files", "connection_params": {}}
    state = await desk.ingest(worker, **named, table_or_collection=str(desk.folder))
    assert (state["status"], state["done"]) == ("completed", COUNT)
    state = await desk.ingest(worker, source_id="nothing")
    said = "source_id: expected a configured source (notes), got 'nothing'"
    assert (state["status"], state["error_message"]) == ("failed", said)
    state = await desk.ingest(worker, connection_params={"password": "secret"})
    assert state["status"] == "failed"
    assert state["error_message"].startswith("connection_params.password: expected no credentials")
    assert "sources.allow_inline" in state["error_message"]
    assert len(await system.dead(system.settings.topic_data_ingestion)) == 2
