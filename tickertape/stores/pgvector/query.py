"""A search of the store: dense, by the index where there is one; keyword beside it."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import asyncpg
import numpy as np

from tickertape.stores import vectors
from tickertape.stores.base import Counts, Hit, Mode, Query
from tickertape.stores.conditions import condition
from tickertape.stores.metadata import load
from tickertape.stores.pgvector import fields, words
from tickertape.stores.pgvector.ledger import key_of
from tickertape.stores.pgvector.write import CODECS
from tickertape.stores.texts import name, restored

EF_SEARCH_MIN, EF_SEARCH_MAX = 100, 1_000
EF_PER_HIT = 2
# BM25, as SQLite's FTS5 has it
K1, B = 1.2, 0.75
# `ts_rank` of one word that stands n times, all places weighing 1, is the sum of the first n of
# 1/1, 1/4, 1/9 .. over what all of them are: so it tells n, by where it falls between two sums.
COUNTED_MAX = 64
_SUMS = np.cumsum(1 / np.arange(1, COUNTED_MAX + 1) ** 2) / (np.pi**2 / 6)
BETWEEN = ((_SUMS + np.array([0.0, *_SUMS[:-1]])) / 2).tolist()


async def candidates(db: asyncpg.Connection, query: Query, kind: str) -> dict[int, float]:
    """Return at most ``query.limit`` chunks' numbers with their scores, best first."""
    conditions = _Conditions()
    await conditions.narrow(db, query.collection, query.tenant, query.filters)
    if query.limit < 1:
        return {}
    if query.mode is Mode.KEYWORD:
        return await _keyword(db, query, conditions)
    return await _dense(db, query, conditions, kind)


async def hits(db: asyncpg.Connection, scores: Mapping[int, float]) -> dict[int, Hit]:
    """Return the chunks that are there, with all that a hit says."""
    rows = await db.fetch(
        "SELECT c.number, c.document, c.ordinal, c.text, d.tenant, d.collection, d.id,"
        " d.chunk_count, d.metadata FROM chunks c JOIN documents d ON d.key = c.document"
        " WHERE c.number = ANY($1::bigint[])",
        list(scores),
    )
    metadata: dict[uuid.UUID, Mapping[str, Any]] = {}
    found: dict[int, Hit] = {}
    for row in rows:
        if row["document"] not in metadata:
            metadata[row["document"]] = load(row["metadata"])
        found[row["number"]] = Hit(
            key=key_of(row),
            ordinal=row["ordinal"],
            chunk_count=row["chunk_count"],
            text=restored(row["text"]),
            score=scores[row["number"]],
            metadata=metadata[row["document"]],
        )
    return {number: found[number] for number in scores if number in found}


async def count(
    db: asyncpg.Connection, collection: str | None, tenant: str, filters: Mapping[str, Any]
) -> Counts:
    """Count documents that are not deleted, and their chunks."""
    conditions = _Conditions()
    await conditions.narrow(db, collection, tenant, filters)
    conditions.of_tenant(tenant)
    row = await db.fetchrow(
        "SELECT count(*) AS documents, coalesce(sum(d.chunk_count), 0)::bigint AS chunks"
        f" FROM documents d WHERE NOT d.deleted{conditions}",
        *conditions.values,
    )
    assert row is not None
    return Counts(documents=row["documents"], chunks=row["chunks"])


class _Conditions:
    """What is asked of a document ``d``. Values are bound, never written into a statement."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._texts: list[str] = []

    def bind(self, value: Any) -> str:
        """Return the parameter of a value."""
        self.values.append(value)
        return f"${len(self.values)}"

    async def narrow(
        self,
        db: asyncpg.Connection,
        collection: str | None,
        tenant: str,
        filters: Mapping[str, Any],
    ) -> None:
        """Of a collection, and with these metadata.

        Raises:
            InvalidRecord: a filter is none.
        """
        if collection is not None:
            self._texts.append(f"d.place = {self.bind(name(tenant, collection))}::uuid")
        for field, value in filters.items():
            leaves = await fields.passing(db, condition(field, value))
            self._texts.append(f"d.fields && {self.bind(leaves)}::uuid[]")

    def of_tenant(self, tenant: str) -> None:
        """Whatever else is asked, only what is the tenant's."""
        self._texts.append(f"d.tenant_key = {self.bind(name(tenant))}::uuid")

    @property
    def joined(self) -> str:
        """The documents, where something is asked of them."""
        return " JOIN documents d ON d.key = c.document" if self._texts else ""

    def __str__(self) -> str:
        return "".join(f" AND {text}" for text in self._texts)


