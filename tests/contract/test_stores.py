"""Every store keeps the ledger the same way: versions, chunks, heads, summaries."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tests.contract.store_kit import (
    DIMENSION,
    FACTORIES,
    HOSTILE,
    MODEL,
    TOPIC,
    Adapter,
    delete,
    dense,
    ids,
    key,
    keyword,
    numbered,
    part,
    put,
    touch,
    vector_of,
    version,
)
from tests.memory_store import Memory
from tickertape.documents import Applied, Operation, Put, StoredSummary, Touch
from tickertape.errors import OutageError, PermanentError, TransientError
from tickertape.stores import STORES
from tickertape.stores.base import Counts, Store
from tickertape.versions import Origin, Stamp, Version

APPLIED, SUPERSEDED = Applied.APPLIED, Applied.SUPERSEDED


def deep(levels: int) -> dict[str, Any]:
    tree: dict[str, Any] = {"leaf": "x"}
    for level in range(levels):
        tree = {"list": [1, tree]} if level % 2 else {"object": tree}
    return tree


def depth(tree: Any) -> int:
    """Levels of what `deep` made, without recursion."""
    levels = 0
    while isinstance(tree, dict) and "leaf" not in tree:
        tree = tree["list"][1] if "list" in tree else tree["object"]
        levels += 1
    return levels


def test_every_store_is_under_contract() -> None:
    assert set(FACTORIES) == set(STORES)


async def test_head_says_what_was_put(store: Store) -> None:
    before = time.time()
    assert await store.apply([put("a", "one", "two", at=version(5, 2), batch_id="b")]) == [APPLIED]
    head = (await store.heads([key("a"), key("unknown")])).pop(key("a"))
    assert (head.version, head.content_version) == (version(5, 2), version(5, 2))
    assert (head.content_hash, head.chunk_count, head.deleted) == ("hash of 2", 2, False)
    assert (head.origin, head.batch_id) == (Origin(TOPIC, 3, 7), "b")
    assert before - 1 <= head.updated_at <= time.time() + 1


async def test_key_without_head_is_absent(store: Store) -> None:
    assert await store.heads([key("unknown")]) == {}
    assert await store.heads([]) == {}
    assert await store.apply([]) == []


@pytest.mark.parametrize(
    "late",
    [put("a", "late", at=version(4, 9)), touch("a", version(4, 9)), delete("a", version(4, 9))],
    ids=["put", "touch", "delete"],
)
async def test_older_event_changes_nothing(store: Store, late: Operation) -> None:
    await store.apply([put("a", "new", at=version(5, 0))])
    before = await store.document("a")
    assert await store.apply([late]) == [SUPERSEDED]
    (after,) = await store.document("a")
    assert replace(after.head, editions=before[0].head.editions) == before[0].head
    assert [chunk.text for chunk in after.chunks] == ["new"]


async def test_offset_breaks_ties_of_version(store: Store) -> None:
    await store.apply([put("a", "new", at=version(5, 10))])
    assert await store.apply([put("a", "old", at=version(5, 9))]) == [SUPERSEDED]
    assert await store.apply([put("a", "newer", at=version(5, 11))]) == [APPLIED]


async def test_versions_are_numbers_of_any_size(store: Store) -> None:
    """9 is older than 10, and a producer's own version may exceed 64 bits."""
    await store.apply([put("a", "x", at=numbered(10**30))])
    assert await store.apply([put("a", "y", at=numbered(9 * 10**29, ms=2))]) == [SUPERSEDED]
    assert (await store.heads([key("a")]))[key("a")].version == numbered(10**30)


@pytest.mark.parametrize("again", [put("a", "one", "two"), delete("a", version(1))])
async def test_same_version_is_applied_again_with_the_same_end(
    store: Store, again: Operation
) -> None:
    await store.apply([put("a", "first", at=version(0))])
    for _ in range(3):
        assert await store.apply([again]) == [APPLIED]
    (found,) = await store.document("a")
    texts = ["one", "two"] if not found.head.deleted else []
    assert [chunk.text for chunk in found.chunks] == texts
    assert (await store.count()).chunks == len(texts)
    assert len(await keyword(store, "one two")) == len(texts)


async def test_operations_of_a_call_are_done_in_order(store: Store) -> None:
    results = await store.apply(
        [
            put("a", "first", at=version(1)),
            put("b", "other", at=version(1)),
            put("a", "third", at=version(3)),
            put("a", "second", at=version(2)),
            delete("b", version(2)),
            touch("a", version(4)),
        ]
    )
    assert results == [APPLIED, APPLIED, APPLIED, SUPERSEDED, APPLIED, APPLIED]
    heads = await store.heads([key("a"), key("b")])
    assert (heads[key("a")].version, heads[key("a")].content_version) == (version(4), version(3))
    assert heads[key("b")].deleted


