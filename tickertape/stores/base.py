"""The contract every store keeps. `tests/contract/test_stores.py` runs against each of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tickertape.documents import (
    DEFAULT_TENANT,
    Applied,
    DocumentKey,
    Head,
    Operation,
    Vector,
)
from tickertape.documents import StoredDocument as StoredDocument
from tickertape.versions import Version


class Mode(enum.Enum):
    """How a store is asked; hybrid is made of both, by `tickertape.search`."""

    DENSE = "dense"
    KEYWORD = "keyword"


class Capability(enum.Enum):
    """What only some stores have, as each says itself; with some come methods
    (`tickertape.stores.capabilities`)."""

    ATOMIC = "atomic"  # a call of `apply` is seen whole or not at all, also after a crash
    KEYWORDS = "keywords"  # its own keyword index: it answers `Mode.KEYWORD`
    COUNTS = "counts"  # `count` takes filters
    CANDIDATES = "candidates"  # `CandidateStore`
    SUMMARIES = "summaries"  # `SummaryLedger`
    VECTOR_INDEX = "vector index"  # `IndexedStore`
    FILES = "files"  # `LocalStore`
    WEIGHTS = "weights"  # `WeighingStore`
    FIELDS = "fields"  # `FieldStore`; filters may compare


@dataclass(frozen=True, slots=True)
class Query:
    """A search of a tenant's. ``filters`` match metadata fields: equal to the value, or to one of a
    list, or (`Capability.FIELDS`) an object of comparisons that one value of the field passes
    (`tickertape.stores.conditions`); a dotted name reaches into nested metadata. DENSE has a
    ``vector``, KEYWORD a ``text``."""

    mode: Mode
    limit: int
    text: str = ""
    vector: Vector | None = None
    model: str | None = None  # with precision; only chunks of this model are compared
    collection: str | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    tenant: str = DEFAULT_TENANT


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
class Counts:
    """How much a store holds."""

    documents: int
    chunks: int


class Store(Protocol):
    """Documents, chunks with vectors, heads. Every method is off the event loop, and concerns one
    tenant's alone.

    Errors: `OutageError` when it cannot be reached or is overloaded, `TransientError` when a call
    failed and may pass, `PermanentError` for input it will never take.
    """

    name: str
    capabilities: frozenset[Capability]

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
        with. A `Touch` whose content is not what is stored is a `TransientError`: another worker
        was faster. A `Delete` is SUPERSEDED where something newer stays. UNCOVERED: a text that is
        shown now was not kept (see `missing`); nothing of the document is stored until it comes.
        """

    async def missing(
        self, id: str, tenant: str = DEFAULT_TENANT
    ) -> list[tuple[DocumentKey, Version]]:
        """Return the events of this id, in every collection, that are shown and whose text is not
        stored. Each is to be read again from where its version says it stood."""

    async def document(
        self, id: str, collection: str | None = None, tenant: str = DEFAULT_TENANT
    ) -> list[StoredDocument]:
        """Return what is stored under the id, one entry a collection, chunks in order."""

    async def scan(
        self, after: str = "", limit: int = 1000, tenant: str = DEFAULT_TENANT
    ) -> tuple[list[Head], str | None]:
        """Return at most ``limit`` heads, deleted ones too, and where the next page begins, in the
        store's own words; None after the last. A document that is there all the time is in one of
        the pages, or in several; an id of which only a delete is known in none."""

    async def search(self, query: Query) -> list[Hit]:
        """Return at most ``query.limit`` chunks, best first."""

    async def count(
        self,
        collection: str | None = None,
        tenant: str = DEFAULT_TENANT,
        filters: Mapping[str, Any] | None = None,
    ) -> Counts:
        """Return how many documents (not deleted) and chunks there are."""

    async def expire(self, deleted_before: float) -> int:
        """Forget deletes, and heads of documents without a text, of before this time (epoch
        seconds), whosever they are; return how many heads."""
