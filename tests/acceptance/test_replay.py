"""What died is mended and replayed: its batch is completed, and nothing is doubled."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx

from testkit.llm.double import LlmDouble
from testkit.system import ROOT, System, Worker, documents, until
from tickertape import headers as h
from tickertape import topics


async def start(system: System, *arguments: str) -> asyncio.subprocess.Process:
    """Start ``faust -A app dlq ...``."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "faust", "-A", "app", "dlq", *arguments)
    return await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=system.env, stdout=pipe, stderr=pipe
    )


async def dlq(system: System, *arguments: str, code: int = 0) -> Any:
    """Run it to its end; return its JSON."""
    process = await start(system, *arguments, "--json")
    out, err = await process.communicate()
    assert process.returncode == code, err.decode()
    return json.loads(out)


async def counts(worker: Worker, batch: str) -> dict[str, Any]:
    state = await worker.json(f"/ingest-status/{batch}")
    return {name: state[name] for name in ("status", "done", "dead", "retrying")}


async def reaches(worker: Worker, batch: str, **wanted: Any) -> None:
    """Wait until the batch stands so."""

    async def stands() -> bool:
        found = await counts(worker, batch)
        return all(found[name] == value for name, value in wanted.items())

    await until(stands, f"{wanted}, it is {await counts(worker, batch)}:\n{worker.tail()}")


async def texts(system: System) -> dict[str, str]:
    """All that is stored: id -> text."""
    async with system.store() as store:
        found = {}
        for id in {f"d{n}" for n in range(10)} | {"bytes", "header"}:
            for document in await store.document(id):
                found[id] = "".join(chunk.text for chunk in document.chunks)
        return found


async def test_a_poison_is_mended_and_its_batch_completed(system: System) -> None:
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    batch = await system.declare(4)
    good = {"id": "d0", "text": "Revenue rose nine percent.", "batch_id": batch}
    poison = {"id": "d1", "text": 5, "batch_id": batch, "password": "hunter2"}
    forged = {
        h.REPLAYS: b"999",
        h.ORIGIN: b"elsewhere/1/2",
        h.VERSION: b"9999999999999999.1",
        h.DLT_MESSAGE: b"forged",
        h.BATCH: batch.encode(),
    }
    await system.send(topic, [good, poison])
    # Two that no JSON reader takes: their batch stands in a header only.
    await system.send(topic, [b"\xff\xfe bytes"], lambda _: "bytes", [(h.BATCH, batch.encode())])
    await system.send(topic, [b"{cut off"], lambda _: "header", list(forged.items()))
    state = await system.finished(worker, batch)
    assert (state["status"], state["done"], state["dead"]) == ("failed", 1, 3)

    letters = {letter["key"]: letter for letter in await dlq(system, "list", "--batch", batch)}
    assert letters.keys() == {"d1", "bytes", "header"}
    assert {letter["replays"] for letter in letters.values()} == {0}
    assert letters["header"]["original"]["topic"] == topic
    assert letters["header"]["reason"].startswith("not JSON")
    shown = await worker.json(f"/dlq/{letters['d1']['id']}")
    assert shown["payload"]["value"] == {**poison, "password": "***"}
    found = await worker.json("/documents/d1")
    assert (found["documents"], found["dead_letter"]["id"]) == ([], letters["d1"]["id"])
    sent = len(await system.read(topic))

    # Unmended it dies again, of the same batch and the same item.
    done = await dlq(system, "replay", letters["d1"]["id"])
    assert done["replayed"] == 1

    async def died_again() -> dict[str, Any] | None:
        again = await dlq(system, "list", "--key", "d1")
        return again[0] if again else None

    again = await until(died_again, f"d1 to die again:\n{worker.tail()}")
    assert again["replays"] == 1
    assert again["original"] == letters["d1"]["original"]
    await reaches(worker, batch, status="failed", done=1, dead=3, retrying=0)

    edits = {
        again["id"]: {"text": "Mended one."},
        letters["bytes"]["id"]: None,
        letters["header"]["id"]: None,
    }
    for id, change in edits.items():
        if change is not None:
            options = [f"--set={name}={json.dumps(value)}" for name, value in change.items()]
            await dlq(system, "replay", id, *options)
            continue
        editor = system.folder / "editor"
        editor.write_text("""#!/bin/sh\necho '{"text": "Written anew."}' > "$1"\n""")
        editor.chmod(0o755)
        system.env["VISUAL"] = str(editor)
        await dlq(system, "replay", id, "--edit")
    await reaches(worker, batch, status="completed", done=4, dead=0, retrying=0)
    assert await texts(system) == {
        "d0": good["text"],
        "d1": "Mended one.",
        "bytes": "Written anew.",
        "header": "Written anew.",
    }
    # The user's topic has seen nothing of it, and the letters are all still there, for audit.
    assert len(await system.read(topic)) == sent
    assert len(await system.dead(topic)) == 4
    assert await dlq(system, "list") == []
    assert (await worker.json("/documents/d1"))["dead_letter"] is None
    # What comes later is newer than the replay.
    late = {"id": "d1", "text": "Newer still.", "batch_id": None}
    await system.send(topic, [late])

    async def newer() -> bool:
        return (await texts(system))["d1"] == late["text"]

    await until(newer, f"a newer event to win:\n{worker.tail()}")


