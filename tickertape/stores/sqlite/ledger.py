"""What the database remembers of documents to tell which event is newer: rows and `Editions`."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import apsw
import orjson

from tickertape.documents import Delete, DocumentKey
from tickertape.editions import Deletes, Edition, Editions
from tickertape.stores.sqlite import values
from tickertape.stores.window import Id, IdDeletes, LedgerEntry, of_document
from tickertape.versions import Origin, read_version

COLUMNS = (
    "id, tenant, collection, key, version, content_hash, chunk_count, deleted, editions, topic,"
    ' "partition", "offset"'
)
OF_KEY = "tenant = ? AND collection = ? AND key = ?"


def entries(
    db: apsw.Connection, keys: Collection[DocumentKey], ids: Collection[Id] = ()
) -> dict[DocumentKey, LedgerEntry]:
    """Return an entry for each key, and for each document there is of the ids."""
    deletes = deletes_of(db, {*((key.tenant, key.id) for key in keys), *ids})
    found = {key: LedgerEntry(editions=Editions(deletes=of_document(deletes, key))) for key in keys}
    there: list[Sequence[Any]] = list(rows(db, COLUMNS, keys)) if keys else []
    for tenant, id in ids:
        sql = f"SELECT {COLUMNS} FROM documents WHERE tenant = ? AND key = ?"
        there += db.execute(sql, (values.bind(tenant), values.bind(id))).fetchall()
    for row in there:
        key = key_of(row)
        found[key] = _entry(row, of_document(deletes, key))
    _find_parts(db, {entry.row: entry for entry in found.values() if entry.in_parts})
    return found


def key_of(row: Sequence[Any]) -> DocumentKey:
    """Return the key of a row that begins with id, tenant, collection, key."""
    tenant, collection, id = map(values.unbind, row[1:4])
    return DocumentKey(collection, id, tenant)


def rows(
    db: apsw.Connection, columns: str, keys: Collection[DocumentKey]
) -> Iterable[Sequence[Any]]:
    """Return these columns of the rows there are; as one value, as each row would hold the
    interpreter, where JSON can carry the keys."""
    sql = f"SELECT json_group_array(json_array({columns})) FROM documents"
    try:
        wanted = orjson.dumps([[key.tenant, key.collection, key.id] for key in keys]).decode()
        found: list[list[Any]] = orjson.loads(
            db.execute(
                f"{sql} WHERE (tenant, collection, key) IN"
                " (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))",
                (wanted,),
            ).get
        )
    except (apsw.SQLError, TypeError):
        sql = f"SELECT {columns} FROM documents WHERE {OF_KEY}"
        return list(db.executemany(sql, map(bound, keys)))
    return found


def bound(key: DocumentKey) -> tuple[str | bytes | None, ...]:
    """Return the key as it is bound to a statement: tenant, collection and id (`OF_KEY`)."""
    return values.bind(key.tenant), values.bind(key.collection), values.bind(key.id)


def deletes_of(db: apsw.Connection, ids: Iterable[Id]) -> IdDeletes:
    """Return what topics said of these ids."""
    sql = "SELECT tenant, key, topic, collection, said FROM deletes WHERE (tenant, key)"
    found: Iterable[Sequence[Any]]
    wanted = list(ids)
    try:
        listed = orjson.dumps(wanted).decode()
        pairs = "SELECT value ->> 0, value ->> 1 FROM json_each(?)"
        found = db.execute(f"{sql} IN ({pairs})", (listed,))
    except TypeError:
        found = db.executemany(f"{sql} = (?, ?)", [tuple(map(values.bind, id)) for id in wanted])
    deletes: dict[Id, list[tuple[str, str | None, Deletes]]] = defaultdict(list)
    for tenant, id, topic, collection, said in found:
        where = values.unbind(collection) or None
        whose = values.unbind(tenant), values.unbind(id)
        deletes[whose].append((values.unbind(topic), where, Deletes.loads(said)))
    return deletes


def editions(text: str, version: str, origin: Origin, deletes: Mapping[str, Deletes]) -> Editions:
    """Read the column; a row of before it was there has its version alone."""
    if text:
        return Editions.loads(text, deletes)
    found = Editions(deletes=deletes)
    found.add(Edition(read_version(version, origin)), origin.topic)
    return found


def remember(db: apsw.Connection, delete: Delete) -> None:
    """Keep a delete, whether a document of this id is there or not."""
    said_of = (delete.tenant, delete.id, delete.origin.topic, delete.collection or "")
    where = tuple(map(values.bind, said_of))
    said = Deletes.of(delete.version)
    there = db.execute(
        "SELECT said FROM deletes WHERE tenant = ? AND key = ? AND topic = ? AND collection = ?",
        where,
    ).get
    if there is not None:
        said |= Deletes.loads(there)
    db.execute(
        "INSERT OR REPLACE INTO deletes VALUES (?, ?, ?, ?, ?, ?)",
        (*where, said.dumps(), time.time()),
    )


def _find_parts(db: apsw.Connection, of: Mapping[int | None, LedgerEntry]) -> None:
    """Look up which chunks there are of documents in parts."""
    if not of:
        return
    listed = orjson.dumps(list(of)).decode()
    for entry in of.values():
        entry.parts.clear()
    sql = "SELECT document, ordinal FROM chunks WHERE document IN (SELECT value FROM json_each(?))"
    for document, ordinal in db.execute(sql, (listed,)):
        of[document].parts.add(ordinal)


def _entry(row: Sequence[Any], deletes: Mapping[str, Deletes]) -> LedgerEntry:
    origin = Origin(values.unbind(row[9]), row[10], row[11])
    return LedgerEntry(
        there=True,
        row=row[0],
        version=read_version(row[4], origin),
        content_hash=row[5],
        parts=set(range(row[6])),
        deleted=bool(row[7]),
        editions=editions(row[8], row[4], origin, deletes),
    )
