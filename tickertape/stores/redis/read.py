"""What reads Redis, less the search."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tickertape.documents import DocumentKey, Head, StoredChunk, StoredSummary
from tickertape.stores.base import StoredDocument
from tickertape.stores.metadata import load
from tickertape.stores.redis import ledger, scripts
from tickertape.stores.redis.connections import Connections
from tickertape.stores.redis.keys import decoded, document_name, id_name
from tickertape.stores.redis.ledger import HEAD, IDENTITY, head_of, key_of, maybe, read_id, said_of
from tickertape.stores.vectors import lengthened
from tickertape.stores.window import deleted_heads
from tickertape.versions import Version


async def heads(db: Connections, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
    """Return the heads there are, those too of which only a delete is known."""
    ids = list({(key.tenant, key.id) for key in keys})
    commands: list[Sequence[Any]] = [("HGETALL", db.keys.id(id_name(id))) for id in ids]
    commands += [("HMGET", db.keys.document(document_name(key)), *HEAD) for key in keys]
    answers = await db.read(commands)
    deletes = said_of(
        {id: read_id(answer) for id, answer in zip(ids, answers[: len(ids)], strict=True)}
    )
    rows = [dict(zip(HEAD, row, strict=True)) for row in answers[len(ids) :]]
    there = [row for row in rows if row["version"] is not None]
    found = {head.key: head for head in (head_of(row, deletes) for row in there)}
    unknown = (key for key in keys if key not in found)
    return found | {head.key: head for head in deleted_heads(unknown, deletes)}


async def scan(
    db: Connections, after: str, limit: int, tenant: str
) -> tuple[list[Head], str | None]:
    """Return heads by the digest of their key, and the last one's where there are more."""
    page = ("LIMIT", 0, limit)
    first = f"({after}" if after else "-"
    (names,) = await db.read([("ZRANGEBYLEX", db.keys.tenant(tenant), first, "+", *page)])
    fields = [("HMGET", db.keys.of_documents + named.decode(), *IDENTITY) for named in names]
    keys = [
        key_of(dict(zip(IDENTITY, row, strict=True)))
        for row in await db.read(fields)
        if row[0] is not None  # forgotten meanwhile
    ]
    found = await heads(db, keys)
    last = names[-1].decode() if len(names) == limit else None
    return list(found.values()), last


async def missing(db: Connections, id: str, tenant: str) -> list[tuple[DocumentKey, Version]]:
    """Return the editions of this id that are shown and whose text is not stored."""
    found = await ledger.read(db, (), [(tenant, id)])
    entries = found.entries.items()
    return [(key, edition.version) for key, entry in entries for edition in entry.missing()]


async def document(
    db: Connections, id: str, collection: str | None, tenant: str
) -> list[StoredDocument]:
    """Return what is stored under the id, by collection."""
    whose = (tenant, id)
    prefixes = (db.keys.of_documents, db.keys.of_chunks)
    answer, rows = await db.run(scripts.DOCUMENTS, [db.keys.id(id_name(whose))], prefixes)
    deletes = said_of({whose: read_id(answer)})
    found = []
    for row, chunks in rows:
        pairs = ledger.pairs(row)
        fields = {field: pairs.get(field.encode()) for field in (*HEAD, "source", "model")}
        found.append(
            StoredDocument(
                head=head_of(fields, deletes),
                metadata=load(pairs[b"metadata"].decode()),
                source=maybe(fields["source"]),
                model=maybe(fields["model"]),
                chunks=[_chunk(chunk) for chunk in chunks],
            )
        )
    wanted = [each for each in found if collection in (None, each.head.key.collection)]
    return sorted(wanted, key=lambda each: each.head.key)


async def summaries(
    db: Connections, keys: Sequence[DocumentKey]
) -> dict[DocumentKey, StoredSummary]:
    """Return the summaries there are."""
    fields = ("version", "content_hash", "result")
    rows = await db.read([("HMGET", db.keys.summary(document_name(key)), *fields) for key in keys])
    return {
        key: StoredSummary(key, Version.parse(decoded(version)), decoded(hash), _result(result))
        for key, (version, hash, result) in zip(keys, rows, strict=True)
        if version is not None
    }


def _result(data: bytes) -> Mapping[str, Any]:
    return load(data.decode())


def _chunk(row: Sequence[bytes]) -> StoredChunk:
    id, ordinal, text, start, end, norm, vector = row
    return StoredChunk(
        id=uuid.UUID(bytes=id),
        ordinal=int(ordinal),
        text=decoded(text),
        start=int(start),
        end=int(end),
        vector=lengthened(np.frombuffer(vector, np.float32), float(norm)),
    )
