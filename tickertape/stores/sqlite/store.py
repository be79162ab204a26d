"""`Store` and `SummaryLedger` over SQLite: each method hands one function to a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tickertape.documents import (
    DEFAULT_TENANT,
    Applied,
    DocumentKey,
    Head,
    Operation,
    StoredSummary,
)
from tickertape.errors import OutageError
from tickertape.settings import Settings
from tickertape.stores.base import Capability, Counts, Hit, Query, StoredDocument
from tickertape.stores.sqlite import read, write
from tickertape.stores.sqlite.filters import count as counts
from tickertape.stores.sqlite.filters import known, names
from tickertape.stores.sqlite.query import Searcher, hits
from tickertape.stores.sqlite.threads import Threads
from tickertape.versions import Version

FILE = "tickertape.db"


class SqliteStore:
    """One file, ``TICKERTAPE_DATA_DIR``/tickertape.db, shared by the workers of a machine.

    A call of `apply` is one transaction. Several processes may write; SQLite lets one at a time,
    the others wait (`threads.BUSY_SECONDS`), then raise `OutageError`.
    """

    name = "sqlite"
    file = FILE
    capabilities = frozenset(
        {
            Capability.ATOMIC,
            Capability.KEYWORDS,
            Capability.COUNTS,
            Capability.CANDIDATES,
            Capability.SUMMARIES,
            Capability.FILES,
            Capability.WEIGHTS,
            Capability.FIELDS,
        }
    )

    def __init__(self, settings: Settings) -> None:
        self.path = settings.data_dir / self.file
        self._threads: Threads | None = None
        self._searcher = self._new_searcher()

    def files(self) -> list[Path]:
        """Return the database with its log and its index of that."""
        return sorted(self.path.parent.glob(f"{self.file}*"))

    async def start(self) -> None:
        """Open the file, made if missing. Raises `StoreError` when it cannot."""
        if self._threads is not None:
            return
        threads = Threads(self.path, self.name)
        try:
            await threads.open()
        except BaseException:
            await threads.close()
            raise
        self._threads = threads

    async def stop(self) -> None:
        """Finish the transaction that runs and close. Safe to call twice."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await threads.close()
        self._searcher = self._new_searcher()

    async def ping(self) -> None:
        """Raise `OutageError` when the file is gone, replaced, or cannot be read."""
        threads = self._open()
        await asyncio.to_thread(threads.check_files)
        await threads.read(read.probe)

    async def heads(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
        """Return the heads there are (deleted ones too)."""
        return await self._open().read(read.heads, keys)

    async def apply(self, operations: Sequence[Operation]) -> list[Applied | Exception]:
        """Do the operations in order, in one transaction; one result each."""
        return await self._open().write(write.apply, operations, self.name) if operations else []

    async def missing(
        self, id: str, tenant: str = DEFAULT_TENANT
    ) -> list[tuple[DocumentKey, Version]]:
        """Return the events of this id that are shown and whose text is not stored."""
        return await self._open().read(read.missing, id, tenant)

    async def document(
        self, id: str, collection: str | None = None, tenant: str = DEFAULT_TENANT
    ) -> list[StoredDocument]:
        """Return what is stored under the id, one entry a collection."""
        return await self._open().read(read.document, id, collection, tenant)

    async def scan(
        self, after: str = "", limit: int = 1000, tenant: str = DEFAULT_TENANT
    ) -> tuple[list[Head], str | None]:
        """Return some heads, and where the next page begins."""
        return await self._open().read(read.scan, after, limit, tenant)

    async def search(self, query: Query) -> list[Hit]:
        """Return at most ``query.limit`` chunks, best first."""
        return await self._open().read(self._searcher.search, query)

    async def candidates(self, query: Query) -> Mapping[int, float]:
        """Return scores by chunk id, best first."""
        return await self._open().read(self._searcher.candidates, query)

    async def hits(self, scores: Mapping[int, float]) -> dict[int, Hit]:
        """Return the hits of these chunk ids; one that is not there any more is absent."""
        return await self._open().read(hits, scores)

    async def count(
        self,
        collection: str | None = None,
        tenant: str = DEFAULT_TENANT,
        filters: Mapping[str, Any] | None = None,
    ) -> Counts:
        """Return how many documents and chunks there are."""
        return await self._open().read(counts, collection, tenant, filters)

    async def question_weight(self, text: str) -> float:
        """Return what a chunk of usual length scores that holds each of the words once."""
        return await self._open().read(self._searcher.weight, text)

    async def field_names(self, tenant: str = DEFAULT_TENANT) -> list[str]:
        """Return the fields that a document has, sorted."""
        return await self._open().read(names, tenant)

    async def known_fields(
        self, leaves: Iterable[tuple[str, str]], tenant: str = DEFAULT_TENANT
    ) -> set[tuple[str, str]]:
        """Return those of these fields with their values that a document has."""
        return await self._open().read(known, list(leaves), tenant)

    async def expire(self, deleted_before: float) -> int:
        """Forget deletes, and heads of documents without a text, of before this time."""
        return await self._open().write(write.expire, deleted_before)

    async def summaries(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, StoredSummary]:
        """Return the summaries there are."""
        return await self._open().read(read.summaries, keys)

    async def save_summaries(self, summaries: Iterable[StoredSummary]) -> None:
        """Write them; an older version never replaces a newer one."""
        await self._open().write(write.save_summaries, list(summaries))

    def _open(self) -> Threads:
        if self._threads is None:
            raise OutageError("the store is not started", dependency=f"store:{self.name}")
        return self._threads

    def _new_searcher(self) -> Searcher:
        return Searcher()
