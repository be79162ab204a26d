"""The vector index, HNSW, which is built by a command after a bulk load: beside it each new row
costs half of what embedding it does."""

from __future__ import annotations

from collections.abc import Callable

import asyncpg

INDEXED_MAX = {"vector": 2_000, "halfvec": 4_000}  # dimensions that an index takes


async def build(db: asyncpg.Connection, kind: str, tell: Callable[[str], None]) -> None:
    """Build what is missing, an index a space, while everybody works on; remove those of spaces
    that are gone. Not in a transaction."""
    there = await db.fetch(
        "SELECT c.relname AS name, i.indisvalid AS valid FROM pg_class c"
        " JOIN pg_index i ON i.indexrelid = c.oid"
        " WHERE i.indrelid = 'chunks'::regclass AND c.relname LIKE 'chunks\\_hnsw\\_%'"
    )
    spaces = {
        f"chunks_hnsw_{row['number']}": row
        for row in await db.fetch("SELECT number, model, dimension FROM spaces ORDER BY number")
    }
    valid = {row["name"] for row in there if row["valid"]}
    for row in there:
        if row["name"] not in spaces or not row["valid"]:  # a build was stopped half-way
            await db.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{row["name"]}"')
    for name, space in spaces.items():
        number, dimension = int(space["number"]), int(space["dimension"])
        told = f"{space['model']}, {dimension} numbers"
        if name in valid:
            tell(f"{told}: there is an index")
        elif dimension > INDEXED_MAX[kind]:
            tell(f"{told}: no index, as one of {kind} takes {INDEXED_MAX[kind]}")
        else:
            await db.execute(
                f'CREATE INDEX CONCURRENTLY "{name}" ON chunks USING hnsw'
                f" ((vector::{kind}({dimension})) {kind}_ip_ops) WHERE space = {number}"
            )
            tell(f"{told}: an index was built")
    await db.execute("ANALYZE documents, chunks")
