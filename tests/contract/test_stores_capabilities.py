"""A store has what it says that it has, and says what it has."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.store_kit import Adapter, ids, keyword, put, version
from tickertape.errors import PermanentError
from tickertape.stores.base import Capability, Counts, Store
from tickertape.stores.capabilities import with_candidates, with_files, with_index, with_summaries

METHODS = {
    Capability.CANDIDATES: ("candidates", "hits"),
    Capability.SUMMARIES: ("summaries", "save_summaries"),
    Capability.FILES: ("files",),
    Capability.VECTOR_INDEX: ("build_index",),
}


def test_methods_are_there_where_their_capability_is_said(adapter: Adapter) -> None:
    store = adapter.store()
    for capability, names in METHODS.items():
        said = capability in store.capabilities
        assert {hasattr(store, name) for name in names} == {said}, capability
    helpers = (with_candidates(store), with_summaries(store), with_files(store), with_index(store))
    for found, capability in zip(helpers, METHODS, strict=True):
        assert found is (store if capability in store.capabilities else None)


async def test_counts_by_filter_or_a_refusal(store: Store) -> None:
    await store.apply(
        [
            put("a", "one", "two", metadata={"year": 2023}),
            put("b", "one", metadata={"year": 2024}),
            put("c", "one", metadata={"year": 2024}, collection="other"),
        ]
    )
    filters = {"year": [2023, "2024"]}
    if Capability.COUNTS not in store.capabilities:
        with pytest.raises(PermanentError, match="filters"):
            await store.count(filters=filters)
        return
    assert await store.count(filters=filters) == Counts(3, 4)
    assert await store.count("news", filters={"year": 2024}) == Counts(1, 1)
    assert await store.count(filters={"year": 1999}) == Counts(0, 0)


async def test_words_are_searched_or_refused(store: Store) -> None:
    await store.apply([put("a", "revenue")])
    if Capability.KEYWORDS in store.capabilities:
        assert ids(await keyword(store, "revenue")) == ["a"]
    else:
        with pytest.raises(PermanentError, match="mode"):
            await keyword(store, "revenue")


async def test_a_call_that_is_said_to_be_atomic_is_seen_whole(
    store: Store, adapter: Adapter
) -> None:
    """Another client sees all documents of a call in one version, whenever it looks."""
    if Capability.ATOMIC not in store.capabilities:
        pytest.skip(f"{store.name} says that it is not atomic")
    other = adapter.store()
    await other.start()
    seen: set[int] = set()

    async def write() -> None:
        for n in range(1, 31):
            await store.apply([put(f"d{m}", f"word{n}", at=version(n)) for m in range(20)])

    writing = asyncio.create_task(write())
    while not writing.done():
        hits = await keyword(other, " ".join(f"word{n}" for n in range(1, 31)), 100)
        texts = [hit.text for hit in hits]
        assert len(texts) in (0, 20)
        assert len(set(texts)) <= 1
        seen.update(int(text[4:]) for text in texts)
    await writing
    await other.stop()
    assert len(seen) > 1
