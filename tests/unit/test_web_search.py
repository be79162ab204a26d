"""Search over HTTP: parameters, filters, results, and load that is too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.web_parts import Client, Parts, parts, store_text
from tickertape.documents import DocumentKey, StoredSummary
from tickertape.errors import OutageError
from tickertape.search import SearchRequest
from tickertape.stores.capabilities import with_summaries
from web import search as search_page


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        await store_text(made, "a", "Revenue rose nine per cent.", ticker="ACME", year=2024)
        await store_text(made, "b", "Revenue fell two per cent.", ticker="BOLT", year=2025)
        await store_text(made, "c", "The board met in Oslo.", ticker="ACME", year=2025)
        await store_text(made, "n", "Revenue notes of a clerk.", collection="notes")
        yield made


async def ids(client: Client, **query: Any) -> list[str]:
    answer = await client.get("/search", params=query)
    body = await answer.json(content_type=None)
    assert answer.status == 200, body
    return [result["id"] for result in body["results"]]


async def test_a_misspelt_field_is_told_and_an_unknown_one_finds_nothing(client: Client) -> None:
    answer = await client.get("/search?q=revenue&filter.tickr=ACME")
    assert answer.status == 422
    assert "did you mean ticker?" in (await answer.text())
    assert await ids(client, q="revenue", **{"filter.segment": "cloud"}) == []
    for wrong in ("filter.year>=soon", "filter.year>=1&filter.year=2", "filter.~=x"):
        assert (await client.get(f"/search?q=revenue&{wrong}")).status == 422, wrong


@pytest.mark.parametrize("mode", ["hybrid", "dense", "keyword"])
async def test_every_mode_finds_the_passage(client: Client, mode: str) -> None:
    answer = await client.get("/search", params={"q": "who met in Oslo", "mode": mode})
    body = await answer.json()
    best = body["results"][0]
    assert best["id"] == "c"
    assert best["text"] == best["excerpt"] == "The board met in Oslo."
    assert (best["others"], best["before"], best["after"]) == ([], [], [])
    assert best["collection"] == "financial_documents"
    assert best["metadata"] == {"ticker": "ACME", "year": 2025}
    assert (best["chunk"], best["chunk_count"]) == (0, 1)
    scores = [result["score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert body["mode"] == mode
    assert body["took_ms"] > 0


async def test_a_company_that_is_named_comes_first_and_is_told(client: Client) -> None:
    body = await (await client.get("/search?q=BOLT+revenue+2025&group=1&neighbours=1")).json()
    assert body["results"][0]["id"] == "b"
    assert body["read"] == {"companies": ["BOLT"], "periods": ["2025"], "forms": []}
    assert await ids(client, q="BOLT revenue", reading="filter") == ["b"]
    for wrong in ("reading=all", "group=21", "neighbours=-1"):
        assert (await client.get(f"/search?q=revenue&{wrong}")).status == 422, wrong


async def test_a_hit_and_its_document_have_their_summary(client: Client, services: Parts) -> None:
    (store,) = services.stores
    ledger = with_summaries(store)
    assert ledger is not None
    key = DocumentKey("financial_documents", "a")
    head = (await store.heads([key]))[key]
    said = {"summary": "Revenue rose."}
    await ledger.save_summaries([StoredSummary(key, head.version, head.content_hash, said)])
    body = await (await client.get("/search?q=revenue+rose&filter.ticker=ACME")).json()
    summaries = {result["id"]: result["summary"] for result in body["results"]}
    assert summaries["a"] == "Revenue rose."
    stored = await (await client.get("/documents/a")).json()
    assert stored["documents"][0]["summary"] == "Revenue rose."
    assert (await (await client.get("/documents/b")).json())["documents"][0]["summary"] is None


async def test_both_names_of_a_field_are_taken(client: Client) -> None:
    by_get = await ids(client, query="revenue", k="2", mode="dense")
    assert len(by_get) == 2
    assert await ids(client, q="revenue", n_results="2", mode="dense") == by_get
    answer = await client.post("/search", json={"q": "revenue", "n_results": 2, "mode": "dense"})
    assert [r["id"] for r in (await answer.json())["results"]] == by_get


async def test_filters(client: Client) -> None:
    ask = {"q": "revenue board", "mode": "dense"}
    assert set(await ids(client, **ask, **{"filter.ticker": "ACME"})) == {"a", "c"}
    assert await ids(client, **ask, **{"filter.year": "2024"}) == ["a"]
    assert set(await ids(client, **ask, filters='{"year": [2024, 2025]}')) == {"a", "b", "c"}
    both = await client.get(
        "/search?q=revenue&mode=dense&filter.ticker=ACME&filter.ticker=BOLT&filter.year=2025"
    )
    assert {r["id"] for r in (await both.json())["results"]} == {"b", "c"}
    assert set(await ids(client, **ask, **{"filter.year>": "2025"})) == {"b", "c"}
    assert set(await ids(client, **ask, **{"filter.year>2024": ""})) == {"b", "c"}
    assert await ids(client, **ask, **{"filter.year<": "2024", "filter.ticker~": "cm"}) == ["a"]
    assert await ids(client, **ask, filters='{"year": {"gt": 2024, "lt": 2025}}') == []
    body = {**ask, "filters": {"ticker": "BOLT"}}
    posted = await client.post("/search", json=body)
    assert [r["id"] for r in (await posted.json())["results"]] == ["b"]


async def test_collection(client: Client) -> None:
    assert await ids(client, q="revenue", mode="dense", collection="notes") == ["n"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "query"),
        ({"q": "  "}, "q"),
        ({"q": "x", "k": "0"}, "k"),
        ({"q": "x", "n_results": "101"}, "n_results"),
        ({"q": "x", "mode": "psychic"}, "mode"),
        ({"q": "x", "filters": "{"}, "filters"),
        ({"q": "x", "filters": "[1]"}, "filters"),
    ],
)
async def test_wrong_parameters_are_named(
    client: Client, query: dict[str, str], field: str
) -> None:
    answer = await client.get("/search", params=query)
    body = await answer.json(content_type=None)
    assert answer.status == 422
    assert body["errors"][0]["field"] == field


async def test_a_body_that_is_no_object(client: Client) -> None:
    answer = await client.post("/search", data=orjson.dumps(["x"]))
    assert answer.status == 415  # aiohttp's client calls bytes octet-stream
    answer = await client.post("/search", json=["x"])
    assert answer.status == 422


class Stuck:
    """A search that waits until it is let go."""

    def __init__(self, many: int) -> None:
        self.go = asyncio.Event()
        self.all_wait = asyncio.Barrier(many + 1)

    async def search(self, _request: SearchRequest) -> Any:
        if not self.go.is_set():
            await self.all_wait.wait()
        await self.go.wait()
        raise OutageError("the store is down", dependency="store:sqlite", retry_after=3)


async def test_too_many_searches_are_told_to_come_again(
    client: Client, services: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_page.gate, "_limit", 2)
    stuck = Stuck(2)
    services.search = stuck  # type: ignore[assignment]
    held = [asyncio.ensure_future(client.get("/search?q=x")) for _ in range(2)]
    await stuck.all_wait.wait()
    refused = await client.get("/search?q=x")
    assert refused.status == 503
    assert refused.headers["Retry-After"] == "1"
    stuck.go.set()
    for answer in await asyncio.gather(*held):
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "3"
    # Those that left made room.
    assert (await client.get("/search?q=x")).headers["Retry-After"] == "3"
