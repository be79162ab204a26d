"""What one tenant has, no other finds, counts, replaces or deletes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.contract.store_kit import (
    delete,
    dense,
    ids,
    key,
    keyword,
    part,
    put,
    vector_of,
    version,
)
from tickertape.documents import Applied, StoredSummary, chunk_id
from tickertape.stores.base import Capability, Counts, Store
from tickertape.stores.capabilities import with_candidates, with_summaries

HERS, HIS = "hers", "his \0 \ud800"


async def fill(store: Store) -> None:
    puts = [
        put(id, f"{tenant[:3]} revenue {id}", tenant=tenant, metadata={"year": 2024, "of": tenant})
        for tenant in (HERS, HIS)
        for id in ("a", "b")
    ]
    assert await store.apply([*puts, put("a", "ours revenue")]) == [Applied.APPLIED] * 5


async def test_a_search_finds_its_tenants_documents_alone(store: Store) -> None:
    await fill(store)
    for tenant, wanted in ((HERS, {"a", "b"}), (HIS, {"a", "b"}), ("nobody", set())):
        for more in ({}, {"filters": {"year": 2024}}, {"collection": "news"}):
            for hits in (
                await dense(store, vector_of("x"), tenant=tenant, **more),
                await keyword(store, "revenue", tenant=tenant, **more),
            ):
                assert set(ids(hits)) == wanted
                assert {hit.key.tenant for hit in hits} <= {tenant}
                assert all(hit.metadata["of"] == tenant for hit in hits)
        assert await keyword(store, "revenue", tenant=tenant, filters={"of": "other"}) == []
    assert [hit.text for hit in await keyword(store, "revenue")] == ["ours revenue"]
    assert [hit.text for hit in await dense(store, vector_of("x"))] == ["ours revenue"]


async def test_a_search_of_candidates_finds_its_tenants_alone(store: Store) -> None:
    from tickertape.stores.base import Mode, Query

    if (candidates := with_candidates(store)) is None:
        return
    await fill(store)
    query = Query(Mode.KEYWORD, 10, text="revenue", tenant=HIS)
    hits = await candidates.hits(await candidates.candidates(query))
    assert {hit.key for hit in hits.values()} == {key("a", tenant=HIS), key("b", tenant=HIS)}


async def test_heads_and_documents_are_each_tenants_own(store: Store) -> None:
    await fill(store)
    wanted = [key("a"), key("a", tenant=HERS), key("a", tenant=HIS), key("a", tenant="nobody")]
    heads = await store.heads(wanted)
    assert set(heads) == set(wanted[:3])
    assert all(head.key == found for found, head in heads.items())
    (found,) = await store.document("a", tenant=HIS)
    assert (found.head.key, found.metadata["of"]) == (wanted[2], HIS)
    assert await store.document("a", "news", "nobody") == []


async def test_a_delete_reaches_its_tenants_document_alone(store: Store) -> None:
    await fill(store)
    assert await store.apply([delete("a", version(5), None, tenant=HERS)]) == [Applied.APPLIED]
    heads = await store.heads([key("a"), key("a", tenant=HERS), key("a", tenant=HIS)])
    assert [head.deleted for _, head in sorted(heads.items())] == [False, True, False]
    late = [put("a", "late", at=version(4), tenant=tenant) for tenant in (HERS, HIS)]
    assert await store.apply(late) == [Applied.SUPERSEDED, Applied.APPLIED]
    assert (await store.heads([key("new")])) == {}
    await store.apply([delete("new", version(5), None, tenant=HERS)])
    assert await store.apply([put("new", "x", at=version(4))]) == [Applied.APPLIED]


async def test_a_replacement_leaves_the_other_tenants_text(store: Store) -> None:
    await fill(store)
    await store.apply([put("a", "anew", at=version(7), tenant=HIS)])
    assert [hit.text for hit in await keyword(store, "revenue", tenant=HIS)] == ["his revenue b"]
    assert len(await keyword(store, "revenue", tenant=HERS)) == 2


async def test_what_is_missing_is_told_to_its_tenant_alone(store: Store) -> None:
    first, second = part("p", 0, 1, "one", version(2)), put("p", "two", at=version(1))
    await store.apply([second, first])
    assert await store.missing("p", "nobody") == []


async def test_counts_are_each_tenants_own(store: Store) -> None:
    await fill(store)
    assert await store.count() == Counts(1, 1)
    assert await store.count(tenant=HERS) == await store.count("news", HIS) == Counts(2, 2)
    assert await store.count(tenant="nobody") == Counts(0, 0)
    if Capability.COUNTS in store.capabilities:
        assert await store.count(tenant=HERS, filters={"of": HERS}) == Counts(2, 2)
        assert await store.count(tenant=HERS, filters={"of": HIS}) == Counts(0, 0)


async def test_a_tenants_vectors_fix_no_other_tenants_dimension(store: Store) -> None:
    await store.apply([put("a", "x", tenant=HERS)])
    small = [np.ones(4, np.float32)]
    assert await store.apply([put("a", "x", tenant=HIS, vectors=small)]) == [Applied.APPLIED]
    assert ids(await dense(store, small[0], tenant=HIS)) == ["a"]


async def test_summaries_are_each_tenants_own(store: Store) -> None:
    if (ledger := with_summaries(store)) is None:
        return
    made: list[Any] = [
        StoredSummary(key("a", tenant=tenant), version(1), "hash", {"summary": tenant})
        for tenant in (HERS, HIS)
    ]
    await ledger.save_summaries(made)
    assert await ledger.summaries([key("a")]) == {}
    assert await ledger.summaries([one.key for one in made]) == {one.key: one for one in made}
    await store.apply([put("a", "x", tenant=HERS), delete("a", version(3), None, tenant=HERS)])
    assert set(await ledger.summaries([one.key for one in made])) == {made[1].key}


def test_the_default_tenants_chunk_ids_are_those_of_before_there_were_tenants() -> None:
    assert str(chunk_id(key("d1"), 3, "m@fp32")) == "dc984c64-9471-5290-924a-e624b292ce5e"
    others = {chunk_id(key("d1", tenant=tenant), 3, "m@fp32") for tenant in (HERS, "his", "")}
    assert len(others | {chunk_id(key("d1"), 3, "m@fp32")}) == 4
