"""A producer that knows nothing of us: its own topics, of one partition, no keys, two fields."""

from __future__ import annotations

from collections import Counter

from testkit.broker import create_topic, unique
from testkit.system import System, until
from tickertape import topics
from tickertape.documents import DocumentKey


async def test_keyless_records_end_under_their_ids_and_its_topics_stay_its_own(system: System):
    texts, filings = unique("notes"), unique("filings")
    for topic in (texts, filings):
        await create_topic(system.broker.bootstrap, topic)  # of its producer's making: defaults
    system.configure(TICKERTAPE_TOPIC_TEXT_MESSAGES=texts, INPUT_TOPIC=filings)
    worker = await system.worker()

    sent = {
        topic: [{"id": n, "text": f"Note {n} on {topic}: revenue rose."} for n in range(20)]
        for topic in (texts, filings)
    }
    editions = [{"id": "same", "text": f"Edition {n}: revenue rose."} for n in range(12)]
    for topic, values in sent.items():
        await system.send(topic, [*values, *editions], key=lambda _: None)
        await system.send(topic, [{"id": "keyed", "text": "It came with its key."}])
    ids = [*map(str, range(20)), "same", "keyed"]

    async def settled() -> bool:
        flows = [await worker.flow(name) for name in ("text", "documents", "summaries")]
        done = [flow["processed"] for flow in flows]
        return done == [33 + 32, 33 + 32, done[2]] and done[2] >= 33

    await until(settled, f"all to be processed:\n{worker.tail()}")
    async with system.store() as store:
        for collection, topic in (("text_messages", texts), ("financial_documents", filings)):
            heads = await store.heads([DocumentKey(collection, id) for id in ids])
            assert len(heads) == len(ids)
            for head in heads.values():
                assert head.origin.topic == topic, "not where it was handed on"
            (same,) = await store.document("same", collection)
            assert [chunk.text for chunk in same.chunks] == [editions[-1]["text"]]
        assert (await store.count()).documents == 2 * len(ids)

    for topic in (texts, filings):
        own = await system.read(topic)
        assert len(own) == 33, "nothing of ours is on the producer's topic"
        once = await system.read(topics.rekeyed(topic))
        counts = Counter(record.key.decode() for record in once)
        assert counts == {**dict.fromkeys(ids[:20], 1), "same": 12}, (
            "by id, each once; keyed: never"
        )
        assert all(("tickertape-rekeyed", b"1") in record.headers for record in once)
        assert not await system.dead(topic)
    summaries = await system.read(system.settings.topic_llm_results)
    assert {record.key.decode() for record in summaries} == set(ids)
    vectors = await system.read(system.settings.topic_embeddings)
    assert {record.key.decode() for record in vectors} == set(ids)
