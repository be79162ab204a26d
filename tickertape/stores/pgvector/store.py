"""`Store`, with what it can beyond that, over PostgreSQL with pgvector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tickertape.documents import (
    DEFAULT_TENANT,
    Applied,
    DocumentKey,
    Head,
    Operation,
    StoredSummary,
)
from tickertape.errors import SettingsError
from tickertape.settings import Settings
from tickertape.stores import window
from tickertape.stores.base import Capability, Counts, Hit, Query, StoredDocument
from tickertape.stores.pgvector import fields, index, read, write
from tickertape.stores.pgvector.connections import NAME, Connections
from tickertape.stores.pgvector.query import candidates, count, hits
from tickertape.stores.pgvector.tables import VECTOR_TYPES
from tickertape.versions import Version

SCHEMES = ("postgresql://", "postgres://")
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"


class PgvectorStore:
    """A schema of one database, ``DATABASE_URL``, shared by workers on any machines.

    A call of `apply` is one transaction, which has its documents' ids for itself.
    """

    name = NAME
    capabilities = frozenset(
        {
            Capability.ATOMIC,
            Capability.KEYWORDS,
            Capability.COUNTS,
            Capability.CANDIDATES,
            Capability.SUMMARIES,
            Capability.VECTOR_INDEX,
            Capability.FIELDS,
        }
    )

    def __init__(self, settings: Settings) -> None:
        url = settings.database_url.get_secret_value() if settings.database_url else ""
        if not url.startswith(SCHEMES):  # only here: other programs have that variable too
            raise SettingsError("DATABASE_URL: expected postgresql://..., as pgvector is a store")
        self._kind = VECTOR_TYPES[settings.pgvector_halfvec]
        self._connections = Connections(
            url,
            settings.pgvector_schema,
            self._kind,
            settings.store_timeout_seconds,
        )

    async def start(self) -> None:
        """Connect, create what is missing. Raises `StoreError` when it cannot."""
        await self._connections.open()

    async def stop(self) -> None:
        """End the connections. Safe to call twice."""
        await self._connections.close()

    async def ping(self) -> None:
        """Raise when the tables cannot be read now."""
        async with self._connections.use() as db:
            await db.execute("SELECT version FROM about")

    async def heads(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
        """Return the heads there are (deleted ones too)."""
        async with self._connections.use() as db:
            return await read.heads(db, keys)

    async def apply(self, operations: Sequence[Operation]) -> list[Applied | Exception]:
        """Do the operations in order, in one transaction; one result each."""
        if not operations:
            return []
        ready = await asyncio.to_thread(window.ready, NAME, operations)
        async with self._connections.use(WRITE) as db:
            return await write.apply(db, ready, self._kind)

    async def missing(
        self, id: str, tenant: str = DEFAULT_TENANT
    ) -> list[tuple[DocumentKey, Version]]:
        """Return the events of this id that are shown and whose text is not stored."""
        async with self._connections.use(SNAPSHOT) as db:
            return await read.missing(db, id, tenant)

    async def document(
        self, id: str, collection: str | None = None, tenant: str = DEFAULT_TENANT
    ) -> list[StoredDocument]:
        """Return what is stored under the id, one entry a collection."""
        async with self._connections.use(SNAPSHOT) as db:
            return await read.document(db, id, collection, tenant)

    async def scan(
        self, after: str = "", limit: int = 1000, tenant: str = DEFAULT_TENANT
    ) -> tuple[list[Head], str | None]:
        """Return some heads, and where the next page begins."""
        async with self._connections.use(SNAPSHOT) as db:
            return await read.scan(db, after, limit, tenant)

    async def search(self, query: Query) -> list[Hit]:
        """Return at most ``limit`` chunks, best first."""
        async with self._connections.use(SNAPSHOT) as db:
            found = await candidates(db, query, self._kind)
            return list((await hits(db, found)).values())

    async def candidates(self, query: Query) -> Mapping[int, float]:
        """Return at most ``limit`` chunks' numbers with their scores, best first."""
        async with self._connections.use(SNAPSHOT) as db:
            return await candidates(db, query, self._kind)

    async def hits(self, scores: Mapping[int, float]) -> dict[int, Hit]:
        """Return the hits of these chunks; one that is not there any more is absent."""
        async with self._connections.use() as db:
            return await hits(db, scores)

    async def count(
        self,
        collection: str | None = None,
        tenant: str = DEFAULT_TENANT,
        filters: Mapping[str, Any] | None = None,
    ) -> Counts:
        """Return how many documents and chunks there are."""
        async with self._connections.use() as db:
            return await count(db, collection, tenant, filters or {})

    async def field_names(self, tenant: str = DEFAULT_TENANT) -> list[str]:
        """Return the fields that a document has, sorted."""
        async with self._connections.use() as db:
            return await fields.names(db, tenant)

    async def known_fields(
        self, leaves: Iterable[tuple[str, str]], tenant: str = DEFAULT_TENANT
    ) -> set[tuple[str, str]]:
        """Return those of these fields with their values that a document has."""
        async with self._connections.use() as db:
            return await fields.known(db, leaves, tenant)

    async def build_index(self, tell: Callable[[str], None]) -> None:
        """Build the vector index of every model, while everybody works on; ``tell`` gets lines."""
        async with self._connections.alone() as db:
            await index.build(db, self._kind, tell)

    async def expire(self, deleted_before: float) -> int:
        """Forget deletes, and heads of documents without a text, of before this time."""
        heads, ids = 0, write.EXPIRED_STEP
        while ids == write.EXPIRED_STEP:
            async with self._connections.use(WRITE) as db:
                gone, ids = await write.expire(db, deleted_before)
                heads += gone
        return heads

    async def summaries(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, StoredSummary]:
        """Return the summaries there are."""
        async with self._connections.use() as db:
            return await read.summaries(db, keys)

    async def save_summaries(self, summaries: Iterable[StoredSummary]) -> None:
        """Write them; an older version never replaces a newer one."""
        async with self._connections.use(WRITE) as db:
            await write.save_summaries(db, summaries)
