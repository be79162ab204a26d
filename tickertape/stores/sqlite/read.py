"""What reads the database, less the search. Every function runs on a reader's connection."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw
import numpy as np

from tickertape.documents import DocumentKey, Head, StoredChunk, StoredSummary
from tickertape.stores.base import StoredDocument
from tickertape.stores.metadata import load
from tickertape.stores.sqlite import ledger, values
from tickertape.stores.sqlite.ledger import bound
from tickertape.stores.sqlite.signbits import Ids
from tickertape.stores.window import IdDeletes, deleted_heads, of_document
from tickertape.versions import Origin, Version, read_version

HEAD = (
    "id, tenant, collection, key, version, content_version, content_hash, chunk_count, deleted,"
    ' topic, "partition", "offset", batch_id, updated_at, editions'
)


@contextmanager
def snapshot(db: apsw.Connection) -> Iterator[None]:
    """All statements inside see the same state."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def last_id(db: apsw.Connection, table: str) -> int:
    """The greatest id that the table ever gave out."""
    return int(db.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).get or 0)


def log_is_cut(db: apsw.Connection, seen: int) -> bool:
    """True where removals after ``seen``, the last one seen, are forgotten already."""
    first = db.execute("SELECT min(id) FROM removals").get
    return first is None or first > seen + 1


def ids(db: apsw.Connection, sql: str, bindings: Sequence[Any]) -> Ids:
    """Return the column ``id`` of a query, in one step of SQLite: each step waits for the GIL."""
    listed = db.execute(f"SELECT group_concat(id) FROM ({sql})", tuple(bindings)).get
    return np.fromstring(listed, dtype=np.int64, sep=",") if listed else np.zeros(0, np.int64)


def probe(db: apsw.Connection) -> None:
    """Read something."""
    db.execute("SELECT id FROM documents LIMIT 1").fetchall()


def heads(db: apsw.Connection, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
    """Return the heads there are, those too of which only a delete is known."""
    deletes = ledger.deletes_of(db, {(key.tenant, key.id) for key in keys})
    found = {head.key: head for head in (_head(r, deletes) for r in ledger.rows(db, HEAD, keys))}
    if deletes:
        unknown = (key for key in keys if key not in found)
        found |= {head.key: head for head in deleted_heads(unknown, deletes)}
    return found


def scan(db: apsw.Connection, after: str, limit: int, tenant: str) -> tuple[list[Head], str | None]:
    """Return heads by their row, which a document keeps, and the last row where there is more."""
    sql = f"SELECT {HEAD} FROM documents WHERE id > ? AND tenant = ? ORDER BY id LIMIT ?"
    with snapshot(db):
        rows = db.execute(sql, (int(after or 0), values.bind(tenant), limit)).fetchall()
        deletes = ledger.deletes_of(db, {(tenant, values.unbind(row[3])) for row in rows})
    return [_head(row, deletes) for row in rows], str(rows[-1][0]) if len(rows) == limit else None


def missing(db: apsw.Connection, id: str, tenant: str) -> list[tuple[DocumentKey, Version]]:
    """Return the editions of this id that are shown and whose text is not stored."""
    with snapshot(db):
        found = ledger.entries(db, (), [(tenant, id)])
    return [(key, edition.version) for key, entry in found.items() for edition in entry.missing()]


def document(
    db: apsw.Connection, id: str, collection: str | None, tenant: str
) -> list[StoredDocument]:
    """Return what is stored under the id, by collection."""
    sql = f"SELECT {HEAD}, source, model, metadata FROM documents WHERE tenant = ?1 AND key = ?2"
    if collection is not None:
        sql += " AND collection = ?3"
    bindings = tuple(values.bind(part) for part in (tenant, id, collection) if part is not None)
    with snapshot(db):
        rows: list[Any] = db.execute(f"{sql} ORDER BY collection", bindings).fetchall()
        deletes = ledger.deletes_of(db, [(tenant, id)])
        return [
            StoredDocument(
                head=_head(row[:-3], deletes),
                metadata=load(row[-1]),
                source=values.unbind(row[-3]),
                model=values.unbind(row[-2]),
                chunks=_chunks(db, row[0]),
            )
            for row in rows
        ]


def summaries(db: apsw.Connection, keys: Sequence[DocumentKey]) -> dict[DocumentKey, StoredSummary]:
    """Return the summaries there are."""
    columns = "rowid, tenant, collection, key, version, content_hash, result"
    sql = f"SELECT {columns} FROM summaries WHERE {ledger.OF_KEY}"
    found = [
        StoredSummary(
            key=ledger.key_of(row),
            version=read_version(row[4], Origin("", 0, 0)),
            content_hash=row[5],
            result=load(row[6]),
        )
        for row in db.executemany(sql, map(bound, keys))
    ]
    return {summary.key: summary for summary in found}


def _chunks(db: apsw.Connection, document: int) -> list[StoredChunk]:
    rows = db.execute(
        'SELECT c.uuid, c.ordinal, p.text, c.start, c."end", p.vector'
        " FROM chunks c JOIN passages p ON p.id = c.id WHERE c.document = ? ORDER BY c.ordinal",
        (document,),
    )
    return [
        StoredChunk(
            id=uuid.UUID(bytes=id),
            ordinal=ordinal,
            text=values.unbind(text),
            start=start,
            end=end,
            vector=np.frombuffer(vector, dtype=np.float32),
        )
        for id, ordinal, text, start, end, vector in rows
    ]


def _head(row: Sequence[Any], deletes: IdDeletes) -> Head:
    key = ledger.key_of(row)
    origin = Origin(values.unbind(row[9]), row[10], row[11])
    return Head(
        key=key,
        version=read_version(row[4], origin),
        content_version=read_version(row[5], origin),
        content_hash=row[6],
        chunk_count=row[7],
        deleted=bool(row[8]),
        origin=origin,
        batch_id=values.unbind(row[12]),
        updated_at=row[13],
        editions=ledger.editions(row[14], row[4], origin, of_document(deletes, key)),
    )
