"""What the database remembers of documents to tell which event is newer."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import asyncpg

from tickertape.documents import Delete, DocumentKey, Head
from tickertape.editions import Deletes, Editions
from tickertape.stores.texts import name, plain, restored
from tickertape.stores.window import Id, IdDeletes, LedgerEntry, of_document
from tickertape.versions import Origin, Version

HEAD = (
    "tenant, collection, id, version, content_version, content_hash, chunk_count, deleted, topic,"
    ' "partition", "offset", batch_id, updated_at, editions'
)


def key_name(key: DocumentKey) -> uuid.UUID:
    """Return what a document is looked up by."""
    return name(key.tenant, key.collection, key.id)


def key_of(row: asyncpg.Record) -> DocumentKey:
    """Return the key that a row tells."""
    return DocumentKey(*(restored(row[part]) for part in ("collection", "id", "tenant")))


def head_of(row: asyncpg.Record, deletes: IdDeletes) -> Head:
    """Return the head that a row of `HEAD` tells."""
    key = key_of(row)
    return Head(
        key=key,
        version=Version.parse(row["version"]),
        content_version=Version.parse(row["content_version"]),
        content_hash=row["content_hash"],
        chunk_count=row["chunk_count"],
        deleted=row["deleted"],
        origin=Origin(restored(row["topic"]), row["partition"], row["offset"]),
        batch_id=restored(row["batch_id"]),
        updated_at=row["updated_at"],
        editions=Editions.loads(row["editions"], of_document(deletes, key)),
    )


async def lock(db: asyncpg.Connection, ids: Iterable[Id]) -> None:
    """Lock ids for this transaction: who else decides of their documents waits.

    All take them in one order, so that nobody waits for who waits for it. Rows and no advisory
    locks, as the server has room for some thousands of those in all.
    """
    keys = sorted(name(*id) for id in ids)
    while True:  # once, unless `expire` takes one away in between
        await db.execute("INSERT INTO ids SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", keys)
        locked = await db.fetch(
            "SELECT key FROM ids WHERE key = ANY($1::uuid[]) ORDER BY key FOR UPDATE", keys
        )
        if len(locked) == len(keys):
            return


async def entries(
    db: asyncpg.Connection, keys: Collection[DocumentKey], ids: Collection[Id] = ()
) -> dict[DocumentKey, LedgerEntry]:
    """Return an entry for each key, and for each document there is of the ids."""
    deletes = await deletes_of(db, {*((key.tenant, key.id) for key in keys), *ids})
    found = {key: LedgerEntry(editions=Editions(deletes=of_document(deletes, key))) for key in keys}
    rows = await db.fetch(
        "SELECT key, tenant, collection, id, version, content_hash, chunk_count, deleted, editions"
        " FROM documents WHERE key = ANY($1::uuid[]) OR id_key = ANY($2::uuid[])",
        [key_name(key) for key in keys],
        [name(*id) for id in ids],
    )
    in_parts: dict[uuid.UUID, LedgerEntry] = {}
    for row in rows:
        key = key_of(row)
        entry = found[key] = LedgerEntry(
            there=True,
            version=Version.parse(row["version"]),
            content_hash=row["content_hash"],
            parts=set(range(row["chunk_count"])),
            deleted=row["deleted"],
            editions=Editions.loads(row["editions"], of_document(deletes, key)),
        )
        if entry.in_parts:
            entry.parts.clear()
            in_parts[row["key"]] = entry
    if in_parts:
        sql = "SELECT document, ordinal FROM chunks WHERE document = ANY($1::uuid[])"
        for row in await db.fetch(sql, list(in_parts)):
            in_parts[row["document"]].parts.add(row["ordinal"])
    return found


async def deletes_of(db: asyncpg.Connection, ids: Iterable[Id]) -> IdDeletes:
    """Return what topics said of these ids."""
    named = {name(*id): id for id in ids}
    sql = "SELECT id_key, topic, collection, said FROM deletes WHERE id_key = ANY($1::uuid[])"
    found: dict[Id, list[tuple[str, str | None, Deletes]]] = defaultdict(list)
    for row in await db.fetch(sql, list(named)):
        said = restored(row["topic"]), restored(row["collection"]) or None
        found[named[row["id_key"]]].append((*said, Deletes.loads(row["said"])))
    return found


async def remember(db: asyncpg.Connection, deletes: Sequence[Delete]) -> None:
    """Keep deletes, whether documents of these ids are there or not."""
    said: dict[uuid.UUID, tuple[Delete, Deletes]] = {}
    for delete in deletes:
        whose = (delete.tenant, delete.id, delete.origin.topic, delete.collection or "")
        key = name(*whose)
        before = said[key][1] if key in said else Deletes()
        said[key] = delete, before | Deletes.of(delete.version)
    rows = await db.fetch("SELECT key, said FROM deletes WHERE key = ANY($1::uuid[])", list(said))
    there: Mapping[uuid.UUID, Deletes] = {r["key"]: Deletes.loads(r["said"]) for r in rows}
    now = time.time()
    await db.executemany(
        "INSERT INTO deletes VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key)"
        " DO UPDATE SET said = excluded.said, updated_at = excluded.updated_at",
        [
            (
                *(key, name(delete.tenant, delete.id), plain(delete.origin.topic)),
                *(plain(delete.collection or ""), (there.get(key, Deletes()) | new).dumps(), now),
            )
            for key, (delete, new) in said.items()
        ],
    )
