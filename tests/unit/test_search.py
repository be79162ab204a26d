"""Search over a real store with a small embedder, and the fusion of both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.store_kit import delete, put, vector_of, version
from tickertape import search as module
from tickertape.documents import DocumentKey, Vector
from tickertape.errors import InvalidRecord, OutageError
from tickertape.search import Search, SearchRequest, fuse
from tickertape.settings import Settings
from tickertape.stores.base import Capability, Hit, Query, Store
from tickertape.stores.sqlite import SqliteStore

IDENTITY = "tests/words@fp32"


class Embedder:
    identity = IDENTITY


class Runner:
    """Embeds a text as the sum of its words' vectors, and counts."""

    embedder = Embedder()

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def embed_text(self, text: str) -> Vector:
        self.asked.append(text)
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return embedded(text)


def embedded(text: str) -> Vector:
    vector = np.sum([vector_of(word) for word in text.lower().split()], axis=0)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(Settings(data_dir=tmp_path))
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def runner() -> Runner:
    return Runner()


async def fill(store: Store, texts: dict[str, list[str]], **more: Any) -> None:
    puts = [
        put(id, *parts, vectors=[embedded(part) for part in parts], model=IDENTITY, **more)
        for id, parts in texts.items()
    ]
    assert not [r for r in await store.apply(puts) if isinstance(r, Exception)]


TEXTS = {
    "profit": ["net profit rose"],
    "loss": ["net loss widened"],
    "board": ["board met today"],
    "mix": ["profit today", "loss yesterday"],
}


@pytest.mark.parametrize("mode", ["dense", "keyword", "hybrid"])
async def test_each_mode_finds_the_passage(store: SqliteStore, runner: Runner, mode: str) -> None:
    await fill(store, TEXTS, metadata={"title": "T"})
    result = await Search(store, runner).search(SearchRequest("net profit rose", mode=mode, k=2))
    first = result.hits[0]
    assert (first.key.id, first.ordinal, first.chunk_count) == ("profit", 0, 1)
    assert (first.text, first.metadata) == ("net profit rose", {"title": "T"})
    assert [hit.score for hit in result.hits] == sorted(
        (hit.score for hit in result.hits), reverse=True
    )
    assert (first.dense is not None, first.keyword is not None) == (
        mode != "keyword",
        mode != "dense",
    )
    assert (result.mode, len(result.hits)) == (mode, 2)
    assert result.took_ms > 0
    assert bool(runner.asked) == (mode != "keyword")


async def test_hybrid_holds_what_either_side_found(store: SqliteStore, runner: Runner) -> None:
    await fill(store, {"words": ["impairment charge"], "near": ["net profit rose"]})
    result = await Search(store, runner).search(SearchRequest("impairment net", k=10))
    scores = {hit.key.id: hit for hit in result.hits}
    assert set(scores) == {"words", "near"}
    assert all(0 <= hit.score <= 1 for hit in result.hits)


async def test_filters_and_collection_hold_for_both_sides(
    store: SqliteStore, runner: Runner
) -> None:
    await fill(store, TEXTS, metadata={"year": 2023}, collection="c1")
    await fill(store, TEXTS, metadata={"year": 2024}, collection="c2")
    search = Search(store, runner)
    for request in (
        SearchRequest("profit", k=50, filters={"year": "2024"}),
        SearchRequest("profit", k=50, collection="c2"),
    ):
        hits = (await search.search(request)).hits
        assert len(hits) == 5
        assert {hit.key.collection for hit in hits} == {"c2"}