async def test_put_removes_stale_chunks(store: Store) -> None:
    await store.apply([put("a", *(f"old{n}" for n in range(5)))])
    await store.apply([put("a", "fresh1", "fresh2", at=version(2))])
    assert await store.count() == Counts(documents=1, chunks=2)
    assert await keyword(store, "old0 old1 old2 old3 old4") == []
    hits = await dense(store, vector_of("old4"))
    assert sorted(hit.text for hit in hits) == ["fresh1", "fresh2"]


async def test_put_replaces_chunks_of_another_model(store: Store) -> None:
    await store.apply([put("a", "one", "two", "three", model="old@fp32")])
    await store.apply([put("a", "one", model="new@int8", at=version(2))])
    assert await store.count() == Counts(documents=1, chunks=1)
    assert await dense(store, vector_of("one"), model="old@fp32") == []
    assert len(await dense(store, vector_of("one"), model="new@int8")) == 1


async def test_put_without_chunks_leaves_an_empty_document(store: Store) -> None:
    await store.apply([put("a", "one"), put("a", at=version(2))])
    assert await store.count() == Counts(documents=1, chunks=0)
    assert not (await store.heads([key("a")]))[key("a")].deleted


async def test_a_touch_with_an_origin_says_who_was_here_last(store: Store) -> None:
    await store.apply([put("a", "text", at=version(1))])
    before = (await store.heads([key("a")]))[key("a")]
    await store.apply([touch("a", version(2))])
    same = (await store.heads([key("a")]))[key("a")]
    assert (same.origin, same.batch_id) == (before.origin, before.batch_id)
    later = Origin("other", 1, 2)
    await store.apply([touch("a", version(3), origin=later, batch_id="second")])
    moved = (await store.heads([key("a")]))[key("a")]
    assert (moved.origin, moved.batch_id, moved.version) == (later, "second", version(3))
    assert moved.content_version == before.content_version


async def test_touch_moves_only_the_version(store: Store) -> None:
    await store.apply([put("a", "one", at=version(1))])
    (before,) = await store.document("a")
    assert await store.apply([touch("a", version(2))]) == [APPLIED]
    (after,) = await store.document("a")
    assert (after.head.version, after.head.content_version) == (version(2), version(1))
    assert after.head.content_hash == before.head.content_hash
    assert [chunk.text for chunk in after.chunks] == ["one"]


@pytest.mark.parametrize("before", [[], [put("a", "other", "content")], [delete("a", version(1))]])
async def test_a_touch_of_what_is_not_there_any_more_is_to_be_tried_again(
    store: Store, before: list[Operation]
) -> None:
    """Another worker wrote or deleted meanwhile: its text is not this event's."""
    await store.apply(before)
    (result,) = await store.apply([touch("a", version(2))])
    assert isinstance(result, TransientError)
    found = (await store.heads([key("a")])).get(key("a"))
    assert found is None or found.version == version(1)


async def test_delete_leaves_a_head_that_keeps_late_events_out(store: Store) -> None:
    await store.apply([put("a", "one", metadata={"k": "v"}, source="s"), delete("a", version(5))])
    head = (await store.heads([key("a")]))[key("a")]
    assert head.deleted
    assert (head.version, head.chunk_count, head.batch_id) == (version(5), 0, "b-delete")
    assert await store.apply([put("a", "late", at=version(4))]) == [SUPERSEDED]
    assert await keyword(store, "one late") == []
    assert await dense(store, vector_of("one")) == []
    (found,) = await store.document("a")
    assert (found.chunks, found.metadata, found.source) == ([], {}, None)
    assert await store.count() == Counts(0, 0)


async def test_newer_put_brings_a_deleted_document_back(store: Store) -> None:
    await store.apply([put("a", "one"), delete("a", version(5)), put("a", "two", at=version(6))])
    assert not (await store.heads([key("a")]))[key("a")].deleted
    assert ids(await keyword(store, "two")) == ["a"]


async def test_delete_of_unknown_document_is_remembered(store: Store) -> None:
    assert await store.apply([delete("a", version(5))]) == [APPLIED]
    assert (await store.heads([key("a")]))[key("a")].deleted
    assert await store.document("a") == []
    assert await store.apply([put("a", "late", at=version(4))]) == [SUPERSEDED]


