"""A document is stored, searchable and summarised; its batch says so."""

from __future__ import annotations

from testkit.system import System, documents


async def test_documents_are_stored_found_and_summarised(system: System):
    worker = await system.worker()
    batch = await system.declare(20)
    sent = documents(20, batch)
    await system.send(system.settings.topic_financial_documents, sent)

    state = await system.finished(worker, batch)
    assert (state["status"], state["total_documents"], state["done"]) == ("completed", 20, 20)
    assert (state["unchanged"], state["retrying"], state["dead"]) == (0, 0, 0)

    found = await worker.json("/search", q="dividend declared by the board of Company 7", k=3)
    assert found["results"][0]["id"] == "doc-7"
    assert found["results"][0]["metadata"]["company"] == "Company 7"

    summaries = await system.values(system.settings.topic_llm_results)
    assert sorted(s["id"] for s in summaries) == sorted(d["id"] for d in sent)
    texts = {d["id"]: d["text"] for d in sent}
    for summary in summaries:
        assert summary["status"] == "completed"
        assert summary["summary"]
        sentences = [s for s in texts[summary["id"]].split(". ") if s[:20] in summary["summary"]]
        assert sentences, "a summary is made of the document's own sentences"

    vectors = await system.values(system.settings.topic_embeddings)
    assert sorted(v["id"] for v in vectors) == sorted(d["id"] for d in sent)
    assert {v["embedding_dimension"] for v in vectors} == {384}
    assert {len(v["embedding"]) for v in vectors} == {384}


async def test_an_unchanged_document_costs_no_embedding_and_answers_again(system: System):
    worker = await system.worker()
    first = await system.declare(5)
    await system.send(system.settings.topic_financial_documents, documents(5, first))
    await system.finished(worker, first)
    embedded = (await worker.json("/stats"))["embeddings_generated"]

    again = await system.declare(5)
    await system.send(system.settings.topic_financial_documents, documents(5, again))
    state = await system.finished(worker, again)

    assert (state["status"], state["done"], state["unchanged"]) == ("completed", 5, 5)
    assert (await worker.json("/stats"))["embeddings_generated"] == embedded
    assert len(await system.values(system.settings.topic_embeddings)) == 5
    summaries = await system.values(system.settings.topic_llm_results)
    assert sorted(s["unchanged"] for s in summaries) == [False] * 5 + [True] * 5

    forced = await system.declare(5)
    await system.send(
        system.settings.topic_financial_documents,
        documents(5, forced),
        headers=[("tickertape-force", b"1")],
    )
    state = await system.finished(worker, forced)
    assert (state["done"], state["unchanged"]) == (5, 0)
    assert (await worker.json("/stats"))["embeddings_generated"] > embedded


async def test_the_newest_version_wins_and_a_tombstone_deletes(system: System):
    worker = await system.worker()
    batch = await system.declare(31)
    topic = system.settings.topic_text_messages
    versions = [
        {"id": "same", "text": f"Edition {n} of the note.", "batch_id": batch} for n in range(30)
    ]
    other = {"id": "gone", "text": "This one will be deleted.", "batch_id": batch}
    await system.send(topic, [*versions, other])
    assert (await system.finished(worker, batch))["done"] == 31
    stored = await worker.json("/documents/same")
    assert "Edition 29" in str(stored)
    assert "Edition 28" not in str(stored)

    await system.send(topic, [None], key=lambda _: "gone")
    marker = await system.declare(1)
    late = {"id": "late", "text": "A later note.", "batch_id": marker}
    await system.send(topic, [late], key=lambda _: "gone")  # the same partition: comes after
    await system.finished(worker, marker)
    async with system.store() as store:
        assert (await store.count()).documents == 2
        (gone,) = await store.document("gone")
        assert gone.head.deleted


async def test_an_older_event_brings_nothing_back(system: System):
    worker = await system.worker()
    batch = await system.declare(3)
    topic = system.settings.topic_text_messages
    for version, text in ((5, "the fifth edition"), (3, "the third edition")):
        value = {"id": "v", "text": text, "version": version, "batch_id": batch}
        await system.send(topic, [value])
    await system.send(topic, [{"id": "w", "text": "another", "batch_id": batch}])
    assert (await system.finished(worker, batch))["status"] == "completed"
    async with system.store() as store:
        (stored,) = await store.document("v")
        assert [chunk.text for chunk in stored.chunks] == ["the fifth edition"]
