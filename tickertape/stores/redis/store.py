"""`Store`, with what it can beyond that, over Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
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
from tickertape.stores.redis import fields, indexes, query, read, write
from tickertape.stores.redis.connections import NAME, Connections
from tickertape.versions import Version

SCHEMES = ("redis://", "rediss://", "unix://")


class RedisStore:
    """What is under one prefix of a Redis server, ``REDIS_URL``, shared by workers on any machines.

    A call of `apply` is one script, which does nothing where another worker was faster.
    """

    name = NAME
    capabilities = frozenset(
        {
            Capability.ATOMIC,
            Capability.KEYWORDS,
            Capability.COUNTS,
            Capability.CANDIDATES,
            Capability.SUMMARIES,
            Capability.WEIGHTS,
            Capability.FIELDS,
        }
    )

    def __init__(self, settings: Settings) -> None:
        url = settings.redis_url.get_secret_value() if settings.redis_url else ""
        if not url.startswith(SCHEMES):  # only here: other programs have that variable too
            raise SettingsError(
                "REDIS_URL: expected redis://..., rediss://... or unix://..., as redis is a store"
            )
        seconds = settings.store_timeout_seconds
        self._connections = Connections(url, settings.redis_prefix, seconds)

    async def start(self) -> None:
        """Connect, create what is missing. Raises `StoreError` when it cannot."""
        await self._connections.open()

    async def stop(self) -> None:
        """End the connections. Safe to call twice."""
        await self._connections.close()

    async def ping(self) -> None:
        """Raise when the indexes cannot be read now."""
        async with self._connections.use() as db:
            await indexes.ping(db, self._connections.keys)

    async def heads(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
        """Return the heads there are (deleted ones too)."""
        async with self._connections.use():
            return await read.heads(self._connections, keys)

    async def apply(self, operations: Sequence[Operation]) -> list[Applied | Exception]:
        """Do the operations in order, in one script; one result each."""
        if not operations:
            return []
        ready = await asyncio.to_thread(window.ready, NAME, operations)
        async with self._connections.use():
            return await write.apply(self._connections, ready)

    async def missing(
        self, id: str, tenant: str = DEFAULT_TENANT
    ) -> list[tuple[DocumentKey, Version]]:
        """Return the events of this id that are shown and whose text is not stored."""
        async with self._connections.use():
            return await read.missing(self._connections, id, tenant)

    async def document(
        self, id: str, collection: str | None = None, tenant: str = DEFAULT_TENANT
    ) -> list[StoredDocument]:
        """Return what is stored under the id, one entry a collection."""
        async with self._connections.use():
            return await read.document(self._connections, id, collection, tenant)

    async def scan(
        self, after: str = "", limit: int = 1000, tenant: str = DEFAULT_TENANT
    ) -> tuple[list[Head], str | None]:
        """Return some heads, and where the next page begins."""
        async with self._connections.use():
            return await read.scan(self._connections, after, limit, tenant)

    async def search(self, asked: Query) -> list[Hit]:
        """Return at most ``limit`` chunks, best first."""
        async with self._connections.use():
            return await query.search(self._connections, asked)

    async def candidates(self, asked: Query) -> Mapping[int, float]:
        """Return at most ``limit`` chunks' numbers with their scores, best first."""
        async with self._connections.use():
            return await query.candidates(self._connections, asked)

    async def hits(self, scores: Mapping[int, float]) -> dict[int, Hit]:
        """Return the hits of these chunks; one that is not there any more is absent."""
        async with self._connections.use():
            return await query.hits(self._connections, scores)

    async def question_weight(self, text: str) -> float:
        """Return the score of a chunk of usual length that holds each of the words once."""
        async with self._connections.use():
            return await query.weight(self._connections, text)

    async def count(
        self,
        collection: str | None = None,
        tenant: str = DEFAULT_TENANT,
        filters: Mapping[str, Any] | None = None,
    ) -> Counts:
        """Return how many documents and chunks there are."""
        async with self._connections.use():
            return await query.count(self._connections, collection, tenant, filters or {})

    async def field_names(self, tenant: str = DEFAULT_TENANT) -> list[str]:
        """Return the fields that a document has, sorted."""
        async with self._connections.use():
            return await fields.names(self._connections, tenant)

    async def known_fields(
        self, leaves: Iterable[tuple[str, str]], tenant: str = DEFAULT_TENANT
    ) -> set[tuple[str, str]]:
        """Return those of these fields with their values that a document has."""
        async with self._connections.use():
            return await fields.known(self._connections, leaves, tenant)

    async def expire(self, deleted_before: float) -> int:
        """Forget deletes, and heads of documents without a text, of before this time."""
        heads, ids = 0, write.EXPIRED_STEP
        while ids == write.EXPIRED_STEP:
            async with self._connections.use():
                gone, ids = await write.expire(self._connections, deleted_before)
                heads += gone
        return heads

    async def summaries(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, StoredSummary]:
        """Return the summaries there are."""
        async with self._connections.use():
            return await read.summaries(self._connections, keys)

    async def save_summaries(self, summaries: Iterable[StoredSummary]) -> None:
        """Write them; an older version never replaces a newer one."""
        async with self._connections.use():
            await write.save_summaries(self._connections, summaries)
