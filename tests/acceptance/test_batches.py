"""Batches as producers use them: declared late, never, wrongly; repeated; open again; forgotten."""

from __future__ import annotations

from typing import Any

from testkit.system import System, Worker, documents, until
from tickertape import headers as h


async def reaches(worker: Worker, batch: str, **wanted: Any) -> dict[str, Any]:
    """Wait until the batch stands so."""

    async def stands() -> dict[str, Any] | None:
        response = await worker.get(f"/ingest-status/{batch}")
        found = response.json() if response.status_code == 200 else {}
        return found if wanted.items() <= found.items() else None

    return dict(await until(stands, f"{wanted} of {batch}:\n{worker.tail()}"))


async def test_declared_late_never_too_low_and_repeated(system: System):
    system.configure(TICKERTAPE_BATCH_IDLE_SECONDS="1")
    worker = await system.worker()
    topic = system.settings.topic_text_messages

    late = documents(10, "late", "late")
    await system.send(topic, late[:4])
    await reaches(worker, "late", processed_documents=4, done=4)
    await system.declare(10, "late")
    await reaches(worker, "late", status="processing", total_documents=10)
    await system.send(topic, late[4:])
    await reaches(worker, "late", status="completed", total_documents=10, done=10)

    never = documents(8, "never", "never")
    await system.send(topic, never[:7])
    await reaches(worker, "never", status="completed", total_documents=7, done=7)
    await system.send(topic, never[7:])
    await reaches(worker, "never", status="completed", total_documents=8, done=8)
    await system.send(topic, [{"id": "bad", "text": "", "batch_id": "never"}])
    await reaches(
        worker,
        "never",
        status="failed",
        total_documents=9,
        processed_documents=9,
        dead=1,
        error_message="1 of 9 documents is a dead letter",
    )

    await system.declare(2, "low")
    await system.send(topic, documents(5, "low", "low"))
    await reaches(worker, "low", status="completed", done=5)

    await system.declare(0, "empty")
    await reaches(worker, "empty", status="completed", total_documents=0, done=0)
    # The same again is one document, a change is another.
    await system.declare(6, "again")
    one, other = documents(2, "again")
    changed = {**other, "text": "Another text."}
    await system.send(topic, [one, one, other, one, changed, other])
    await reaches(worker, "again", status="completed", total_documents=6, done=4, unchanged=0)
    async with system.store() as store:
        (stored,) = await store.document(other["id"])
        assert "".join(chunk.text for chunk in stored.chunks) == other["text"]

    recent = (await worker.json("/recent-batches"))["batches"]
    assert [b["batch_id"] for b in recent] == ["again", "empty", "low", "never", "late"]


async def test_a_wrong_declaration_is_a_dead_letter_and_other_states_are_not_ours(system: System):
    worker = await system.worker()
    topic = system.settings.topic_batch_status
    wrong = [
        {"batch_id": "minus", "status": "queued", "total_documents": -1},
        {"batch_id": "words", "status": "under way"},
    ]
    await system.send(topic, wrong, lambda value: value["batch_id"])
    theirs = {"batch_id": "theirs", "status": "completed", "total_documents": 3}
    await system.send(topic, [theirs], lambda value: value["batch_id"])
    await system.finished(worker, await system.declare(0))

    async def dead() -> list[Any]:
        found = await system.dead(topic)
        return found if len(found) == 2 else []

    letters = {letter.key: dict(letter.headers) for letter in await until(dead, "dead letters")}
    message = h.DLT_MESSAGE
    assert letters[b"minus"][message].startswith(b"total_documents: expected an integer of at")
    assert letters[b"words"][message].startswith(b"status: expected one of queued, processing")
    progress = await system.values(system.settings.topic_batch_progress)
    assert {delta["batch_id"] for delta in progress}.isdisjoint({"minus", "words", "theirs"})


async def test_old_batches_are_forgotten_and_their_names_are_new_again(system: System):
    system.configure(TICKERTAPE_BATCH_RETENTION_HOURS="0.001")
    worker = await system.worker()
    topic = system.settings.topic_text_messages
    for prefix in ("first", "second"):
        await system.declare(3, "daily")
        await system.send(topic, documents(3, "daily", prefix))
        await reaches(worker, "daily", status="completed", total_documents=3, done=3)

        async def forgotten() -> bool:
            return (await worker.get("/ingest-status/daily")).status_code == 404

        await until(forgotten, f"the batch to be forgotten:\n{worker.tail()}")
    statuses = await system.read(system.settings.topic_batch_status)
    assert [record.key for record in statuses if record.value is None][-1:] == [b"daily"]
    assert (await worker.json("/recent-batches"))["batches"] == []