@pytest.mark.parametrize("mode", ["dense", "keyword", "hybrid"])
async def test_per_document_gives_each_its_best_chunk(
    store: SqliteStore, runner: Runner, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One document's chunks fill the first candidates; deeper ones are asked for."""
    monkeypatch.setattr(module, "DEPTH_MIN", 4)
    await fill(store, {"long": ["profit rose"] * 60})
    await fill(store, {f"d{n}": [f"profit rose by {n}"] for n in range(4)})
    request = SearchRequest("profit rose", mode=mode, k=5, per_document=True)
    hits = (await Search(store, runner).search(request)).hits
    assert sorted(hit.key.id for hit in hits) == ["d0", "d1", "d2", "d3", "long"]
    every = (await Search(store, runner).search(replace(request, per_document=False))).hits
    assert {hit.key.id for hit in every} == {"long"}
    more = (await Search(store, runner).search(replace(request, k=100))).hits
    assert len(more) == 5


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": " \0\n"}, "query"),
        ({"query": "x" * (module.QUERY_CHARACTERS_MAX + 1)}, "query"),
        ({"mode": "fuzzy"}, "mode"),
        ({"k": 0}, "k"),
        ({"k": module.K_MAX + 1}, "k"),
        ({"k": 2.5}, "k"),
        ({"filters": {"a": {"b": 1}}}, "filters.a"),
        ({"filters": {"a": [[1]]}}, "filters.a"),
        ({"filters": {"a": list(range(1001))}}, "filters.a"),
        ({"filters": {str(n): n for n in range(33)}}, "filters"),
    ],
)
async def test_wrong_request_names_the_field(
    store: SqliteStore, runner: Runner, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await Search(store, runner).search(replace(SearchRequest("profit"), **change))
    assert caught.value.field == field
    assert runner.asked == []


async def test_hostile_query_is_cleaned(store: SqliteStore, runner: Runner) -> None:
    await fill(store, TEXTS)
    result = await Search(store, runner).search(SearchRequest(' "profit\0 OR\ud800 NEAR( '))
    assert result.hits
    runner.asked[0].encode()
    assert "\0" not in runner.asked[0]


@pytest.mark.parametrize("k", [1, 10, 1000])
async def test_empty_store_finds_nothing(store: SqliteStore, runner: Runner, k: int) -> None:
    for mode in module.MODES:
        result = await Search(store, runner).search(SearchRequest("profit", mode=mode, k=k))
        assert result.hits == []


async def test_failing_model_fails_the_search_but_not_the_keywords(
    store: SqliteStore, runner: Runner
) -> None:
    await fill(store, TEXTS)
    runner.error = OutageError("no model", dependency="embedder")
    with pytest.raises(OutageError):
        await Search(store, runner).search(SearchRequest("profit"))
    assert (await Search(store, runner).search(SearchRequest("profit", mode="keyword"))).hits


class ClosedStore:
    """A store that cannot be reached."""

    capabilities = frozenset((Capability.KEYWORDS,))

    async def search(self, query: Query) -> list[Hit]:
        raise OutageError("down", dependency="store:x")


async def test_failing_store_fails_the_search_and_leaves_no_task(runner: Runner) -> None:
    with pytest.raises(OutageError, match="down"):
        await Search(ClosedStore(), runner).search(SearchRequest("profit"))  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def hit(id: int, score: float) -> Hit:
    return Hit(DocumentKey("c", str(id)), 0, 1, f"text {id}", score, {})


sides = st.dictionaries(st.integers(0, 30), st.floats(-5, 20), max_size=20).map(
    lambda found: sorted((hit(i, s) for i, s in found.items()), key=lambda h: -h.score)
)


@given(sides, sides)
def test_fusion_is_a_convex_sum(dense: list[Hit], keyword: list[Hit]) -> None:
    fused = fuse("hybrid", dense, keyword)
    assert {f.key for f in fused} == {h.key for h in (*dense, *keyword)}
    assert all(0 <= f.score <= 1 for f in fused)
    assert [f.score for f in fused] == sorted((f.score for f in fused), reverse=True)
    given_scores = [{h.key: h.score for h in side} for side in (dense, keyword)]
    for f in fused:
        assert (f.dense, f.keyword) == tuple(side.get(f.key) for side in given_scores)
    if dense and keyword and dense[0].key == keyword[0].key:
        assert fused[0].score == pytest.approx(1)


def test_fusion_by_hand() -> None:
    dense = [hit(1, 0.9), hit(2, 0.5), hit(3, 0.1)]
    keyword = [hit(2, 8.0), hit(4, 2.0)]
    scores = {f.key.id: f.score for f in fuse("hybrid", dense, keyword)}
    assert scores == pytest.approx({"2": 0.75, "1": 0.5, "3": 0.0, "4": 0.0})
    assert list(scores)[:2] == ["2", "1"]
    equal = fuse("hybrid", [hit(1, 0.3), hit(2, 0.3)], [])
    assert [f.score for f in equal] == [0.5, 0.5]


class Wordless:
    """A store without words."""

    name = "wordless"
    capabilities = frozenset(Capability) - {Capability.KEYWORDS, Capability.CANDIDATES}

    def __init__(self, store: SqliteStore) -> None:
        self.search = store.search


async def test_a_store_without_words_answers_by_vectors_and_says_so(
    store: SqliteStore, runner: Runner
) -> None:
    await fill(store, {"a": ["net profit"], "b": ["loss"]})
    search = Search(Wordless(store), runner)  # type: ignore[arg-type]
    found = await search.search(SearchRequest("profit", k=2))
    assert (found.mode, len(found.hits)) == ("dense", 2)
    assert all(hit.keyword is None for hit in found.hits)
    with pytest.raises(InvalidRecord, match="mode: expected dense, as the store wordless has no"):
        await search.search(SearchRequest("profit", mode="keyword"))


class Whole:
    """A store without candidates."""

    capabilities = frozenset(Capability) - {Capability.CANDIDATES}

    def __init__(self, store: SqliteStore) -> None:
        self.search = store.search


async def test_candidates_give_the_hits_that_whole_lists_give(
    store: SqliteStore, runner: Runner
) -> None:
    texts = {f"d{n}": [f"net profit w{n % 7} x{n % 5}", f"loss x{n % 3}"] for n in range(400)}
    await fill(store, texts, metadata={"year": 2024})
    whole: Any = Whole(store)
    for request in (
        SearchRequest("net profit w3", k=7),
        SearchRequest("loss x1 w2", k=3, filters={"year": 2024}, collection="news"),
        SearchRequest("unknown", k=3),
    ):
        expected = (await Search(whole, runner).search(request)).hits
        found = (await Search(store, runner).search(request)).hits
        assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected])
        for hit in found:  # ties may come in another order
            assert (hit.text in texts[hit.key.id], hit.chunk_count) == (True, 2)
            assert (hit.metadata, hit.key.collection) == ({"year": 2024}, "news")
            assert hit.dense is not None or hit.keyword is not None


async def test_passage_that_goes_between_score_and_reading_makes_room(
    store: SqliteStore, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, TEXTS)
    read = store.hits

    async def later(scores: Any) -> Any:
        monkeypatch.setattr(store, "hits", read)
        await store.apply([delete("profit", version(2))])
        return await read(scores)

    monkeypatch.setattr(store, "hits", later)
    found = (await Search(store, runner).search(SearchRequest("net profit rose", k=2))).hits
    assert len(found) == 2
    assert "profit" not in {hit.key.id for hit in found}