BAD = {
    "shorter vector": [np.ones(DIMENSION - 1, np.float32)],
    "NaN": [np.full(DIMENSION, np.nan, np.float32)],
    "infinity": [np.full(DIMENSION, np.inf, np.float32)],
    "no numbers": [np.zeros(0, np.float32)],
}


@pytest.mark.parametrize("bad", BAD)
async def test_bad_operation_fails_alone(store: Store, bad: str) -> None:
    await store.apply([put("before", "x"), put("bad", "as it was")])
    results = await store.apply(
        [
            put("left", "left"),
            put("bad", "wrong", at=version(2), vectors=BAD[bad]),
            put("right", "right"),
        ]
    )
    assert [results[0], results[2]] == [APPLIED, APPLIED]
    assert isinstance(results[1], PermanentError)
    assert "vector" in str(results[1])
    (found,) = await store.document("bad")
    assert (found.head.version, found.chunks[0].text) == (version(1), "as it was")
    assert await store.count() == Counts(documents=4, chunks=4)


async def test_another_size_is_refused_also_where_its_vectors_would_not_stay(store: Store) -> None:
    await store.apply([put("there", "x")])
    wrong = put("a", "x", vectors=BAD["shorter vector"])
    first, second = await store.apply([wrong, put("a", at=version(2))])
    assert isinstance(first, PermanentError)
    assert second == APPLIED


async def test_a_delete_reaches_every_collection_that_its_topic_ever_wrote(store: Store) -> None:
    """Also where another topic has written since, and where its own text comes only later."""
    await store.apply(
        [
            put("a", "x", collection="c1"),
            put("a", "x", collection="c2"),
            put("a", "y", at=version(2), collection="c2", topic="other"),
            put("a", "z", collection="c3", topic="other"),
            put("b", "x", collection="c1"),
        ]
    )
    assert await store.apply([delete("a", version(5), collection=None)]) == [APPLIED]
    found = {d.head.key.collection: d.head.deleted for d in await store.document("a")}
    assert found == {"c1": True, "c2": True, "c3": False}
    late = put("a", "late", at=version(4), collection="c4")
    assert await store.apply([late]) == [SUPERSEDED]
    assert (await store.heads([key("a", "c4")]))[key("a", "c4")].deleted
    theirs = put("a", "z", at=version(3), collection="c4", topic="other")
    assert await store.apply([theirs]) == [SUPERSEDED], "it was written by the deleting topic too"
    assert await store.count() == Counts(2, 2)


async def test_a_document_in_parts_is_put_together_in_any_order(store: Store) -> None:
    for number in (1, 0, 2):
        one = part("a", number, 3, f"part{number}", version(5 + number))
        assert await store.apply([one]) == [APPLIED]
    (found,) = await store.document("a")
    assert [(c.ordinal, c.text) for c in found.chunks] == [(n, f"part{n}") for n in range(3)]
    assert (found.head.chunk_count, await store.count()) == (3, Counts(1, 3))
    assert await store.apply([part("a", 1, 3, "older", version(4))]) == [SUPERSEDED]
    assert await store.apply([part("a", 1, 3, "newer", version(9))]) == [APPLIED]
    assert ids(await keyword(store, "newer")) == ["a"]
    assert await keyword(store, "part1") == []
    await store.apply([part("a", 0, 2, "fewer", version(10))])
    (found,) = await store.document("a")
    assert [c.text for c in found.chunks] == ["fewer", "newer"]
    assert await store.apply([put("a", "whole", at=version(11))]) == [APPLIED]
    assert await store.count() == Counts(1, 1)


async def test_a_text_that_a_delete_uncovers_is_missing_until_it_comes_again(store: Store) -> None:
    first, second = numbered(5, ms=10), numbered(4, ms=20)
    await store.apply([put("a", "five", at=first)])
    assert await store.apply([put("a", "four", at=second)]) == [SUPERSEDED]
    for _ in range(2):  # the delete is delivered again
        assert await store.apply([delete("a", version(15))]) == [Applied.UNCOVERED]
        assert await store.missing("a") == [(key("a"), second)]
        assert await store.count() == Counts(0, 0)
    assert await store.apply([put("a", "four", at=second)]) == [APPLIED]
    assert await store.missing("a") == []
    assert ids(await keyword(store, "four")) == ["a"]


