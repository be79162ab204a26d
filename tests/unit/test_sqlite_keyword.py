"""What the embedded store's keyword search and filters do beyond the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import apsw
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


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("AT&T", "att"),
        ("at&t", "att"),
        ("AT&amp;T", "att"),
        ("ON missed estimates third quarter", "on"),
        ("NOW beat estimates", "now"),
        ("COST beat estimates", "costco"),
        ("S&P 500", "index"),
        ("profit of the office", "ligature"),
        ("guidance revenue withdrawn", "hyphens"),
        ("Halvorsen", "zero width"),
        ("\uff21\uff34\uff06\uff34", "att"),
        ("caf\u00e9 7596", "wide"),
        ("淨利", "chinese"),
        ("営業利益", "japanese"),
        ("영업이익", "korean"),
    ],
)
async def test_words_are_found_as_a_reader_reads_them(
    store: SqliteStore, query: str, first: str
) -> None:
    await store.apply(
        [
            put("contractions", "We can't and they don't. At last. It's on now at the t junction."),
            put("att", "AT&T added 400,000 fibre customers."),
            put("other", "Nordstrom missed estimates for the third quarter; costs beat estimates."),
            put("on", "ON Semiconductor (ON) missed estimates for the third quarter, it said."),
            put("now", "Margins beat estimates on licences.", metadata={"ticker": "NOW"}),
            put("costco", "Margins beat estimates; fees rose.", metadata={"ticker": "COST"}),
            put("index", "The S&P 500 fell."),
            put("500", "The 500 of S. and P. are plants."),
            put("ligature", "The o\ufb03ce reported a pro\ufb01t."),
            put("hyphens", "Full-year guid\u00adance for rev-\nenue was with\u00addrawn."),
            put("zero width", "Halvor\u200bsen Marine."),
            put("wide", "cafe\u0301 \uff17\uff15\uff19\uff16"),
            put("chinese", "台積電第三季營收為新台幣7900億元，淨利成長三成。"),  # noqa: RUF001
            put("japanese", "トヨタの営業利益は前年比で二割増えた。"),
            put("korean", "삼성전자의 영업이익이 증가했다."),
        ]
    )
    assert ids(await keyword(store, query))[0] == first


async def test_words_of_an_older_file_are_indexed_anew(store: SqliteStore, tmp_path: Path) -> None:
    """A file of schema 1 held the words as FTS5 alone cut them."""
    await store.apply(
        [
            put("att", "AT&T added customers.", metadata={"title": "o\ufb03ce", "ticker": "ON"}),
            put("surrogate", "with\u00addrawn \ud800"),
        ]
    )
    await store.stop()
    db = apsw.Connection(str(tmp_path / "tickertape.db"))
    db.execute("DELETE FROM passages_fts")
    db.execute("INSERT INTO passages_fts (rowid, text, title) VALUES (1, 'AT&T added', 'x')")
    db.execute("ALTER TABLE documents DROP COLUMN editions; DROP TABLE deletes")
    db.pragma("user_version", 1)
    db.close()

    await store.start()
    assert ids(await keyword(store, "at&t")) == ["att"]
    assert ids(await keyword(store, "office")) == ["att"]
    assert ids(await keyword(store, "withdrawn")) == ["surrogate"]
    assert ids(await keyword(store, "x")) == []
    await store.stop()
    await store.start()  # once is enough
    assert ids(await keyword(store, "ON")) == ["att"]
