"""A store that is filled from another ends as that one is, whatever was copied when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.store_kit import delete, key, part, put, touch, version
from tests.contract.test_stores_stateful import calls
from tests.memory_store import Memory
from tests.unit.test_editions import arrive, events
from tests.unit.test_window import EVERY, Database
from tickertape.documents import Copy, DocumentKey, Operation
from tickertape.editions import Deletes, Editions
from tickertape.errors import OutageError, PermanentError, TransientError
from tickertape.stores import copying
from tickertape.stores.copying import bring, differing, holds


def states(store: Memory) -> dict[DocumentKey, object]:
    """All that a store says, less when it was written, and what it may forget or not."""
    found: dict[DocumentKey, object] = {}
    for each, entry in store.entries.items():
        head = store.head(each)
        assert head is not None
        known = (entry.editions.shown, entry.editions.topics, entry.editions.deletes)
        texts = [(chunk.ordinal, chunk.text) for chunk in entry.chunks]
        found[each] = (replace(head, updated_at=0.0, editions=Editions()), known, texts)
    return found


@settings(max_examples=200, deadline=None)
@given(events(), st.data())
def test_editions_of_two_stores_join_to_those_of_all_events(found, data):
    # Of the same events, as no two stand at one place: each store heard of some.
    one, other = ([each for each in found if data.draw(st.booleans())] for _ in range(2))
    joined = arrive(one)
    joined.join(arrive(other))
    every = arrive([*one, *other])
    assert joined.shown == every.shown
    assert (joined.topics, joined.deletes) == (every.topics, every.deletes)
    twice = joined.copy()
    twice.join(arrive(other))
    twice.join(joined)
    # What is kept beside it may be less: what a text that is gone now had hidden.
    known = (joined.shown, joined.topics, joined.deletes)
    assert (twice.shown, twice.topics, twice.deletes) == known


@settings(deadline=None)
@given(events())
def test_deletes_are_said_again_by_a_few_versions(found):
    said = Deletes()
    for event in found:
        if event.edition is None:
            said |= Deletes.of(event.version)
    again = Deletes()
    for one in said.versions:
        again |= Deletes.of(one)
    assert again == said
    assert len(said.versions) <= 3


steps = st.lists(st.tuples(calls, st.sets(st.sampled_from(EVERY))), max_size=6)


@settings(max_examples=60, deadline=None)
@given(steps, st.randoms(use_true_random=False))
def test_copies_of_any_moments_in_any_order_end_as_the_source(
    history: Sequence[tuple[list[Operation], set[DocumentKey]]], random
) -> None:
    """Stale copies arrive late and twice; the last of each document is of its last state."""
    source = Memory()
    copies: list[Copy] = []
    for operations, told in [*history, ([], set(EVERY))]:
        for operation in operations:
            source.apply_one(operation)
        for each in sorted(told):
            for found in asyncio.run(source.document(each.id, each.collection)):
                head = replace(found.head, editions=found.head.editions.copy())
                copies.append(Copy(head, replace(found, head=head)))
    last = copies[len(copies) - len(source.entries) :]
    early = [copy for copy in copies if random.random() < 0.7]
    random.shuffle(early)
    target, database = Memory(), Database()
    for copy in [*early, *last]:
        target.apply_one(copy)
        database.apply([copy])
    assert states(target) == states(source)
    for each, entry in source.entries.items():
        row, head = database.rows[each], source.head(each)
        assert head is not None
        texts = [(number, chunk.text) for number, (chunk, _) in sorted(row.chunks.items())]
        assert texts == [(chunk.ordinal, chunk.text) for chunk in entry.chunks]
        said = row.entry.version, row.entry.content_hash, row.entry.deleted
        assert said == (head.version, head.content_hash, head.deleted)
        assert database.entry(each).editions.shown == head.editions.shown


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_store_that_is_brought_what_it_is_told_of_knows_it(
    history: Sequence[tuple[list[Operation], set[DocumentKey]]],
) -> None:
    source, target = Memory("first"), Memory("second")

    async def run() -> None:
        for operations, told in history:
            await source.apply(operations)
            await bring(source, target, told)
            assert await differing(source, target, sorted(told)) == []
        await bring(source, target, EVERY)

    asyncio.run(run())
    assert states(target) == states(source)
    assert asyncio.run(target.heads(EVERY)).keys() == asyncio.run(source.heads(EVERY)).keys()


async def test_what_moved_on_without_a_new_text_is_copied_without_its_chunks() -> None:
    source, target = Memory("first"), Memory("second")
    await source.apply([put("a", "one", "two", at=version(1))])
    await bring(source, target, [key("a")])
    await source.apply([touch("a", version(5), chunks=2)])
    asked: list[str] = []
    document = source.document

    async def watched(id: str, *more: str) -> object:
        asked.append(id)
        return await document(id, *more)

    source.document = watched  # type: ignore[method-assign, assignment]
    assert (await bring(source, target, [key("a")])).written == 1
    assert asked == []
    assert states(target) == states(source)
    assert (await bring(source, target, [key("a")])).written == 0


async def test_a_text_that_the_source_forgot_stays() -> None:
    """A ledger that was put back from a backup deletes nothing elsewhere."""
    source, target = Memory("first"), Memory("second")
    await target.apply([put("a", "kept")])
    assert (await bring(source, target, [key("a")])).written == 0
    assert target.text("a", "news") == "kept"


async def test_deletes_that_the_source_has_forgotten_are_no_difference() -> None:
    source, target = Memory("first"), Memory("second")
    await source.apply([delete("a", version(1)), put("a", "new", at=version(2))])
    await bring(source, target, [key("a")])
    source.forget()
    assert await differing(source, target, [key("a")]) == []


async def test_a_delete_of_what_was_never_there_is_known_too() -> None:
    source, target = Memory("first"), Memory("second")
    await source.apply([delete("a", version(5))])
    await bring(source, target, [key("a")])
    await target.apply([put("a", "late", at=version(4))])
    assert target.text("a", "news") is None


async def test_a_document_that_is_refused_does_not_keep_its_neighbours() -> None:
    source, target = Memory("first"), Memory("second")
    target.refused["b"] = PermanentError("too wide")
    await source.apply([put("a", "x"), put("b", "x"), part("c", 1, 2, "x", version(1))])
    brought = await bring(source, target, [key("a"), key("b"), key("c")])
    assert (brought.written, list(brought.refused)) == (2, [key("b")])
    assert target.entries.keys() == {key("a"), key("c")}


async def test_a_step_is_bounded_by_its_chunks_and_not_by_its_documents_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, "CHUNKS", 4)
    source, target = Memory("first"), Memory("second")
    every = [put(f"id {n}", *(f"text {n} {m}" for m in range(n))) for n in (1, 2, 3, 1, 9, 1)]
    every = [
        replace(each, document=replace(each.document, key=key(f"id {at}")))
        for at, each in enumerate(every)
    ]
    await source.apply(every)
    steps: list[list[int]] = []
    apply = target.apply

    async def watched(operations: Sequence[Operation]) -> object:
        copies = [each for each in operations if isinstance(each, Copy)]
        steps.append([each.head.chunk_count for each in copies])
        return await apply(operations)

    target.apply = watched  # type: ignore[method-assign, assignment]
    assert (await bring(source, target, [key(f"id {at}") for at in range(6)])).written == 6
    assert steps == [[1, 2], [3, 1], [9], [1]]
    assert states(target) == states(source)


async def test_an_outage_is_raised_and_what_always_changes_is_given_up() -> None:
    source, target = Memory("first"), Memory("second")
    await source.apply([put("a", "x")])
    target.broken = [OutageError("down", dependency="store:second")]
    with pytest.raises(OutageError):
        await bring(source, target, [key("a")])
    target.refused["a"] = TransientError("changed")
    with pytest.raises(TransientError, match="faster"):
        await bring(source, target, [key("a")])


def test_a_head_that_is_not_there_holds_nothing() -> None:
    source = Memory()
    source.apply_one(put("a", "x"))
    head = source.head(key("a"))
    assert head is not None
    assert not holds(None, head)
    assert holds(head, head)
