"""The fields of the metadata with their values, each once, whatever documents have them.

A document holds digests of its leaves, which an index finds; what a digest stands for is here, so
that values can be compared. A leaf that no document has any more stays: it finds nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import asyncpg

from tickertape.stores.conditions import Condition
from tickertape.stores.texts import name, plain, restored

Leaf = tuple[str, str]  # a field's name and a canonical value, as `metadata.leaves` has them


async def remember(db: asyncpg.Connection, leaves: Iterable[Leaf]) -> None:
    """Write those that are new."""
    keys = {name(*leaf): leaf for leaf in leaves}
    there = await db.fetch("SELECT key FROM leaves WHERE key = ANY($1::uuid[])", list(keys))
    for row in there:
        del keys[row["key"]]
    # In one order, so that two transactions never wait for each other.
    new = sorted((key, name(leaf[0]), *map(plain, leaf)) for key, leaf in keys.items())
    if new:
        await db.execute(
            "INSERT INTO leaves SELECT * FROM"
            " unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) ON CONFLICT DO NOTHING",
            *map(list, zip(*new, strict=True)),
        )


async def passing(db: asyncpg.Connection, asked: Condition) -> list[uuid.UUID]:
    """Return the digests of the leaves that pass."""
    values = asked.equal
    if values is None:
        rows = await db.fetch("SELECT value FROM leaves WHERE name_key = $1", name(asked.name))
        values = asked.chosen(restored(row["value"]) for row in rows)
    return [name(asked.name, value) for value in values]


async def names(db: asyncpg.Connection, tenant: str) -> list[str]:
    """Return the fields that a document of the tenant's has, sorted."""
    rows = await db.fetch(
        "SELECT n.name FROM (SELECT DISTINCT name_key, name FROM leaves) n WHERE EXISTS (SELECT 1"
        " FROM leaves l JOIN documents d ON d.fields @> ARRAY[l.key]"
        " WHERE l.name_key = n.name_key AND d.tenant_key = $1)",
        name(tenant),
    )
    return sorted(restored(row["name"]) for row in rows)


async def known(db: asyncpg.Connection, leaves: Iterable[Leaf], tenant: str) -> set[Leaf]:
    """Return those of these leaves that a document of the tenant's has."""
    keys = {name(*leaf): leaf for leaf in leaves}
    rows = await db.fetch(
        "SELECT key FROM unnest($1::uuid[]) AS u (key) WHERE EXISTS (SELECT 1 FROM documents d"
        " WHERE d.fields @> ARRAY[u.key] AND d.tenant_key = $2)",
        *(list(keys), name(tenant)),
    )
    return {keys[row["key"]] for row in rows}