async def _dense(
    db: asyncpg.Connection, query: Query, conditions: _Conditions, kind: str
) -> dict[int, float]:
    asked, model = vectors.asked(query)
    # A space is one tenant's.
    space = await db.fetchrow(
        "SELECT number, dimension, to_regclass('chunks_hnsw_' || number) IS NOT NULL AS indexed"
        " FROM spaces WHERE key = $1",
        name(query.tenant, model),
    )
    if space is None:
        return {}
    vectors.check_size(asked, model, space["dimension"])
    _, unit = vectors.normalised(asked)
    vector, limit = conditions.bind(CODECS[kind](unit)), conditions.bind(query.limit)
    found: dict[int, float] = {}
    if space["indexed"]:
        ef = min(EF_SEARCH_MAX, max(EF_SEARCH_MIN, EF_PER_HIT * query.limit))
        await db.execute(
            "SELECT set_config('hnsw.ef_search', $1, true),"
            " set_config('hnsw.iterative_scan', 'relaxed_order', true)",
            str(ef),
        )
    for cast in (f"::{kind}({space['dimension']})", "") if space["indexed"] else ("",):
        # The index is of the vector with its dimension; without one all are compared.
        near = f"c.vector{cast} <#> {vector}"
        rows = await db.fetch(
            f"SELECT c.number, -({near}) AS score FROM chunks c{conditions.joined}"
            f" WHERE c.space = {int(space['number'])}{conditions} ORDER BY {near} LIMIT {limit}",
            *conditions.values,
        )
        found = {row["number"]: row["score"] for row in rows}
        if len(found) == query.limit:  # else a filter left too few of those that it looked at
            break
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


async def _keyword(
    db: asyncpg.Connection, query: Query, conditions: _Conditions
) -> dict[int, float]:
    """BM25, which `ts_rank` is not: it does not know how rare a word is. Rare, and long, is meant
    among the passages that hold a word of the query and that it may return."""
    asked = words.asked(query.text)
    # A space is one tenant's: no document is looked up for that.
    of_tenant = "SELECT array_agg(number) FROM spaces WHERE tenant_key = $1"
    spaces = await db.fetchval(of_tenant, name(query.tenant))
    if not asked or not spaces:
        return {}
    listed, between = conditions.bind(asked), conditions.bind(BETWEEN)
    limit, among = conditions.bind(query.limit), conditions.bind(spaces)
    rows = await db.fetch(
        f"""
        WITH asked AS (SELECT word::tsquery AS word FROM unnest({listed}::text[]) AS u (word)),
        found AS (
            SELECT a.word, c.number, c.length, width_bucket(
                ts_rank('{{1, 1, 1, 1}}', c.words, a.word)::float8, {between}::float8[]) AS count
            FROM asked a JOIN chunks c ON c.words @@ a.word{conditions.joined}
            WHERE c.space = ANY({among}::int[]){conditions}
        ),
        often AS (SELECT word, count(*)::float8 AS n FROM found GROUP BY word),
        total AS (
            SELECT greatest((SELECT max(n) FROM often),
                (SELECT reltuples FROM pg_class WHERE oid = 'chunks'::regclass)) AS n,
                (SELECT greatest(avg(length), 1)::float8 FROM found) AS length
        ),
        rare AS (
            SELECT o.word, ln(1 + (t.n - o.n + 0.5) / (o.n + 0.5)) AS weight
            FROM often o, total t
        )
        SELECT f.number, sum(r.weight * f.count * '{K1 + 1}'::float8
            / (f.count + '{K1}'::float8 * ({1 - B} + {B} * (f.length / t.length)))) AS score
        FROM found f JOIN rare r USING (word), total t
        GROUP BY f.number ORDER BY score DESC, f.number LIMIT {limit}
        """,
        *conditions.values,
    )
    return {row["number"]: row["score"] for row in rows}
