"""All heads of a store, page by page."""

from __future__ import annotations

import pytest

from tests.contract.store_kit import delete, key, part, put, version
from tickertape.documents import DocumentKey, Head
from tickertape.stores.base import Store


async def scanned(store: Store, limit: int, **more: str) -> list[Head]:
    """Every page, one after the other."""
    found: list[Head] = []
    after: str | None = ""
    while after is not None:
        page, after = await store.scan(after, limit, **more)
        assert len(page) <= limit
        found += page
    return found


async def fill(store: Store) -> set[DocumentKey]:
    puts = [put(f"id {each}", f"text {each}", collection=f"c{each % 3}") for each in range(7)]
    odd = [put("nul \0 \ud800", "x"), part("parts", 1, 3, "of three", version(1))]
    await store.apply([*puts, *odd, delete("id 3", version(2), "c0"), delete("never", version(2))])
    return {each.key for each in (*puts, *odd)}


@pytest.mark.parametrize("limit", [1, 2, 3, 9, 1000])
async def test_a_scan_meets_every_head_and_says_of_each_what_heads_does(
    store: Store, limit: int
) -> None:
    there = await fill(store)
    found = await scanned(store, limit)
    assert {head.key for head in found} == there
    assert {head.key: head for head in found} == await store.heads(list(there))
    assert {head.key.id for head in found if head.deleted} == {"id 3"}


async def test_a_scan_of_an_empty_store_ends_at_once(store: Store) -> None:
    assert await store.scan() == ([], None)


async def test_a_scan_is_of_one_tenant(store: Store) -> None:
    await store.apply([put("a", "hers", tenant="hers"), put("a", "ours"), put("b", "ours")])
    assert {head.key for head in await scanned(store, 1, tenant="hers")} == {
        key("a", tenant="hers")
    }
    assert {head.key for head in await scanned(store, 1)} == {key("a"), key("b")}
    assert await scanned(store, 1, tenant="nobody") == []


async def test_a_scan_meets_what_stays_while_others_come_go_and_change(store: Store) -> None:
    there = await fill(store)
    found: set[DocumentKey] = set()
    after: str | None = ""
    turn = 0
    while after is not None:
        page, after = await store.scan(after, 2)
        found |= {head.key for head in page}
        turn += 1
        assert turn < 100  # what is written meanwhile does not make it endless
        if turn < 10:
            rewritten = put("id 4", f"again {turn}", collection="c1", at=version(10 + turn))
            await store.apply([put(f"new {turn}", "new"), rewritten])
        await store.apply([delete("id 6", version(20 + turn), "c0")])
    assert found >= there
