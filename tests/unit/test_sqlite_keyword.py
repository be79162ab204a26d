"""What the embedded store's keyword search and filters do beyond the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.store_kit import ids, keyword, put
from tickertape.settings import Settings
from tickertape.stores.sqlite import SqliteStore
from tickertape.stores.sqlite import keyword as keyword_search


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(Settings(data_dir=tmp_path))
    await opened.start()
    yield opened
    await opened.stop()


async def test_title_company_and_ticker_are_searched(store: SqliteStore) -> None:
    await store.apply(
        [
            put("titled", "margins fell", metadata={"title": "Annual report", "company": "Acme"}),
            put("ticker", "margins fell", metadata={"ticker": "XYZ", "title": 7}),
            put("other", "margins fell", metadata={"author": "Acme"}),
        ]
    )
    assert ids(await keyword(store, "acme")) == ["titled"]
    assert ids(await keyword(store, "xyz")) == ["ticker"]
    assert ids(await keyword(store, "annual margins"))[0] == "titled"


async def test_word_in_the_title_counts_more_than_in_the_passage(store: SqliteStore) -> None:
    await store.apply(
        [
            put("about", "margins fell in spring", metadata={"company": "Acme"}),
            put("mention", "margins fell, unlike Acme", metadata={"company": "Other"}),
        ]
    )
    assert ids(await keyword(store, "acme margins")) == ["about", "mention"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10-K", {"form"}),
        ("EARNINGS", {"call"}),
        ("earn", {"call"}),  # stemmed
        ("cafe", {"accent"}),
        ("margins up", {"up"}),  # a word of direction is no stop word
        ("the and of", set()),
    ],
)
async def test_words_are_matched_as_a_reader_would(
    store: SqliteStore, text: str, found: set[str]
) -> None:
    texts = {"form": "form 10-K filed", "call": "earnings call", "accent": "café", "up": "2 % up"}
    await store.apply([put(id, passage) for id, passage in texts.items()])
    assert set(ids(await keyword(store, text))) == found


async def test_filter_matches_an_element_of_a_list(store: SqliteStore) -> None:
    await store.apply(
        [
            put("a", "word", metadata={"tags": ["q1", "guidance"], "who": [{"role": "ceo"}]}),
            put("b", "word", metadata={"tags": ["q2"], "who": [{"role": "cfo"}, {"role": "ir"}]}),
        ]
    )
    assert ids(await keyword(store, "word", filters={"tags": "guidance"})) == ["a"]
    assert ids(await keyword(store, "word", filters={"who.role": ["ir", "chair"]})) == ["b"]


@given(
    scores=st.lists(st.integers(1, 40), min_size=1, max_size=3000),
    repeated=st.integers(1, 4),
    count=st.integers(1, 260),
)
def test_the_best_are_the_best_whatever_their_number(
    scores: list[int], repeated: int, count: int
) -> None:
    """Among many a first bound comes from a sample; of equals the first come first."""
    held = np.array(scores * repeated, np.float32)
    expected = np.lexsort((np.arange(len(held)), -held))[:count]
    found = keyword_search._best(np.arange(len(held)), held, count)
    assert found.tolist() == expected.tolist()


def test_the_best_of_many() -> None:
    held = np.random.default_rng(1).integers(1, 500, 50_000).astype(np.float32)
    expected = np.lexsort((np.arange(len(held)), -held))[:250]
    found = keyword_search._best(np.arange(len(held)), held, 250)
    assert found.tolist() == expected.tolist()
