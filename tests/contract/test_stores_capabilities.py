"""A store has what it says that it has, and says what it has."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.store_kit import (
    COMPARED,
    DATED,
    Adapter,
    delete,
    dense,
    ids,
    keyword,
    put,
    vector_of,
    version,
)
from tickertape.errors import PermanentError
from tickertape.stores.base import Capability, Counts, Store
from tickertape.stores.capabilities import (
    with_candidates,
    with_fields,
    with_files,
    with_index,
    with_summaries,
    with_weights,
)

METHODS = {
    Capability.CANDIDATES: ("candidates", "hits"),
    Capability.SUMMARIES: ("summaries", "save_summaries"),
    Capability.FILES: ("files",),
    Capability.VECTOR_INDEX: ("build_index",),
    Capability.WEIGHTS: ("question_weight",),
    Capability.FIELDS: ("field_names", "known_fields"),
}


def test_methods_are_there_where_their_capability_is_said(adapter: Adapter) -> None:
    store = adapter.store()
    for capability, names in METHODS.items():
        said = capability in store.capabilities
        assert {hasattr(store, name) for name in names} == {said}, capability
    helpers = (with_candidates, with_summaries, with_files, with_index, with_weights, with_fields)
    for helper, capability in zip(helpers, METHODS, strict=True):
        found = helper(store)
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


async def test_filters_compare_where_fields_are_known(store: Store) -> None:
    if Capability.FIELDS not in store.capabilities:
        pytest.skip("it does not say so")
    await store.apply([put(id, "words", metadata=metadata) for id, metadata in DATED.items()])
    for filters, passing in COMPARED:
        assert set(ids(await dense(store, vector_of("x"), filters=filters))) == passing, filters
        if Capability.KEYWORDS in store.capabilities:
            assert set(ids(await keyword(store, "words", filters=filters))) == passing, filters
        if Capability.COUNTS in store.capabilities:
            assert (await store.count(filters=filters)).documents == len(passing), filters
    for wrong in ({"gte": "soon"}, {"near": 1}, {}, {"contains": 1}, {"lt": True}, {"gt": 10**400}):
        with pytest.raises(PermanentError, match=r"filters\.published"):
            await dense(store, vector_of("x"), filters={"published": wrong})


async def test_fields_are_those_of_the_documents_that_there_are(store: Store) -> None:
    fields = with_fields(store)
    if fields is None:
        pytest.skip("it does not say so")
    await store.apply([put(id, "words", metadata=metadata) for id, metadata in DATED.items()])
    await store.apply([put("other", "words", metadata={"secret": "x"}, tenant="hers")])
    names = ["company", "nested.price", "price", "published"]
    assert [name for name in await fields.field_names() if name.isprintable()] == names
    asked = {("price", "10"), ("price", "9.5"), ("price", "9"), ("secret", "x"), ("x", "10")}
    assert await fields.known_fields(asked) == {("price", "10"), ("price", "9.5")}
    assert await fields.known_fields(asked, "hers") == {("secret", "x")}
    await store.apply([delete(id, version(9)) for id in DATED])
    assert await fields.known_fields(asked) == set()


async def test_a_question_weighs_what_all_of_its_words_score(store: Store) -> None:
    weighing = with_weights(store)
    if weighing is None:
        pytest.skip("it does not say so")
    await store.apply([put(f"d{n}", f"same length w{n}") for n in range(20)])
    for text, share in (("w3", 1.0), ("w3 absent", 0.5)):
        (hit,) = await keyword(store, text)
        weight = await weighing.question_weight(text)
        assert hit.score / weight == pytest.approx(share, abs=0.1), text
        assert await weighing.question_weight(text) == weight
    assert await weighing.question_weight("") == await weighing.question_weight("?!") == 0


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
