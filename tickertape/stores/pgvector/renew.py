"""What is worked out of texts and metadata, made anew where an older Tickertape did otherwise."""

from __future__ import annotations

import uuid

import asyncpg
import structlog

from tickertape.stores import prepare
from tickertape.stores.metadata import load
from tickertape.stores.pgvector import fields, words
from tickertape.stores.texts import name, restored

log = structlog.get_logger("tickertape.stores.pgvector")

PAGE = 500
FIRST = uuid.UUID(int=0)  # no digest that there is


async def all_documents(db: asyncpg.Connection) -> None:
    """Look up every document's fields anew, and index its words, in the caller's transaction."""
    count = await db.fetchval("SELECT count(*) FROM documents WHERE NOT deleted")
    log.info("renewing_documents", documents=count, reason="an older version kept less of them")
    last = FIRST
    while rows := await db.fetch(
        "SELECT key, id, metadata FROM documents WHERE key > $1 AND NOT deleted"
        " ORDER BY key LIMIT $2",
        *(last, PAGE),
    ):
        found = {row["key"]: load(row["metadata"]) for row in rows}
        ids = {row["key"]: restored(row["id"]) for row in rows}
        leaves = {key: prepare.fields(metadata, ids[key]) for key, metadata in found.items()}
        await fields.remember(db, {leaf for each in leaves.values() for leaf in each})
        await db.executemany(
            "UPDATE documents SET fields = $2::uuid[] WHERE key = $1",
            [(key, [name(*leaf) for leaf in each]) for key, each in leaves.items()],
        )
        await _words(db, {key: prepare.title(metadata) for key, metadata in found.items()})
        last = rows[-1]["key"]


async def _words(db: asyncpg.Connection, titles: dict[uuid.UUID, str]) -> None:
    """Index the words of these documents' passages."""
    rows = await db.fetch(
        "SELECT number, document, text FROM chunks WHERE document = ANY($1::uuid[])", list(titles)
    )
    told = [
        (row["number"], *words.told(titles[row["document"]], prepare.words(restored(row["text"]))))
        for row in rows
    ]
    await db.executemany(
        "UPDATE chunks SET words = ($2::text)::tsvector, length = $3 WHERE number = $1", told
    )