async def test_a_summary_that_died_is_replayed_alone(system: System) -> None:
    async with LlmDouble() as llm:
        system.configure(LLM_URL=llm.url, MODEL_NAME=llm.model)
        worker = await system.worker()
        llm.faults += [{"kind": "bad_grammar"}]
        batch = await system.declare(3)
        await system.send(system.settings.topic_financial_documents, documents(3, batch))
        state = await system.finished(worker, batch)
        assert (state["status"], state["done"], state["dead"]) == ("failed", 2, 1)
        (letter,) = await dlq(system, "list")
        assert letter["topic"] == topics.dlq(system.settings.topic_summary_requests)
        assert letter["original"]["topic"] == system.settings.topic_financial_documents
        embedded = (await worker.json("/stats"))["embeddings_generated"]

        address = f"http://127.0.0.1:{worker.port}"
        async with httpx.AsyncClient(base_url=address, timeout=30) as client:
            answer = await client.post("/dlq/replay", json={"batch": batch})
        assert answer.json()["replayed"] == 1, answer.text
        await reaches(worker, batch, status="completed", done=3, dead=0, retrying=0)
        assert (await worker.json("/stats"))["embeddings_generated"] == embedded
        results = await system.values(system.settings.topic_llm_results)
        assert sorted(result["id"] for result in results) == ["doc-0", "doc-1", "doc-2"]


async def test_a_replay_killed_half_way_is_gone_on_with_and_doubles_nothing(
    system: System,
) -> None:
    topic = system.settings.topic_financial_documents
    worker = await system.worker()
    count = 60
    batch = await system.declare(count)
    sent = documents(count, batch)
    await system.send(topic, [{**document, "published": "soon"} for document in sent])
    state = await system.finished(worker, batch)
    assert (state["status"], state["dead"]) == ("failed", count)

    mended = ("replay", "--batch", batch, "--set", "published=null")
    process = await start(system, *mended, "--rate", "20")
    while len(await system.read(topics.rekeyed(topic))) < 20:
        assert process.returncode is None
        await asyncio.sleep(0.05)
    process.kill()
    await process.wait()
    state = await counts(worker, batch)
    assert 0 < state["dead"] < count
    assert state["status"] != "completed"
    assert (await dlq(system, *mended))["failed"] == 0
    await reaches(worker, batch, status="completed", done=count, dead=0, retrying=0)

    async with system.store() as store:
        assert (await store.count()).documents == count
    results = {value["id"] for value in await system.values(system.settings.topic_llm_results)}
    assert results == {document["id"] for document in sent}
    assert await dlq(system, "list") == []


async def test_what_keeps_dying_is_parked(system: System) -> None:
    system.configure(TICKERTAPE_REPLAYS_MAX="2")
    topic = system.settings.topic_text_messages
    worker = await system.worker()
    batch = await system.declare(2)
    good = {"id": "d0", "text": "Revenue.", "batch_id": batch}
    await system.send(topic, [good, {"id": "d1", "text": 5, "batch_id": batch}])
    await system.finished(worker, batch)
    for replays in (1, 2):
        assert (await dlq(system, "replay", "--all"))["replayed"] == 1

        async def again(expected: int = replays) -> bool:
            return [one["replays"] for one in await dlq(system, "list")] == [expected]

        await until(again, f"replay {replays} to die:\n{worker.tail()}")
    done = await dlq(system, "replay", "--all")
    assert (done["replayed"], done["parked"]) == (0, 1)
    assert (await dlq(system, "replay", "--all"))["results"] == []
    (parked,) = await system.read(topics.parking(topic))
    assert json.loads(parked.value)["id"] == "d1"
    await reaches(worker, batch, status="failed", done=1, dead=1, retrying=0)
