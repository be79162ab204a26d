"""The contract every store keeps. `tests/contract/test_stores.py` runs against each of them."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tickertape.documents import (
    Applied,
    DocumentKey,
    Head,
    Operation,
    StoredChunk,
    StoredSummary,
    Vector,
)
from tickertape.versions import Version


class Mode(enum.Enum):
    """How a store is asked. Hybrid is made of both, by `tickertape.search`."""

    DENSE = "dense"
    KEYWORD = "keyword"


@dataclass(frozen=True, slots=True)
class Query:
    """A search. ``filters`` match metadata fields: equal to the value, or to one of a list.

    A dotted name reaches into nested metadata. ``vector`` is set for DENSE, ``text`` for KEYWORD.
    """

    mode: Mode
    limit: int
    text: str = ""
    vector: Vector | None = None
    model: str | None = None  # with precision; only chunks of this model are compared
    collection: str | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hit:
    """One chunk found. ``score`` grows with relevance: cosine for dense, BM25 for keyword."""

    key: DocumentKey
    ordinal: int
    chunk_count: int
    text: str
    score: float
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """All that a store holds of one document."""

    head: Head
    metadata: Mapping[str, Any]
    source: str | None
    model: str | None
    chunks: Sequence[StoredChunk]


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a store holds."""

    documents: int
    chunks: int


class Store(Protocol):
    """Documents, chunks with vectors, heads. Every method is off the event loop.

    Errors: `OutageError` when the store cannot be reached or is overloaded, `TransientError`
    when a call failed and may pass, `PermanentError` for input it will never take.
    """

    name: str

    async def start(self) -> None:
        """Open, create what is missing. Raises `StoreError` when it cannot."""

    async def stop(self) -> None:
        """Close. Safe to call twice."""

    async def ping(self) -> None:
        """Raise when the store is not usable now."""

    async def heads(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
        """Return the heads there are (deleted ones too, and of ids of which only a delete is
        known); a key without any is absent."""

    async def apply(self, operations: Sequence[Operation]) -> list[Applied | Exception]:
        """Do the operations in order; one result each, an exception for one that failed alone.

        `tickertape.editions` decides what is shown, and a store keeps its text (`Editions.dumps`)
        beside each document and the deletes of each id, also where nothing of it is stored yet.
        An edition that is not shown is remembered and SUPERSEDED; the same event twice is applied
        again. `Put` of a whole text replaces the document's chunks, whatever model they were made
        with. Where the store has transactions, all is one. A `Touch` whose content is not what is
        stored is a `TransientError`: another worker was faster.
        A `Delete` is SUPERSEDED where something newer stays. UNCOVERED: a text that is shown now
        was not kept (see `missing`); nothing of the document is stored until it comes again.
        """

    async def missing(self, id: str) -> list[tuple[DocumentKey, Version]]:
        """Return the events of this id, in every collection, that are shown and whose text is not
        stored. Each is to be read again from where its version says it stood."""

    async def document(self, id: str, collection: str | None = None) -> list[StoredDocument]:
        """Return what is stored under the id, one entry a collection, chunks in order."""

    async def search(self, query: Query) -> list[Hit]:
        """Return at most ``query.limit`` chunks, best first."""

    async def count(self, collection: str | None = None) -> Counts:
        """Return how many documents (not deleted) and chunks there are."""

    async def expire(self, deleted_before: float) -> int:
        """Forget deletes, and heads of documents without a text, of before this time (epoch
        seconds); return how many heads."""


@runtime_checkable
class SummaryLedger(Protocol):
    """A store that also remembers summaries; the first such store configured is used."""

    async def summaries(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, StoredSummary]:
        """Return the summaries there are."""

    async def save_summaries(self, summaries: Iterable[StoredSummary]) -> None:
        """Write them; an older version never replaces a newer one."""


@runtime_checkable
class LocalStore(Protocol):
    """A store that is files of this machine and nothing else: `reset` deletes them."""

    def files(self) -> list[Path]:
        """Return those that are there."""


@runtime_checkable
class CandidateStore(Protocol):
    """A store that finds chunks and reads what they say in two calls.

    A hybrid search compares hundreds of scores and shows five passages. A store without this is
    asked for whole hits instead.
    """

    async def candidates(self, query: Query) -> Mapping[int, float]:
        """Return scores as `Store.search` does, by the store's own number of the chunk; best
        first. Of many candidates, the last may be others than the very next best."""

    async def hits(self, scores: Mapping[int, float]) -> dict[int, Hit]:
        """Return the hits of these candidates; one that was replaced meanwhile is absent."""
