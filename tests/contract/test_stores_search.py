"""Every store finds the same: dense as brute force does, keyword by words, filters exactly."""

from __future__ import annotations

import numpy as np
import pytest

from tests.contract.store_kit import (
    MODEL,
    clustered,
    delete,
    dense,
    ids,
    key,
    keyword,
    put,
    vector_of,
    version,
)
from tickertape.errors import PermanentError
from tickertape.stores.base import Store

ROWS, SIZE = 6000, 64
RECALL_MIN = 0.97


async def fill(store: Store, rows: int = ROWS, chunks: int = 4) -> np.ndarray:
    """Store clustered vectors, several chunks a document; row n is chunk n % 4 of d{n // 4}."""
    vectors = clustered(rows, rows // 60, SIZE)
    puts = [
        put(
            f"d{n}",
            *(f"text {n} {c}" for c in range(chunks)),
            vectors=vectors[n * chunks : (n + 1) * chunks],
            metadata={"group": n % 500, "half": n % 2, "in": {"ner": f"v{n % 3}"}},
            collection=f"c{n % 2}",
        )
        for n in range(rows // chunks)
    ]
    for low in range(0, len(puts), 250):
        await store.apply(puts[low : low + 250])
    return vectors


def best(vectors: np.ndarray, vector: np.ndarray, limit: int, rows: np.ndarray) -> set[int]:
    """Brute force: the rows of greatest cosine among ``rows``."""
    scores = vectors[rows] @ vector
    return set(rows[np.argsort(-scores)[:limit]].tolist())


async def test_dense_finds_what_brute_force_finds(store: Store) -> None:
    vectors = await fill(store)
    everything = np.arange(ROWS)
    documents = everything // 4
    cases = [
        ({}, everything),
        ({"collection": "c1"}, everything[documents % 2 == 1]),
        ({"filters": {"half": 0}}, everything[documents % 2 == 0]),
        ({"filters": {"group": 7}}, everything[documents % 500 == 7]),
        (
            {"collection": "c0", "filters": {"in.ner": ["v1", "v2"], "half": [0, 5]}},
            everything[(documents % 2 == 0) & (documents % 3 > 0)],
        ),
    ]
    for more, rows in cases:
        recalls = []
        for vector in clustered(20, ROWS // 60, SIZE, seed=0):
            hits = await dense(store, vector, 10, **more)
            found = {int(hit.key.id[1:]) * 4 + hit.ordinal for hit in hits}
            assert len(hits) == 10
            assert found <= set(rows.tolist())
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
            recalls.append(len(found & best(vectors, vector, 10, rows)) / 10)
        assert np.mean(recalls) >= RECALL_MIN, more


async def test_dense_finds_what_brute_force_finds_among_wide_vectors(store: Store) -> None:
    rows, size = 5000, 384
    vectors = clustered(rows, rows // 60, size)
    puts = [put(f"d{n}", f"t{n}", vectors=[vectors[n]]) for n in range(rows)]
    for low in range(0, rows, 1000):
        await store.apply(puts[low : low + 1000])
    for limit in (10, 100):
        recalls = []
        for vector in clustered(20, rows // 60, size):
            found = {int(hit.key.id[1:]) for hit in await dense(store, vector, limit)}
            assert len(found) == limit
            recalls.append(len(found & best(vectors, vector, limit, np.arange(rows))) / limit)
        assert np.mean(recalls) >= RECALL_MIN, limit


async def test_dense_score_is_the_cosine(store: Store) -> None:
    """Other embedders' vectors are not normalised; sizes that overflow float32 are no exception."""
    one = np.eye(4, dtype=np.float32)[0]
    half = np.array([1, 0, np.sqrt(3), 0], dtype=np.float32)
    vectors = {"same": one * 7, "sixty": half * 1e30, "opposite": -one, "none": one * 0}
    await store.apply([put(id, id, vectors=[vector]) for id, vector in vectors.items()])
    scores = {hit.key.id: hit.score for hit in await dense(store, one * 3)}
    assert scores == pytest.approx({"same": 1, "sixty": 0.5, "none": 0, "opposite": -1}, abs=1e-6)


async def test_selective_filter_far_from_the_query_still_fills_the_list(store: Store) -> None:
    near, far = np.ones(32, np.float32), -np.ones(32, np.float32)
    puts = [put(f"n{n}", "x", vectors=[near], metadata={"side": "near"}) for n in range(3000)]
    puts += [put(f"f{n}", "x", vectors=[far], metadata={"side": "far"}) for n in range(12)]
    await store.apply(puts)
    hits = await dense(store, near, 10, filters={"side": "far"})
    assert len(hits) == 10
    assert all(hit.key.id.startswith("f") for hit in hits)
    assert len(await dense(store, near, 100, filters={"side": "far"})) == 12


async def test_only_vectors_of_the_same_model_are_compared(store: Store) -> None:
    vector = vector_of("x")
    await store.apply(
        [
            put("ours", "x", vectors=[vector]),
            put("int8", "x", vectors=[vector], model="tests/model@int8"),
            put("large", "x", vectors=[vector_of("x", 64)], model="tests/large@fp32"),
        ]
    )
    assert ids(await dense(store, vector)) == ["ours"]
    assert ids(await dense(store, vector, model="tests/model@int8")) == ["int8"]
    assert await dense(store, vector, model="tests/unknown@fp32") == []
    with pytest.raises(PermanentError, match="vector"):
        await dense(store, vector_of("x", 64))
    with pytest.raises(PermanentError, match="vector"):
        await dense(store, vector * np.float32("nan"))


async def test_search_follows_every_change(store: Store) -> None:
    """Searched between the writes, so that nothing a store keeps in memory goes stale."""
    assert await dense(store, vector_of("one")) == []
    await store.apply([put("a", "one")])
    assert (await dense(store, vector_of("one")))[0].score == pytest.approx(1, abs=1e-5)
    await store.apply([put("a", "two", at=version(2)), put("b", "three")])
    (first, second) = await dense(store, vector_of("two"))
    assert (first.text, first.score) == ("two", pytest.approx(1, abs=1e-5))
    assert second.text == "three"
    await store.apply([delete("a", version(3))])
    assert ids(await dense(store, vector_of("two"))) == ["b"]


async def test_documents_written_a_thousand_times_hide_nothing(store: Store) -> None:
    vector = vector_of("hot")
    await store.apply([put("quiet", "quiet", vectors=[vector])])
    for n in range(30):
        operations = [put(f"hot{m}", "hot", at=version(n), vectors=[vector]) for m in range(100)]
        await store.apply(operations)
        await dense(store, vector, 5)
    await store.apply([delete(f"hot{m}", version(99)) for m in range(100)])
    assert ids(await dense(store, vector)) == ["quiet"]


async def test_hit_says_all_that_is_known(store: Store) -> None:
    metadata = {"title": "Q1", "company": "Acme", "ticker": "ACM", "document_type": "10-Q"}
    await store.apply([put("a", "first words", "second words", metadata=metadata)])
    for hits in (await dense(store, vector_of("second words")), await keyword(store, "second")):
        assert (hits[0].key, hits[0].ordinal, hits[0].chunk_count) == (key("a"), 1, 2)
        assert (hits[0].text, hits[0].metadata) == ("second words", metadata)


async def test_limit_is_kept(store: Store) -> None:
    await store.apply([put(f"d{n}", "same words") for n in range(30)])
    for limit in (0, 1, 7, 30, 1000):
        assert len(await dense(store, vector_of("x"), limit)) == min(limit, 30)
        assert len(await keyword(store, "words", limit)) == min(limit, 30)


async def test_keyword_ranks_by_matching_words(store: Store) -> None:
    await store.apply(
        [
            put("both", "Revenue rose while margins were flat."),
            put("one", "Revenue was reported on Tuesday."),
            put("none", "The board met on Tuesday."),
        ]
    )
    hits = await keyword(store, "what revenues, and margins?")
    assert ids(hits) == ["both", "one"]
    assert hits[0].score > hits[1].score > 0


async def test_rare_word_counts_more(store: Store) -> None:
    await store.apply([put(f"d{n}", "guidance is unchanged") for n in range(20)])
    await store.apply([put("rare", "impairment is unchanged")])
    assert ids(await keyword(store, "guidance impairment", 1)) == ["rare"]


@pytest.mark.parametrize(
    "text",
    [
        '"', '""', "NEAR(a b)", "text:secret", "secret*", "NOT secret", "a AND b OR", "(((", "^x",
        "{a b}: c", "-secret", "+", "\0", "\ud800", "' OR 1=1 --", "", "   ", "!?", "a" * 9000,
        "word " * 3000, " ".join(f"w{n}" for n in range(3000)),
    ],
)  # fmt: skip
async def test_keyword_text_is_never_syntax(store: Store, text: str) -> None:
    await store.apply([put("a", "secretary"), put("b", "a near word")])
    hits = await keyword(store, text)
    assert "a" not in ids(hits)  # a prefix search would find the secretary


async def test_keyword_of_stop_words_alone_is_searched(store: Store) -> None:
    await store.apply([put("who", "The Who: who are you"), put("other", "earnings")])
    assert ids(await keyword(store, "who are you")) == ["who"]


async def test_keyword_takes_the_filters_too(store: Store) -> None:
    await store.apply(
        [
            put("a", "revenue", metadata={"year": 2023}, collection="c1"),
            put("b", "revenue", metadata={"year": 2024}, collection="c1"),
            put("c", "revenue", metadata={"year": 2024}, collection="c2"),
        ]
    )
    assert ids(await keyword(store, "revenue", filters={"year": 2024}, collection="c1")) == ["b"]
    assert await keyword(store, "revenue", collection="c9") == []


METADATA = {
    "int": {"v": 2024},
    "float": {"v": 2024.0},
    "text": {"v": "2024"},
    "padded": {"v": "02024"},
    "other": {"v": 2025},
    "half": {"v": 0.5},
    "true": {"v": True},
    "null": {"v": None},
    "nested": {"v": {"w": {"x": "deep"}}},
    "dotted": {"v.w.x": "deep"},
    "quoted": {"a\"b'c": "q"},
    "long": {"v": "y" * 5000},
    "absent": {"w": 2024},
}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"v": 2024}, {"int", "float", "text"}),
        ({"v": "2024"}, {"int", "float", "text"}),
        ({"v": 2024.0}, {"int", "float", "text"}),
        ({"v": "02024"}, {"padded"}),
        ({"v": [2025, "0.5", "nothing"]}, {"other", "half"}),
        ({"v": []}, set()),
        ({"v": True}, {"true"}),
        ({"v": None}, {"null"}),
        ({"v.w.x": "deep"}, {"nested", "dotted"}),
        ({"v.w": "deep"}, set()),
        ({"a\"b'c": "q"}, {"quoted"}),
        ({"v": "y" * 5000}, {"long"}),
        ({"v": "y" * 4999}, set()),
        ({"unknown": 1}, set()),
        ({"v": 2024, "w": 1}, set()),
        ({"v": "2024' OR '1'='1"}, set()),
    ],
)
async def test_filters(store: Store, filters: dict[str, object], expected: set[str]) -> None:
    await store.apply([put(id, "words", metadata=tree) for id, tree in METADATA.items()])
    assert set(ids(await dense(store, vector_of("words"), 50, filters=filters))) == expected
    assert set(ids(await keyword(store, "words", 50, filters=filters))) == expected


async def test_filter_that_is_no_value_is_refused(store: Store) -> None:
    with pytest.raises(PermanentError, match=r"filters\.v"):
        await dense(store, vector_of("x"), filters={"v": {"$gt": 1}}, model=MODEL)