events = st.builds(
    lambda kind, ms, number, topic, collection, of, model: (
        kind,
        ms,
        number,
        topic,
        collection,
        of,
        model,
    ),
    st.sampled_from(["put", "put", "same", "part", "delete"]),
    st.integers(1, 30),
    st.one_of(st.none(), st.integers(1, 4)),
    st.sampled_from(["t1", "t2"]),
    st.sampled_from(["c1", "c2"]),
    st.integers(1, 3),
    st.sampled_from(["m1@fp32", "m2@fp32"]),
)


def operation(event: tuple[Any, ...]) -> Operation:
    kind, ms, number, topic, collection, of, model = event
    at = Version(() if number is None else (number,), Stamp(ms, ms, 0, topic))
    if kind == "delete":
        where = None if of == 1 else collection
        return delete("a", at, collection=where, topic=topic)
    if kind != "part":
        text = f"text{ms}" if kind == "put" else f"same{of}"
        made = put("a", text, at=at, collection=collection, topic=topic)
        return replace(made, content_hash=text)
    made = part("a", ms % of, of, f"text{ms}", at, model, collection=collection, topic=topic)
    return replace(made, content_hash=f"text{ms}, {ms % of} of {of}")  # as the pipeline's tells it


@pytest.mark.parametrize("name", sorted(FACTORIES))
@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=1, max_size=8, unique_by=lambda event: event[1]), st.randoms())
def test_every_order_of_arrival_ends_alike(name: str, said: list[Any], order: Any) -> None:
    """By ones and by windows, texts that come once more too. What was uncovered is read again, as
    the worker does; then all orders have shown the same."""

    async def judged(store: Any, wanted: Operation) -> Operation:
        """As the pipeline asks: what is stored already is touched."""
        if not isinstance(wanted, Put):
            return wanted
        head = (await store.heads([wanted.key])).get(wanted.key)
        if head is None or head.deleted or head.content_hash != wanted.content_hash:
            return wanted
        if not head.editions.would_show(wanted.edition, wanted.origin.topic):
            return wanted
        return Touch(wanted.key, wanted.edition, wanted.origin, wanted.content_hash)

    async def arrive(store: Any, arriving: list[Any], size: int = 1) -> dict[str, list[str]]:
        by_place = {e[1]: operation(e) for e in arriving}
        for start in range(0, len(arriving), size):
            window = [by_place[each[1]] for each in arriving[start : start + size]]
            results = await store.apply([await judged(store, each) for each in window])
            for each, result in zip(window, results, strict=True):
                if isinstance(result, TransientError):  # what it touches was replaced before it
                    (result,) = await store.apply([await judged(store, each)])
                assert isinstance(result, Applied)
            while missing := await store.missing("a"):
                again = [by_place[version.stamp.ms] for _, version in missing]
                await store.apply(again)
        return {
            d.head.key.collection: [c.text for c in d.chunks]
            for d in await store.document("a")
            if d.chunks
        }

    async def run() -> None:
        shuffled = [*said, *order.sample(said, len(said) // 2)]
        order.shuffle(shuffled)
        ends = [await arrive(Memory(), said), await arrive(Memory(), shuffled)]
        for arriving, size in ((said, 1), (shuffled, 1), (shuffled, order.randint(2, 4))):
            with tempfile.TemporaryDirectory() as folder, FACTORIES[name](Path(folder)) as adapter:
                store = adapter.store()
                await store.start()
                try:
                    ends.append(await arrive(store, arriving, size))
                finally:
                    await store.stop()
        assert all(end == ends[0] for end in ends), ends

    asyncio.run(run())


async def test_collections_are_apart(store: Store) -> None:
    await store.apply([put("a", "one", collection="c1"), put("a", "two", collection="c2")])
    await store.apply([delete("a", version(2), collection="c1")])
    found = {entry.head.key.collection: entry for entry in await store.document("a")}
    assert {name: entry.head.deleted for name, entry in found.items()} == {"c1": True, "c2": False}
    (only,) = await store.document("a", "c2")
    assert [chunk.text for chunk in only.chunks] == ["two"]
    assert await store.document("a", "c3") == []
    assert (await store.count("c1"), await store.count("c2")) == (Counts(0, 0), Counts(1, 1))


async def test_document_gives_back_what_was_put(store: Store) -> None:
    texts = [f"chunk {n}. " for n in range(12)]
    operation = put("a", *texts, metadata={"n": {"m": [1, None, 2.5, True]}}, source="wire")
    await store.apply([operation])
    (found,) = await store.document("a")
    assert (found.metadata, found.source, found.model) == (
        {"n": {"m": [1, None, 2.5, True]}},
        "wire",
        MODEL,
    )
    assert len(found.chunks) == 12
    for stored, sent in zip(found.chunks, operation.chunks, strict=True):
        assert (stored.id, stored.ordinal, stored.text) == (sent.id, sent.ordinal, sent.text)
        assert (stored.start, stored.end) == (sent.start, sent.end)
        np.testing.assert_allclose(stored.vector, sent.vector, rtol=1e-6)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_text_comes_back_unchanged(store: Store, text: str) -> None:
    metadata = {text: text, "list": [text], "huge": 10**40, "negative": -(2**63) - 1}
    operation = put(text, text, collection=text, metadata=metadata, source=text, batch_id=text)
    assert await store.apply([operation, put("b", "neighbour")]) == [APPLIED, APPLIED]
    (found,) = await store.document(text)
    assert found.head.key == key(text, text)
    assert (found.metadata, found.source, found.head.batch_id) == (metadata, text, text)
    assert found.chunks[0].text == text
    (hit, *_) = await dense(store, vector_of(text), limit=1, filters={text: [text]})
    assert (hit.key, hit.text, hit.metadata) == (key(text, text), text, metadata)
    assert await store.apply([delete(text, version(2), collection=text)]) == [APPLIED]
    assert await store.count() == Counts(1, 1)


@pytest.mark.parametrize("levels", [50, 5000])
async def test_metadata_of_any_depth(store: Store, levels: int) -> None:
    await store.apply([put("a", "one", metadata=deep(levels))])
    (found,) = await store.document("a")
    assert depth(found.metadata) == levels
    assert depth((await keyword(store, "one"))[0].metadata) == levels


async def test_expire_forgets_old_deletes_only(store: Store) -> None:
    await store.apply([put("a", "one"), put("b", "two"), delete("a", version(5))])
    assert await store.expire(time.time() - 3600) == 0
    assert await store.expire(time.time() + 1) == 1
    assert set(await store.heads([key("a"), key("b")])) == {key("b")}
    assert await store.apply([put("a", "late", at=version(4))]) == [APPLIED]


async def test_what_was_applied_is_there_after_a_restart(store: Store, adapter: Adapter) -> None:
    await store.apply([put("a", "one"), delete("b", version(2))])
    await store.stop()
    await store.stop()
    with pytest.raises(OutageError):
        await store.heads([key("a")])
    again = adapter.store()
    await again.start()
    assert set(await again.heads([key("a"), key("b")])) == {key("a"), key("b")}
    assert ids(await dense(again, vector_of("one"))) == ["a"]
    await again.ping()
    await again.stop()


async def test_calls_at_the_same_time_do_not_mix(store: Store) -> None:
    """Twenty callers race on five documents; the newest version of each wins."""
    await asyncio.gather(
        *(
            store.apply([put(f"d{n % 5}", *["text"] * (n + 1), at=version(int(n))) for n in order])
            for order in (np.random.default_rng(seed).permutation(20) for seed in range(20))
        )
    )
    for n in range(5):
        (found,) = await store.document(f"d{n}")
        assert (found.head.version, len(found.chunks)) == (version(15 + n), 16 + n)
    assert (await store.count()).chunks == sum(16 + n for n in range(5))


def summary(id: str, at: int, text: str = "s") -> StoredSummary:
    return StoredSummary(key(id), version(at), f"hash {at}", {"id": id, "summary": text, "n": 1.5})


async def test_summaries_older_never_replaces_newer(store: Store) -> None:
    ledger: Any = store
    if not hasattr(store, "save_summaries"):
        pytest.skip(f"{store.name} keeps no summaries")
    await ledger.save_summaries([summary("a", 5), summary("b", 1)])
    await ledger.save_summaries([summary("a", 4), summary("b", 2, HOSTILE[1])])
    found = await ledger.summaries([key("a"), key("b"), key("c")])
    assert found == {key("a"): summary("a", 5), key("b"): summary("b", 2, HOSTILE[1])}
    await ledger.save_summaries([summary("a", 5, "again")])
    assert (await ledger.summaries([key("a")]))[key("a")].result["summary"] == "again"


async def test_summary_goes_with_its_document(store: Store) -> None:
    ledger: Any = store
    if not hasattr(store, "save_summaries"):
        pytest.skip(f"{store.name} keeps no summaries")
    await store.apply([put("a", "one")])
    await ledger.save_summaries([summary("a", 1)])
    await store.apply([delete("a", version(3))])
    await ledger.save_summaries([summary("a", 2)])  # was being written meanwhile
    assert await ledger.summaries([key("a")]) == {}
    await ledger.save_summaries([summary("a", 4)])
    assert key("a") in await ledger.summaries([key("a")])
