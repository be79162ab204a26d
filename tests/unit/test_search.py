"""Search over a real store with a small embedder, and the fusion of both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.contract.store_kit import delete, put, vector_of, version
from tickertape import search as module
from tickertape.documents import Vector
from tickertape.errors import InvalidRecord, OutageError
from tickertape.search import Search, SearchRequest
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
        assert {hit.key.id for hit in hits} == {"profit", "mix"}
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


class Wordless:
    """A store without words."""

    name = "wordless"
    capabilities = frozenset({Capability.ATOMIC})

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

    capabilities = frozenset((Capability.KEYWORDS, Capability.WEIGHTS))

    def __init__(self, store: SqliteStore) -> None:
        self.search = store.search
        self.question_weight = store.question_weight


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
    found = (await Search(store, runner).search(SearchRequest("net loss profit", k=2))).hits
    assert len(found) == 2
    assert "profit" not in {hit.key.id for hit in found}


CALLS = {
    "acme-q1": {"company": "Acme Corp.", "ticker": "ON", "period": "Q1 2021"},
    "acme-q2": {"company": "Acme Corp.", "ticker": "ON", "period": "Q2 2021"},
    "bolt-q2": {"company": "Bolt Industries", "ticker": "BLT", "quarter": 2, "year": 2021},
}


@pytest.fixture
async def calls(store: SqliteStore) -> SqliteStore:
    for id, metadata in CALLS.items():
        await fill(store, {id: ["net profit rose", "the board met"]}, metadata=metadata)
    return store


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("Acme net profit in the second quarter of 2021", "acme-q2"),
        ("net profit of ON in Q1 2021", "acme-q1"),
        ("Bolt net profit 2021", "bolt-q2"),
    ],
)
async def test_what_the_question_names_comes_first_and_alone_where_that_is_asked(
    calls: SqliteStore, runner: Runner, query: str, first: str, whole: bool
) -> None:
    wanted: Any = Whole(calls) if whole else calls
    if whole:
        wanted.capabilities |= {Capability.FIELDS}
        wanted.known_fields = calls.known_fields
    search = Search(wanted, runner)
    found = await search.search(SearchRequest(query, k=10))
    assert found.hits[0].key.id == first
    assert found.read.companies
    assert found.read.periods
    alone = await search.search(SearchRequest(query, k=10, reading="filter"))
    assert {hit.key.id for hit in alone.hits} == {first}
    for hit in alone.hits:  # the same passage has the same score, whatever else there is
        other = next(o for o in found.hits if (o.key, o.ordinal) == (hit.key, hit.ordinal))
        assert hit.score == pytest.approx(other.score)
    off = await search.search(SearchRequest(query, k=10, reading="off"))
    assert {hit.key.id for hit in off.hits} == set(CALLS)
    assert (*off.read.companies, *off.read.periods) == ()


async def test_one_sided_modes_filter_by_what_the_question_names_only_when_asked(
    calls: SqliteStore, runner: Runner
) -> None:
    for mode in ("dense", "keyword"):
        request = SearchRequest("Bolt net profit", mode=mode, k=10)
        assert len({hit.key.id for hit in (await Search(calls, runner).search(request)).hits}) > 1
        alone = await Search(calls, runner).search(replace(request, reading="filter"))
        assert {hit.key.id for hit in alone.hits} == {"bolt-q2"}


async def test_what_answers_nothing_is_no_hit(store: SqliteStore, runner: Runner) -> None:
    await fill(store, {f"d{n}": [f"net profit rose by {n}"] for n in range(50)})
    found = (await Search(store, runner).search(SearchRequest("zebra quagga", k=10))).hits
    assert not found
    found = (await Search(store, runner).search(SearchRequest("profit rose by 7", k=1))).hits
    assert found[0].key.id == "d7"
    assert found[0].score > 0.8


async def test_hits_are_grouped_and_have_their_neighbours(
    store: SqliteStore, runner: Runner
) -> None:
    texts = ["cash", "net profit rose", "net profit", "debt", "profit"]
    await fill(store, {"a": texts, "b": ["net profit rose"]})
    request = SearchRequest("net profit rose", k=5, group=1, neighbours=1)
    hits = (await Search(store, runner).search(request)).hits
    assert sorted(hit.key.id for hit in hits) == ["a", "b"]
    (hit,) = (hit for hit in hits if hit.key.id == "a")
    assert (hit.text, list(hit.before), list(hit.after)) == (texts[1], ["cash"], ["net profit"])
    assert [other.text for other in hit.others] == ["net profit"]
    assert hit.excerpt == "net profit rose"
    for change in ({"group": -1}, {"group": 21}, {"neighbours": 6}, {"reading": "all"}):
        with pytest.raises(InvalidRecord, match=next(iter(change))):
            await Search(store, runner).search(replace(request, **change))


async def test_a_field_that_is_spelt_like_one_is_told_and_a_field_of_ours_never(
    calls: SqliteStore, runner: Runner
) -> None:
    search = Search(calls, runner)
    with pytest.raises(InvalidRecord, match="did you mean company") as caught:
        await search.search(SearchRequest("profit", filters={"compny": "Acme Corp."}))
    assert caught.value.field == "filters.compny"
    assert not (await search.search(SearchRequest("profit", filters={"who": "acme"}))).hits


async def test_a_heading_alone_stands_behind_the_passage_under_it(
    store: SqliteStore, runner: Runner
) -> None:
    await fill(store, {"a": ["Cash", "Liquidity and capital", "We had liquidity of 5.", "Debt"]})
    await fill(store, {"b": ["board met today"], "c": ["net loss"]})
    hits = (await Search(store, runner).search(SearchRequest("liquidity and capital"))).hits
    assert [(hit.key.id, hit.ordinal) for hit in hits[:2]] == [("a", 2), ("a", 1)]
    assert hits[0].score > hits[1].score


async def test_a_store_that_does_not_know_its_fields_prefers_among_what_it_finds(
    calls: SqliteStore, runner: Runner
) -> None:
    plain: Any = Whole(calls)
    for query, first in (("Bolt net profit", "bolt-q2"), ("ON net profit in Q1 2021", "acme-q1")):
        hits = (await Search(plain, runner).search(SearchRequest(query, k=10))).hits
        assert hits[0].key.id == first
