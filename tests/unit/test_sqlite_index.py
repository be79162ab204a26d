"""The index in memory follows the file, whoever writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import numpy as np
import pytest

from tests.contract.store_kit import delete, put, vector_of, version
from tickertape.stores.sqlite import index, schema, write
from tickertape.stores.sqlite.index import Index


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = schema.connect(tmp_path / "test.db", lambda calls: False)
    schema.create(connection)
    yield connection
    connection.close()


def new_index(db: apsw.Connection) -> Index:
    return Index(*db.execute("SELECT id, dimension FROM spaces").fetchall()[0])


def chunk_ids(db: apsw.Connection) -> list[int]:
    return [id for (id,) in db.execute("SELECT id FROM chunks ORDER BY id")]


def held(found: Index, db: apsw.Connection) -> list[int]:
    return found.follow(db).nearest(vector_of("x"), 10_000).tolist()


def test_chunk_ids_only_grow(db: apsw.Connection) -> None:
    """Else a reader that follows by the last id seen would miss a change."""
    greatest = 0
    for number in range(1, 6):
        write.apply(db, [put("a", "same", "same again", at=version(number))])
        ids = chunk_ids(db)
        assert min(ids) > greatest
        greatest = max(ids)
        write.apply(db, [delete("a", version(number))])


def test_follows_additions_and_removals(db: apsw.Connection) -> None:
    write.apply(db, [put("a", "one", "two")])
    followed = new_index(db)
    assert held(followed, db) == chunk_ids(db)
    write.apply(db, [put("b", "three"), delete("a", version(2))])
    write.apply(db, [put("b", "four", "five", at=version(3)), put("c", "other", model="m2")])
    assert held(followed, db) == chunk_ids(db)[:2]


def test_loads_more_than_a_page(db: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "PAGE", 7)
    write.apply(db, [put(f"d{n}", "one", "two") for n in range(25)])
    assert held(new_index(db), db) == chunk_ids(db)
    assert len(chunk_ids(db)) == 50


def test_reader_with_an_older_snapshot_takes_nothing_back(
    db: apsw.Connection, tmp_path: Path
) -> None:
    write.apply(db, [put("a", "one")])
    followed = new_index(db)
    old = schema.connect(tmp_path / "test.db", lambda calls: False)
    old.execute("BEGIN")
    assert len(held(followed, old)) == 1
    write.apply(db, [put("b", "two"), delete("a", version(2))])
    assert held(followed, db) == chunk_ids(db)
    assert held(followed, old) == chunk_ids(db)
    old.execute("ROLLBACK")
    old.close()


def test_loads_anew_when_the_log_of_removals_was_cut(
    db: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "REMOVALS_MAX", 3)
    write.apply(db, [put(f"d{n}", "one", "two") for n in range(10)])
    followed = new_index(db)
    assert len(held(followed, db)) == 20
    for n in range(9):
        write.apply(db, [delete(f"d{n}", version(2))])
    assert db.execute("SELECT count(*) FROM removals").get == 3
    assert held(followed, db) == chunk_ids(db)


def test_dimension_may_change_once_a_space_is_empty(db: apsw.Connection) -> None:
    write.apply(db, [put("a", "one")])
    wider = [np.ones(24, np.float32)]
    (refused,) = write.apply(db, [put("b", "two", vectors=wider)])
    assert isinstance(refused, Exception)
    write.apply(db, [delete("a", version(2)), put("b", "two", vectors=wider)])
    (space, dimension) = db.execute("SELECT id, dimension FROM spaces").fetchall()[0]
    assert (dimension, len(chunk_ids(db))) == (24, 1)
    assert len(Index(space, dimension).follow(db)) == 1


def test_nothing_is_left_of_a_deleted_document(db: apsw.Connection) -> None:
    write.apply(db, [put("a", "secret", metadata={"secret": "s"}, source="s")])
    write.apply(db, [delete("a", version(2))])
    for table in ("chunks", "passages", "fields", "summaries"):
        assert db.execute(f"SELECT count(*) FROM {table}").get == 0
    found = "SELECT count(*) FROM passages_fts WHERE passages_fts MATCH 'secret'"
    assert db.execute(found).get == 0
    assert db.execute("SELECT metadata, source, model FROM documents").get == ("{}", None, None)
    db.execute("INSERT INTO passages_fts (passages_fts) VALUES ('integrity-check')")
    assert db.execute("PRAGMA integrity_check").get == "ok"
