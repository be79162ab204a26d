"""A store takes over what another one knows: `Copy`, as `tickertape.stores.copying` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tests.contract.store_kit import (
    HOSTILE,
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
from tickertape.documents import Applied, Copy, DocumentKey
from tickertape.errors import TransientError
from tickertape.stores.base import Counts, Store
from tickertape.stores.copying import bring, differing

APPLIED, SUPERSEDED = Applied.APPLIED, Applied.SUPERSEDED


async def fill(source: Memory) -> list[DocumentKey]:
    """Documents of every kind; return their keys."""
    odd = put(HOSTILE[0], *HOSTILE, metadata={"deep": [{"x": HOSTILE[1]}], "year": 2024})
    results = await source.apply(
        [
            put("whole", "alpha beta", "gamma", at=numbered(7), batch_id="b", metadata={"tag": 1}),
            odd,
            *(part("parts", n, 3, f"part {n}", version(n)) for n in (0, 2)),
            put("gone", "delta", at=version(1)),
            delete("gone", version(3), None),
            put("touched", "epsilon", at=version(1)),
            touch("touched", version(4)),
            put("hers", "zeta", tenant="hers"),
            put("bare"),
            delete("never", version(9)),
        ]
    )
    assert set(results) == {APPLIED}
    return [*source.entries, key("never")]


async def alike(source: Memory, store: Store, keys: Sequence[DocumentKey]) -> None:
    """Both say the same of each, texts and vectors with it."""
    assert await differing(source, store, keys) == []
    for each in keys:
        where = each.id, each.collection, each.tenant
        wanted, found = await source.document(*where), await store.document(*where)
        assert len(found) == len(wanted)
        for theirs, ours in zip(wanted, found, strict=True):
            assert replace(ours.head, updated_at=0.0) == theirs.head
            assert (ours.metadata, ours.model) == (theirs.metadata, theirs.model)
            assert len(ours.chunks) == len(theirs.chunks)
            for one, other in zip(theirs.chunks, ours.chunks, strict=True):
                assert np.allclose(one.vector, other.vector, atol=1e-6)
                assert replace(one, vector=other.vector) == other


async def test_a_copy_is_found_and_read_as_the_document_it_is_of(store: Store) -> None:
    source = Memory()
    keys = await fill(source)
    brought = await bring(source, store, keys)
    assert (brought.written, brought.refused) == (len(keys), {})
    await alike(source, store, keys)
    assert await store.count() == await source.count()
    assert ids(await keyword(store, "epsilon")) == ["touched"]
    assert ids(await dense(store, vector_of("gamma"), 1)) == ["whole"]
    assert await keyword(store, "delta") == []
    assert ids(await keyword(store, "zeta", tenant="hers")) == ["hers"]


async def test_copies_that_come_again_change_nothing(store: Store) -> None:
    source = Memory()
    keys = await fill(source)
    copies = [
        Copy(found.head, found)
        for each in source.entries
        for found in await source.document(each.id, each.collection, each.tenant)
    ]
    for _ in range(2):
        assert set(await store.apply(copies)) == {APPLIED}
    await alike(source, store, list(source.entries))
    assert (await bring(source, store, keys)).written == 1  # the delete of what never was
    assert (await bring(source, store, keys)).written == 0


async def test_a_head_that_moved_on_needs_its_text_here(store: Store) -> None:
    source = Memory()
    await source.apply([put("a", "one", "two", at=version(1))])
    head = source.head(key("a"))
    assert head is not None
    (refused,) = await store.apply([Copy(head, None)])
    assert isinstance(refused, TransientError)
    assert await store.document("a") == []
    await bring(source, store, [key("a")])
    await source.apply([touch("a", version(5), chunks=2)])
    moved = source.head(key("a"))
    assert moved is not None
    assert await store.apply([Copy(moved, None)]) == [APPLIED]
    await alike(source, store, [key("a")])
    assert ids(await keyword(store, "two")) == ["a"]


async def test_a_copy_of_an_older_state_brings_nothing_back(store: Store) -> None:
    source = Memory()
    await source.apply([put("a", "old", at=version(1))])
    (old,) = await source.document("a")
    stale = Copy(replace(old.head, editions=old.head.editions.copy()), old)
    await source.apply([put("a", "new", at=version(2))])
    await bring(source, store, [key("a")])
    assert await store.apply([stale]) == [SUPERSEDED]
    await alike(source, store, [key("a")])
    await source.apply([delete("a", version(3))])
    await bring(source, store, [key("a")])
    assert await store.apply([stale]) == [SUPERSEDED]
    await alike(source, store, [key("a")])
    assert await store.count() == Counts(0, 0)


async def test_a_copy_replaces_what_was_made_otherwise(store: Store) -> None:
    """The same event, chunked or embedded anew: more chunks before, another model."""
    source = Memory()
    await store.apply([put("a", "one", "two", "three", at=version(1), model="old@fp32")])
    await source.apply([put("a", "one and two", at=version(1))])
    await bring(source, store, [key("a")])
    await alike(source, store, [key("a")])
    assert await store.count() == Counts(1, 1)
    assert await dense(store, vector_of("one"), model="old@fp32") == []


async def test_a_vector_of_another_size_fails_alone(store: Store) -> None:
    source = Memory()
    await store.apply([put("first", "x")])
    wide = put("wide", "x", vectors=[vector_of("x", 32)])
    await source.apply([wide, put("b", "y")])
    brought = await bring(source, store, [wide.key, key("b")])
    assert (brought.written, list(brought.refused)) == (1, [wide.key])
    assert ids(await keyword(store, "y")) == ["b"]
