"""A database that an earlier Tickertape wrote is opened, and what it remembers still holds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

from tests.contract.store_kit import (
    TOPIC,
    delete,
    dense,
    ids,
    key,
    keyword,
    numbered,
    part,
    put,
    vector_of,
    version,
)
from tickertape import facets
from tickertape.documents import Applied, StoredSummary
from tickertape.settings import Settings
from tickertape.stores.base import Counts
from tickertape.stores.sqlite import SqliteStore, reindex, schema, tables
from tickertape.stores.sqlite.store import FILE
from tickertape.versions import Stamp, Version

NOW = 1_764_000_000_000  # ms


def ddl_1() -> str:
    """The tables as version 1 had them."""
    text = re.sub("CREATE TABLE deletes.*deletes_expiry[^;]*;", "", tables.DDL, flags=re.DOTALL)
    text = without(text).replace(
        "    editions TEXT NOT NULL DEFAULT '', -- `Editions`, less the deletes\n", ""
    )
    return text.replace(
        "documents_key ON documents (key);", "documents_key ON documents (key, topic);"
    )


@pytest.fixture
def old(tmp_path: Path) -> Iterator[apsw.Connection]:
    db = apsw.Connection(str(tmp_path / FILE))
    db.execute(ddl_1())
    reindex.create(db)
    db.pragma("user_version", 1)
    yield db
    db.close()


def row(
    db: apsw.Connection, id: str, version: str, *, deleted: bool = False, offset: int = 7
) -> None:
    values: tuple[Any, ...] = (
        *("news", id, version, version, "" if deleted else "hash of 1", 0 if deleted else 1),
        *(deleted, TOPIC, 3, 7, None, time.time(), None, None if deleted else "m@fp32", "{}"),
    )
    db.execute(f"INSERT INTO documents VALUES (NULL{', ?' * len(values)})", values)


async def test_what_it_remembers_holds(old: apsw.Connection, tmp_path: Path) -> None:
    row(old, "stamped", f"{NOW}.7")
    row(old, "numbered", "5.7")
    row(old, "micro", f"{NOW * 1000}.7")
    row(old, "gone", f"{NOW}.7", deleted=True)
    row(old, "gone-by-number", "9.7", deleted=True)
    old.close()
    store = SqliteStore(Settings(data_dir=tmp_path))
    await store.start()
    try:
        found = {k.id: h for k, h in (await store.heads([key(n) for n in NAMES])).items()}
        assert found["stamped"].version == Version((), Stamp(NOW, 7, 3, TOPIC))
        assert found["numbered"].version.numbers == (5,)
        assert found["micro"].version.numbers == (NOW * 1000,)
        assert {id for id, head in found.items() if head.deleted} == {"gone", "gone-by-number"}

        def at(ms: int, *numbers: int) -> Version:
            return Version(numbers, Stamp(ms, ms % 10_000, 0, TOPIC))

        late = [put(id, "late", at=at(NOW - 5000)) for id in NAMES if "number" not in id]
        assert await store.apply(late) == [Applied.SUPERSEDED] * len(late)
        assert await store.apply([put("numbered", "late", at=numbered(4, NOW))]) == [
            Applied.SUPERSEDED
        ]
        later = int(time.time() * 1000) + 5000
        assert await store.apply([delete("micro", at(later), None)]) == [Applied.APPLIED]
        new = [put(id, f"new {id}", at=at(later + 1, 10)) for id in NAMES]
        assert await store.apply(new) == [Applied.APPLIED] * len(new)
        assert len(await keyword(store, "new")) == len(NAMES)
    finally:
        await store.stop()


async def test_a_document_in_parts_keeps_those_that_do_not_come_again(
    old: apsw.Connection, tmp_path: Path
) -> None:
    row(old, "parts", f"{NOW}.7")
    (id,) = old.execute("SELECT id FROM documents").fetchone() or ()
    old.execute("INSERT INTO spaces (model, dimension) VALUES (?, 16)", ("theirs",))
    old.execute("UPDATE documents SET model = 'theirs', chunk_count = 4")
    for number in range(4):
        chunk = (id, number, 1, number.to_bytes(16, "big"), 0, 6, b"\0\0")
        old.execute(
            'INSERT INTO chunks (document, ordinal, space, uuid, start, "end", bits)'
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            chunk,
        )
        vector = np.full(16, 0.25, np.float32).tobytes()
        passage = (old.last_insert_rowid(), vector, f"part {number}")
        old.execute("INSERT INTO passages VALUES (?, ?, ?)", passage)
    old.close()
    store = SqliteStore(Settings(data_dir=tmp_path))
    await store.start()
    try:
        at = Version((), Stamp(NOW + 1, 8, 3, TOPIC))
        newer = part("parts", 2, 4, "newer", at, "theirs")
        assert await store.apply([newer]) == [Applied.APPLIED]
        (found,) = await store.document("parts")
        assert [c.text for c in found.chunks] == ["part 0", "part 1", "newer", "part 3"]
    finally:
        await store.stop()


NAMES = ("stamped", "numbered", "micro", "gone", "gone-by-number")


async def test_a_database_of_a_later_version_is_refused(
    old: apsw.Connection, tmp_path: Path
) -> None:
    old.pragma("user_version", schema.VERSION + 1)
    old.close()
    with pytest.raises(Exception, match=f"its schema is {schema.VERSION + 1}"):
        await SqliteStore(Settings(data_dir=tmp_path)).start()


async def test_what_had_no_tenant_is_the_default_tenants(tmp_path: Path) -> None:
    """A file of version 3, with all that it may hold."""
    store = SqliteStore(Settings(data_dir=tmp_path))
    await store.start()
    await store.apply([put("a", "revenue rose"), put("gone", "x"), delete("gone", version(5))])
    await store.save_summaries([StoredSummary(key("a"), version(1), "hash", {"summary": "s"})])
    before = [await store.document(id) for id in ("a", "gone")]
    await store.stop()
    db = apsw.Connection(str(tmp_path / FILE))
    for name, (columns, indexes) in tables.OF_TENANTS.items():
        listed = [row[1] for row in db.execute(f"PRAGMA table_info({name})").fetchall()]
        kept = ", ".join(f'"{column}"' for column in listed if column != "tenant")
        for text in (
            f"CREATE TABLE old {without(columns)}",
            f"INSERT INTO old ({kept}) SELECT {kept} FROM {name}",
            f"DROP TABLE {name}",
            f"ALTER TABLE old RENAME TO {name}",
            without(indexes),
        ):
            db.execute(text)
    db.pragma("user_version", 3)
    db.close()
    await store.start()
    try:
        assert repr([await store.document(id) for id in ("a", "gone")]) == repr(before)
        assert ids(await keyword(store, "revenue")) == ["a"]
        assert ids(await dense(store, vector_of("revenue rose"))) == ["a"]
        assert key("a") in await store.summaries([key("a")])
        assert await store.apply([put("gone", "late", at=version(4))]) == [Applied.SUPERSEDED]
        assert await store.apply([put("a", "anew", at=version(9))]) == [Applied.APPLIED]
        assert await store.apply([put("a", "hers", tenant="hers")]) == [Applied.APPLIED]
        assert await store.count() == await store.count(tenant="hers") == Counts(1, 1)
    finally:
        await store.stop()


def without(ddl: str) -> str:
    return ddl.replace("    tenant TEXT NOT NULL,\n", "").replace("tenant, ", "")


async def test_words_and_fields_of_version_4_are_indexed_anew(tmp_path: Path) -> None:
    store = SqliteStore(Settings(data_dir=tmp_path))
    await store.start()
    metadata = {"company": "Acme Corp.", "period": "Q2 2021", "nested": {"x": [1, 2]}}
    await store.apply([put("a", "cost $4.2 billion", "in its 10-K", metadata=metadata)])
    await store.apply([put("gone", "x"), delete("gone", version(5))])
    await store.stop()
    db = apsw.Connection(str(tmp_path / FILE))
    fields = db.execute("SELECT * FROM fields ORDER BY 1, 2").fetchall()
    db.execute("DELETE FROM fields WHERE name < ' '")
    db.execute("UPDATE fields SET value = 'old ' || value")
    db.execute("DROP TABLE passages_fts")
    reindex.create(db)
    db.pragma("user_version", 4)
    await store.start()
    try:
        assert db.execute("SELECT * FROM fields ORDER BY 1, 2").fetchall() == fields
        assert ids(await keyword(store, "4,200 million")) == ["a"]
        assert ids(await keyword(store, "10K")) == ["a"]
        assert await store.known_fields([(facets.WHO, "acme"), (facets.WHO, "x")]) == {
            (facets.WHO, "acme")
        }
    finally:
        await store.stop()
        db.close()
