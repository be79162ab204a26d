"""What the database remembers of documents to tell which event is newer: rows and `Editions`."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw
import orjson

from tickertape.documents import Delete, DocumentKey, Touch
from tickertape.editions import ANY, WHOLE, Deletes, Edition, Editions
from tickertape.stores.sqlite import values
from tickertape.versions import Origin, Version, read_version

COLUMNS = (
    "id, tenant, collection, key, version, content_hash, chunk_count, deleted, editions, topic,"
    ' "partition", "offset"'
)
OF_KEY = "tenant = ? AND collection = ? AND key = ?"
Id = tuple[str, str]  # of a document: its tenant and its id
# Deletes of an id by topic; of all collections (None) or of one.
IdDeletes = dict[Id, list[tuple[str, str | None, Deletes]]]


@dataclass(slots=True)
class LedgerEntry:
    """One document. ``id`` None: it has no row. ``version`` is that of the event whose text is
    stored; ``deleted`` says that none is."""

    id: int | None = None
    version: Version | None = None
    content_hash: str = ""
    chunk_count: int = 0
    deleted: bool = True
    editions: Editions = field(default_factory=Editions)

    def holds(self, touch: Touch) -> bool:
        """Whether what is stored is the content that the touch leaves as it is."""
        stored = not self.deleted and self.content_hash == touch.content_hash
        return stored and any(one.part == touch.edition.part for one in self.editions.shown)


def entries(db: apsw.Connection, keys: Sequence[DocumentKey]) -> dict[DocumentKey, LedgerEntry]:
    """Return an entry for each key."""
    deletes = deletes_of(db, {(key.tenant, key.id) for key in keys})
    found = {key: LedgerEntry(editions=Editions(deletes=of(deletes, key))) for key in keys}
    for row in rows(db, COLUMNS, keys):
        key = key_of(row)
        found[key] = _entry(row, of(deletes, key))
    return found


def of_id(db: apsw.Connection, id: str, tenant: str) -> dict[DocumentKey, LedgerEntry]:
    """Return the entries of a tenant's id, in every collection."""
    deletes = deletes_of(db, {(tenant, id)})
    sql = f"SELECT {COLUMNS} FROM documents WHERE tenant = ? AND key = ?"
    found = db.execute(sql, (values.bind(tenant), values.bind(id)))
    keyed = ((key_of(row), row) for row in found)
    return {key: _entry(row, of(deletes, key)) for key, row in keyed}


def key_of(row: Sequence[Any]) -> DocumentKey:
    """Return the key of a row that begins with id, tenant, collection, key."""
    tenant, collection, id = map(values.unbind, row[1:4])
    return DocumentKey(collection, id, tenant)


def rows(db: apsw.Connection, columns: str, keys: Sequence[DocumentKey]) -> Iterable[Sequence[Any]]:
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
    deletes: IdDeletes = defaultdict(list)
    for tenant, id, topic, collection, said in found:
        where = values.unbind(collection) or None
        whose = values.unbind(tenant), values.unbind(id)
        deletes[whose].append((values.unbind(topic), where, Deletes.loads(said)))
    return deletes


def of(deletes: IdDeletes, key: DocumentKey) -> dict[str, Deletes]:
    """Return those that may concern one document, by topic or `ANY`."""
    found: dict[str, Deletes] = {}
    for topic, collection, said in deletes.get((key.tenant, key.id), ()):
        if collection in (None, key.collection):
            who = topic if collection is None else ANY
            found[who] = found.get(who, Deletes()) | said
    return found


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


def missing(db: apsw.Connection, entry: LedgerEntry) -> Iterator[Edition]:
    """Yield the editions that are shown and whose text is not stored."""
    there: set[int] | None = None
    for edition in entry.editions.shown:
        if edition.part == WHOLE:
            if entry.deleted:
                yield edition
            continue
        if there is None:
            sql = "SELECT ordinal FROM chunks WHERE document = ?"
            there = {int(ordinal) for (ordinal,) in db.execute(sql, (entry.id,))}
        if edition.part not in there:
            yield edition


def _entry(row: Sequence[Any], deletes: Mapping[str, Deletes]) -> LedgerEntry:
    origin = Origin(values.unbind(row[9]), row[10], row[11])
    return LedgerEntry(
        id=row[0],
        version=read_version(row[4], origin),
        content_hash=row[5],
        chunk_count=row[6],
        deleted=bool(row[7]),
        editions=editions(row[8], row[4], origin, deletes),
    )
