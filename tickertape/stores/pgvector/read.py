"""What reads the database, less the search."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg

from tickertape.documents import DocumentKey, Head, StoredChunk, StoredSummary, Vector
from tickertape.stores.base import StoredDocument
from tickertape.stores.metadata import load
from tickertape.stores.pgvector import ledger
from tickertape.stores.pgvector.ledger import HEAD, head_of, key_name
from tickertape.stores.texts import name, restored
from tickertape.stores.vectors import lengthened
from tickertape.stores.window import deleted_heads
from tickertape.versions import Version

NOWHERE = "00000000-0000-0000-0000-000000000000"  # before every digest


async def heads(db: asyncpg.Connection, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
    """Return the heads there are, those too of which only a delete is known."""
    if not keys:
        return {}
    deletes = await ledger.deletes_of(db, {(key.tenant, key.id) for key in keys})
    sql = f"SELECT {HEAD} FROM documents WHERE key = ANY($1::uuid[])"  # noqa: S608 -- constants
    rows = await db.fetch(sql, list(map(key_name, keys)))
    found = {head.key: head for head in (head_of(row, deletes) for row in rows)}
    if deletes:
        unknown = (key for key in keys if key not in found)
        found |= {head.key: head for head in deleted_heads(unknown, deletes)}
    return found


async def scan(
    db: asyncpg.Connection, after: str, limit: int, tenant: str
) -> tuple[list[Head], str | None]:
    """Return heads by the digest of their key, and the last one's where there are more."""
    rows = await db.fetch(
        f"SELECT key, {HEAD} FROM documents WHERE key > $1 AND tenant_key = $2"  # noqa: S608
        " ORDER BY key LIMIT $3",
        *(uuid.UUID(after or NOWHERE), name(tenant), limit),
    )
    deletes = await ledger.deletes_of(db, {(tenant, restored(row["id"])) for row in rows})
    last = str(rows[-1]["key"]) if len(rows) == limit else None
    return [head_of(row, deletes) for row in rows], last


async def missing(
    db: asyncpg.Connection, id: str, tenant: str
) -> list[tuple[DocumentKey, Version]]:
    """Return the editions of this id that are shown and whose text is not stored."""
    found = await ledger.entries(db, (), [(tenant, id)])
    return [(key, edition.version) for key, entry in found.items() for edition in entry.missing()]


async def document(
    db: asyncpg.Connection, id: str, collection: str | None, tenant: str
) -> list[StoredDocument]:
    """Return what is stored under the id, by collection."""
    deletes = await ledger.deletes_of(db, [(tenant, id)])
    sql = f"SELECT key, {HEAD}, source, model, metadata FROM documents WHERE id_key = $1"  # noqa: S608
    rows = await db.fetch(sql, name(tenant, id))
    chunks = await db.fetch(
        'SELECT document, uuid, ordinal, text, start, "end", norm, vector FROM chunks'
        " WHERE document = ANY($1::uuid[]) ORDER BY ordinal",
        [row["key"] for row in rows],
    )
    found = [
        StoredDocument(
            head=head_of(row, deletes),
            metadata=load(row["metadata"]),
            source=restored(row["source"]),
            model=restored(row["model"]),
            chunks=[_chunk(one) for one in chunks if one["document"] == row["key"]],
        )
        for row in rows
    ]
    wanted = [each for each in found if collection in (None, each.head.key.collection)]
    return sorted(wanted, key=lambda each: each.head.key)


async def summaries(
    db: asyncpg.Connection, keys: Sequence[DocumentKey]
) -> dict[DocumentKey, StoredSummary]:
    """Return the summaries there are."""
    named = {key_name(key): key for key in keys}
    rows = await db.fetch("SELECT * FROM summaries WHERE key = ANY($1::uuid[])", list(named))
    return {
        named[row["key"]]: StoredSummary(
            key=named[row["key"]],
            version=Version.parse(row["version"]),
            content_hash=restored(row["content_hash"]),
            result=load(row["result"]),
        )
        for row in rows
    }


def _chunk(row: asyncpg.Record) -> StoredChunk:
    return StoredChunk(
        id=row["uuid"],
        ordinal=row["ordinal"],
        text=restored(row["text"]),
        start=row["start"],
        end=row["end"],
        vector=_vector(row["vector"], row["norm"]),
    )


def _vector(unit: Any, norm: float) -> Vector:
    return lengthened(unit.to_numpy(), norm)
