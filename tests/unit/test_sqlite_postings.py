"""Words' lists in memory rank as FTS5 does, whatever is written between two searches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.store_kit import delete, put, version
from tickertape.stores.base import Mode, Query
from tickertape.stores.sqlite import keyword, postings, schema, write
from tickertape.stores.sqlite.postings import Postings, add_up
from tickertape.stores.sqlite.query import Searcher

WORDS = ("tax", "margin", "margins", "debt", "capex", "café", "10", "k")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    yield from opened(tmp_path / "test.db")


def opened(path: Path) -> Iterator[apsw.Connection]:
    connection = schema.connect(path, lambda calls: False)
    schema.create(connection)
    yield connection
    connection.close()


def by_fts5(db: apsw.Connection, text: str) -> dict[int, float]:
    match = " OR ".join(f'"{word}"' for word in keyword.words(db, text))
    sql = "SELECT rowid, -rank FROM passages_fts WHERE passages_fts MATCH ?"
    return dict(db.execute(sql, (match,)).fetchall())


def by_lists(db: apsw.Connection, held: Postings, text: str) -> dict[int, float]:
    ids, scores = held.scored(db, keyword.words(db, text))
    assert (np.diff(ids) > 0).all()
    return dict(zip(ids.tolist(), scores.tolist(), strict=True))


def check(db: apsw.Connection, held: Postings, text: str, drift: float = 1e-3) -> None:
    expected, found = by_fts5(db, text), by_lists(db, held, text)
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=drift)


def test_scores_are_those_of_fts5(db: apsw.Connection) -> None:
    texts = ["tax " * n + "debt margin " * (n % 3) + "filler " * (n % 7) for n in range(1, 40)]
    write.apply(
        db, [put(f"d{n}", text, metadata={"title": "debt"}) for n, text in enumerate(texts)]
    )
    for text in ("tax", "tax debt margins", "filler capex", "unknown", "the"):
        check(db, Postings(), text)


documents = st.lists(
    st.tuples(
        st.integers(0, 9), st.lists(st.sampled_from(WORDS), max_size=8), st.sampled_from(WORDS)
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(documents, min_size=1, max_size=6), bounds=st.sampled_from([1, 3, 10_000]))
def test_lists_follow_every_change(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[list[tuple[int, list[str], str]]],
    bounds: int,
) -> None:
    """With bounds that are passed at once, and never. An empty text deletes."""
    for db in opened(tmp_path_factory.mktemp("postings") / "test.db"):
        held = Postings()
        with pytest.MonkeyPatch.context() as patch:
            for name in ("REMOVALS_HELD", "STEP_MIN", "POSTINGS_MAX", "WORDS_MAX", "SPAN_MIN"):
                patch.setattr(postings, name, bounds)
            patch.setattr(write, "REMOVALS_MAX", bounds)
            for number, step in enumerate(steps, 1):
                write.apply(
                    db,
                    [
                        put(f"d{id}", " ".join(text), at=version(number), metadata={"title": title})
                        if text
                        else delete(f"d{id}", version(number))
                        for id, text, title in step
                    ],
                )
                for asked in ("tax margin", "debt", " ".join(WORDS)):
                    # Impacts were taken at the mean length of then
                    check(db, held, asked, drift=1.0)


@given(
    lists=st.lists(
        st.dictionaries(st.integers(1, 10**9) | st.integers(1, 50), st.integers(1, 99)).filter(bool)
    )
)
def test_sums_are_by_id(lists: list[dict[int, int]]) -> None:
    expected: dict[int, int] = {}
    for one in lists:
        for id, score in one.items():
            expected[id] = expected.get(id, 0) + score
    arrays = [
        (np.array(sorted(one)), np.array([one[id] for id in sorted(one)], np.float32))
        for one in lists
    ]
    ids, scores = add_up(arrays)
    assert ids.tolist() == sorted(expected)
    assert scores.tolist() == [expected[id] for id in sorted(expected)]


def test_reader_with_an_older_snapshot_takes_nothing_back(
    db: apsw.Connection, tmp_path: Path
) -> None:
    write.apply(db, [put("a", "tax"), put("c", "debt")])
    held = Postings()
    old = schema.connect(tmp_path / "test.db", lambda calls: False)
    old.execute("BEGIN")
    check(old, held, "tax")
    write.apply(db, [put("b", "tax tax"), delete("a", version(2))])
    check(db, held, "tax")
    assert by_lists(old, held, "tax").keys() == by_fts5(db, "tax").keys()
    check(db, held, "tax")
    old.execute("ROLLBACK")
    old.close()


def test_what_an_older_snapshot_lists_is_removed_when_another_knows_it_is_gone(
    db: apsw.Connection, tmp_path: Path
) -> None:
    held = Postings()
    write.apply(db, [put("a", "tax"), put("b", "tax margin")])
    older = schema.connect(tmp_path / "test.db", lambda calls: False)
    older.execute("BEGIN")
    older.execute("SELECT 1 FROM documents").fetchall()
    write.apply(db, [delete("a", version(2))])
    by_lists(db, held, "margin")  # knows of the removal, and has not read the other word yet
    by_lists(older, held, "tax")
    older.execute("ROLLBACK")
    older.close()
    assert by_lists(db, held, "tax").keys() == by_fts5(db, "tax").keys()


def test_list_that_fell_far_behind_is_read_anew(
    db: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "STEP_MIN", 5)
    held = Postings()
    write.apply(db, [put("a", "tax"), put("b", "debt")])
    check(db, held, "tax debt")
    write.apply(db, [put(f"d{n}", "tax " * n) for n in range(1, 30)])
    check(db, held, "tax debt")


def test_what_is_gone_does_not_shorten_the_list(db: apsw.Connection, tmp_path: Path) -> None:
    """A reader behind the lists finds chunks in them that its snapshot lacks, and passes on."""
    write.apply(db, [put(f"old{n}", "tax and other words") for n in range(20)])
    searcher = Searcher()
    query = Query(Mode.KEYWORD, 20, text="tax")
    old = schema.connect(tmp_path / "test.db", lambda calls: False)
    old.execute("BEGIN")
    old.execute("SELECT count(*) FROM chunks").fetchall()
    monkey = [put(f"new{n}", "tax") for n in range(200)]
    write.apply(db, monkey)
    assert all(hit.key.id.startswith("new") for hit in searcher.search(db, query))
    seen = keyword.search(old, searcher._postings, query, None)
    assert len(seen) == 20
    assert {id for id, _ in seen} == {id for (id,) in old.execute("SELECT id FROM chunks")}
    old.execute("ROLLBACK")
    old.close()


def test_filters_hold_for_what_ranks_far_below(db: apsw.Connection) -> None:
    """More chunks rank above than a filter is tried on first."""
    write.apply(db, [put(f"n{n}", "tax", metadata={"side": "near"}) for n in range(1500)])
    write.apply(db, [put(f"f{n}", "tax and so on", metadata={"side": "far"}) for n in range(7)])
    query = Query(Mode.KEYWORD, 5, text="tax", filters={"side": "far"})
    found = Searcher().search(db, query)
    assert len(found) == 5
    assert all(hit.key.id.startswith("f") for hit in found)
    assert Searcher().search(db, Query(Mode.KEYWORD, 5, text="tax", filters={"side": "x"})) == []
