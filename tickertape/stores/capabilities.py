"""The methods that come with some capabilities, and how a store that has them is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast

from tickertape.documents import DEFAULT_TENANT, DocumentKey, StoredSummary
from tickertape.stores.base import Capability, Hit, Query, Store


class SummaryLedger(Protocol):
    """A store that also remembers summaries; the first such store configured is used."""

    async def summaries(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, StoredSummary]:
        """Return the summaries there are."""

    async def save_summaries(self, summaries: Iterable[StoredSummary]) -> None:
        """Write them; an older version never replaces a newer one."""


class LocalStore(Protocol):
    """A store that is files of this machine and nothing else: `reset` deletes them."""

    def files(self) -> list[Path]:
        """Return those that are there."""


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


class FieldStore(Protocol):
    """A store that knows which fields the metadata of its documents have, and which values.

    So filters may compare values (`tickertape.stores.conditions`), a misspelt field is told, and a
    question's words are known to be a company's name.
    """

    async def field_names(self, tenant: str = DEFAULT_TENANT) -> list[str]:
        """Return the fields that a document has, sorted."""

    async def known_fields(
        self, leaves: Iterable[tuple[str, str]], tenant: str = DEFAULT_TENANT
    ) -> set[tuple[str, str]]:
        """Return those of these fields with their canonical values that a document has."""


class WeighingStore(Protocol):
    """A store that tells what BM25 may come to: so a score means the same whatever is found."""

    async def question_weight(self, text: str) -> float:
        """Return the score of a chunk of usual length that holds each of the question's words once,
        those too that no chunk holds; 0 where it has no words."""


class IndexedStore(Protocol):
    """A store whose vector index is built by a command, after a bulk load: until then, and of what
    is small, a search compares all."""

    async def build_index(self, tell: Callable[[str], None]) -> None:
        """Build what is missing, while everybody works on; ``tell`` gets a line each."""


def with_summaries(store: Store) -> SummaryLedger | None:
    """Return the store where it says that it remembers summaries."""
    return cast(SummaryLedger, store) if Capability.SUMMARIES in store.capabilities else None


def with_files(store: Store) -> LocalStore | None:
    """Return the store where it says that it is files of this machine."""
    return cast(LocalStore, store) if Capability.FILES in store.capabilities else None


def with_candidates(store: Store) -> CandidateStore | None:
    """Return the store where it says that it has candidates."""
    return cast(CandidateStore, store) if Capability.CANDIDATES in store.capabilities else None


def with_fields(store: Store) -> FieldStore | None:
    """Return the store where it says that it knows its fields."""
    return cast(FieldStore, store) if Capability.FIELDS in store.capabilities else None


def with_weights(store: Store) -> WeighingStore | None:
    """Return the store where it says that it weighs questions."""
    return cast(WeighingStore, store) if Capability.WEIGHTS in store.capabilities else None


def with_index(store: Store) -> IndexedStore | None:
    """Return the store where it says that it has a vector index to build."""
    return cast(IndexedStore, store) if Capability.VECTOR_INDEX in store.capabilities else None
