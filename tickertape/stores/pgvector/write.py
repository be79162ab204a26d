"""What changes the database. Every function runs in a transaction of the caller's."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import numpy as np
from asyncpg import exceptions as pg
from pgvector import HalfVector, Vector

from tickertape.documents import Applied, DocumentKey, StoredSummary
from tickertape.errors import InvalidRecord, PermanentError
from tickertape.stores import window
from tickertape.stores.metadata import dump
from tickertape.stores.pgvector import fields, ledger, words
from tickertape.stores.pgvector.connections import NAME
from tickertape.stores.pgvector.ledger import key_name
from tickertape.stores.prepare import Prepared, Space
from tickertape.stores.summaries import latest, outdated
from tickertape.stores.texts import name, plain
from tickertape.stores.vectors import normalised, other_size
from tickertape.stores.window import Change, OneByOne, Ready, Window
from tickertape.versions import Version

DIMENSION_MAX = 16_000
EXPIRED_STEP = 1_000  # heads forgotten at a time
CODECS: dict[str, Callable[[Any], Any]] = {"vector": Vector, "halfvec": HalfVector}

# What one operation can be at fault for; any other error ends the transaction.
OWN_FAULT = (
    PermanentError,
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,  # a row too large for any page
    pg.DataError,  # of the client: a number out of its column's range
    TypeError,
    ValueError,
    OverflowError,
)


async def apply(
    db: asyncpg.Connection, ready: Sequence[Ready], kind: str
) -> list[Applied | Exception]:
    """Do the operations in order, with their ids locked.

    All of them together, or where one is at fault, each by itself. ``kind``: of vectors.
    """
    keys, ids = window.concerned(ready)
    await ledger.lock(db, {*((key.tenant, key.id) for key in keys), *ids})
    return await _together(db, ready, kind)


async def _together(
    db: asyncpg.Connection, ready: Sequence[Ready], kind: str
) -> list[Applied | Exception]:
    if len(ready) > 1:
        brought = window.spaces(ready)
        if not window.of_one_size(brought, await _spaces(db, brought)):
            return await _one_by_one(db, ready, kind)
    try:
        async with _savepoint(db):
            found = Window(NAME, await ledger.entries(db, *window.concerned(ready)))
            results = [found.apply(operation) for operation in ready]
            await _write(db, found, kind, alone=len(ready) == 1)
            return results
    except (*OWN_FAULT, OneByOne) as error:
        if len(ready) > 1:
            return await _one_by_one(db, ready, kind)
        return [window.permanent(NAME, error)]


@asynccontextmanager
async def _savepoint(db: asyncpg.Connection) -> AsyncIterator[None]:
    """What an operation at fault has done is undone, and the transaction goes on."""
    await db.execute("SAVEPOINT together")
    try:
        yield
    except (*OWN_FAULT, OneByOne):
        await db.execute("ROLLBACK TO together; RELEASE together")
        raise
    await db.execute("RELEASE together")


async def _one_by_one(
    db: asyncpg.Connection, ready: Sequence[Ready], kind: str
) -> list[Applied | Exception]:
    return [result for one in ready for result in await _together(db, [one], kind)]


async def save_summaries(db: asyncpg.Connection, summaries: Iterable[StoredSummary]) -> None:
    """Write summaries, unless a newer one is there, or a newer event has replaced or deleted the
    document."""
    given = latest(summaries)
    rows = {key: dump(summary.result) for key, summary in given.items()}
    await ledger.lock(db, {(key.tenant, key.id) for key in given})
    entries = await ledger.entries(db, given)
    sql = "SELECT key, version FROM summaries WHERE key = ANY($1::uuid[])"
    found = await db.fetch(sql, list(map(key_name, given)))
    there = {row["key"]: Version.parse(row["version"]) for row in found}
    kept = []
    for key, summary in given.items():
        if not outdated(summary, there.get(key_name(key)), entries[key]):
            kept.append(
                (key_name(key), str(summary.version), plain(summary.content_hash), rows[key])
            )
    await db.executemany(
        "INSERT INTO summaries VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO UPDATE SET"
        " version = excluded.version, content_hash = excluded.content_hash,"
        " result = excluded.result",
        kept,
    )


async def expire(db: asyncpg.Connection, deleted_before: float) -> tuple[int, int]:
    """Forget some deletes, and what is remembered of documents without a text, of before this
    time; return how many heads, and of how many ids. What somebody works on is left
    for another time."""
    ids = await db.fetch(
        "SELECT key FROM ids i WHERE EXISTS (SELECT 1 FROM documents d WHERE d.id_key = i.key"
        "   AND d.deleted AND d.updated_at < $1)"
        " OR EXISTS (SELECT 1 FROM deletes e WHERE e.id_key = i.key AND e.updated_at < $1)"
        " LIMIT $2 FOR UPDATE SKIP LOCKED",
        *(deleted_before, EXPIRED_STEP),
    )
    keys = [row["key"] for row in ids]
    await db.execute(
        "DELETE FROM deletes WHERE id_key = ANY($1::uuid[]) AND updated_at < $2",
        *(keys, deleted_before),
    )
    gone = await db.execute(
        "DELETE FROM documents WHERE id_key = ANY($1::uuid[]) AND deleted AND updated_at < $2",
        *(keys, deleted_before),
    )
    await db.execute(
        "DELETE FROM ids i WHERE key = ANY($1::uuid[])"
        " AND NOT EXISTS (SELECT 1 FROM documents d WHERE d.id_key = i.key)"
        " AND NOT EXISTS (SELECT 1 FROM deletes e WHERE e.id_key = i.key)",
        keys,
    )
    return int(gone.split()[-1]), len(keys)


async def _write(db: asyncpg.Connection, found: Window, kind: str, *, alone: bool) -> None:
    """Write all that has changed.

    Raises:
        InvalidRecord: vectors of another size than their model's, or too large.
        OneByOne: not ``alone``, and a model's size changes, which has to come in its turn.
    """
    if found.deletes:
        await ledger.remember(db, found.deletes)
    changes = {key_name(key): (key, change) for key, change in found.changes.items()}
    await _clear(db, changes)
    await _write_heads(db, changes)
    await _move_heads(db, changes)
    await _insert_chunks(db, changes, kind, alone)


Changes = dict[uuid.UUID, tuple[DocumentKey, Change]]


async def _clear(db: asyncpg.Connection, changes: Changes) -> None:
    """Remove chunks that go, and summaries."""
    whole = [name for name, (_, change) in changes.items() if change.cleared]
    some = [(name, part) for name, (_, change) in changes.items() for part in change.removed]
    gone = [name for name, (_, change) in changes.items() if change.unsummarised]
    if whole:
        await db.execute("DELETE FROM chunks WHERE document = ANY($1::uuid[])", whole)
    if some:
        await db.execute(
            "DELETE FROM chunks c USING unnest($1::uuid[], $2::int[]) AS g (document, ordinal)"
            " WHERE c.document = g.document AND c.ordinal = g.ordinal",
            *_columns(some),
        )
    if gone:
        await db.execute("DELETE FROM summaries WHERE key = ANY($1::uuid[])", gone)


HEAD_COLUMNS = {
    **dict.fromkeys(("key", "id_key", "place", "tenant_key"), "uuid"),
    **dict.fromkeys(("tenant", "collection", "id", "version", "content_version"), "text"),
    "content_hash": "text",
    "chunk_count": "int",
    "deleted": "boolean",
    "topic": "text",
    '"partition"': "int",
    '"offset"': "bigint",
    "batch_id": "text",
    "updated_at": "float8",
    "source": "text",
    "model": "text",
    "metadata": "text",
    "fields": "text",
    "editions": "text",
}
WRITE_HEADS = (
    f"INSERT INTO documents ({', '.join(HEAD_COLUMNS)}) SELECT "
    + ", ".join(f"{c}::uuid[]" if c == "fields" else c for c in HEAD_COLUMNS)
    + " FROM unnest("
    + ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(HEAD_COLUMNS.values(), 1))
    + f") AS g ({', '.join(HEAD_COLUMNS)}) ON CONFLICT (key) DO UPDATE SET "
    + ", ".join(f"{c} = excluded.{c}" for c in list(HEAD_COLUMNS)[7:])
)


async def _write_heads(db: asyncpg.Connection, changes: Changes) -> None:
    rows = [
        _head(name, key, change)
        for name, (key, change) in changes.items()
        if change.head is not None
    ]
    if rows:
        heads = (change.head for _, change in changes.values() if change.head is not None)
        await fields.remember(db, {leaf for head in heads for leaf in head.fields})
        await db.execute(WRITE_HEADS, *_columns(rows))


def _head(named: uuid.UUID, key: DocumentKey, change: Change) -> tuple[Any, ...]:
    entry, head = change.entry, change.head
    assert head is not None
    leaves = ",".join(str(name(*leaf)) for leaf in head.fields)
    return (
        *(named, name(key.tenant, key.id), name(key.tenant, key.collection), name(key.tenant)),
        *(plain(key.tenant), plain(key.collection), plain(key.id)),
        *(str(entry.version), str(head.version), entry.content_hash, len(entry.parts)),
        *(entry.deleted, plain(head.origin.topic), head.origin.partition, head.origin.offset),
        *(plain(head.batch_id), head.updated_at, plain(head.source), plain(head.model)),
        *(head.metadata, f"{{{leaves}}}", entry.editions.dumps()),
    )


async def _move_heads(db: asyncpg.Connection, changes: Changes) -> None:
    """Of the other heads write what has changed."""
    stay: list[tuple[Any, ...]] = []
    move: list[tuple[Any, ...]] = []
    for named, (_, change) in changes.items():
        if change.head is not None:
            continue
        entry = change.entry
        row = (named, str(entry.version), entry.editions.dumps(), len(entry.parts))
        if change.moved is None:
            stay.append(row)
        else:
            origin, batch_id = change.moved
            place = (plain(origin.topic), origin.partition, origin.offset, plain(batch_id))
            move.append((*row, *place))
    if stay:
        await db.execute(
            "UPDATE documents d SET version = g.version, editions = g.editions,"
            " chunk_count = g.count FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[])"
            " AS g (key, version, editions, count) WHERE d.key = g.key",
            *_columns(stay),
        )
    if move:
        await db.execute(
            "UPDATE documents d SET version = g.version, editions = g.editions,"
            ' chunk_count = g.count, topic = g.topic, "partition" = g."partition",'
            ' "offset" = g."offset", batch_id = g.batch_id FROM unnest($1::uuid[], $2::text[],'
            " $3::text[], $4::int[], $5::text[], $6::int[], $7::bigint[], $8::text[])"
            ' AS g (key, version, editions, count, topic, "partition", "offset", batch_id)'
            " WHERE d.key = g.key",
            *_columns(move),
        )


async def _insert_chunks(db: asyncpg.Connection, changes: Changes, kind: str, alone: bool) -> None:
    of_space: dict[Space, list[tuple[uuid.UUID, int, Prepared, int]]] = {}
    for named, (_, change) in changes.items():
        for ordinal, (prepared, place) in change.chunks.items():
            of_space.setdefault(prepared.space, []).append((named, ordinal, prepared, place))
    for space, chunks in sorted(of_space.items()):
        number = await _space(db, space, alone)
        columns = await asyncio.to_thread(_chunk_columns, chunks, CODECS[kind])
        await db.execute(
            "INSERT INTO chunks"
            ' (space, document, ordinal, uuid, start, "end", norm, vector, words, length, text)'
            ' SELECT $1::int, document, ordinal, uuid, start, "end", norm, vector, words::tsvector,'
            " length, text FROM unnest($2::uuid[], $3::int[], $4::uuid[], $5::int[], $6::int[],"
            f" $7::float8[], $8::{kind}[], $9::text[], $10::int[], $11::text[])"
            ' AS g (document, ordinal, uuid, start, "end", norm, vector, words, length, text)',
            *(number, *columns),
        )


def _chunk_columns(
    chunks: Sequence[tuple[uuid.UUID, int, Prepared, int]], codec: Callable[[Any], Any]
) -> list[list[Any]]:
    vectors = np.stack([prepared.vectors[place] for _, _, prepared, place in chunks])
    norms, units = normalised(vectors)
    rows = []
    for (named, ordinal, prepared, place), norm, unit in zip(chunks, norms, units, strict=True):
        chunk = prepared.put.chunks[place]
        told, length = words.told(prepared.title, prepared.words[place])
        where = (named, ordinal, chunk.id, chunk.start, chunk.end)
        rows.append((*where, float(norm), codec(unit), told, length, plain(chunk.text)))
    return _columns(rows)


async def _spaces(db: asyncpg.Connection, brought: Iterable[Space]) -> list[Space]:
    """Those of the same models that there are."""
    named = {name(*space[:2]): space[:2] for space in brought}
    sql = "SELECT key, dimension FROM spaces WHERE key = ANY($1::uuid[])"
    rows = await db.fetch(sql, list(named))
    return [(*named[row["key"]], row["dimension"]) for row in rows]


async def _space(db: asyncpg.Connection, wanted: Space, alone: bool) -> int:
    """The space of the model, made at its first vector, which fixes the dimension. Nobody changes
    that before this transaction ends."""
    tenant, model, dimension = wanted
    if dimension > DIMENSION_MAX:
        raise InvalidRecord("vector", f"at most {DIMENSION_MAX} numbers", dimension)
    key = name(tenant, model)
    share = "SELECT number, dimension FROM spaces WHERE key = $1 FOR KEY SHARE"
    while True:
        row = await db.fetchrow(share, key)
        if row is None:
            await db.execute(
                "INSERT INTO spaces (key, tenant_key, model, dimension) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT DO NOTHING",
                *(key, name(tenant), plain(model), dimension),
            )
            continue
        if row["dimension"] == dimension:
            return int(row["number"])
        if not alone:
            raise OneByOne
        await db.fetchrow("SELECT 1 FROM spaces WHERE number = $1 FOR UPDATE", row["number"])
        there = "SELECT EXISTS (SELECT 1 FROM chunks WHERE space = $1)"
        if await db.fetchval(there, row["number"]):
            raise other_size(model, row["dimension"], dimension)
        await db.execute("DELETE FROM spaces WHERE number = $1", row["number"])


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
