"""Search over one store: dense, keyword, or both fused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Protocol, TypeVar

from tickertape.documents import DocumentKey, Vector
from tickertape.errors import InvalidRecord
from tickertape.stores.base import Capability, Hit, Mode, Query, Store
from tickertape.stores.capabilities import CandidateStore, with_candidates, with_fields
from tickertape.stores.conditions import condition
from tickertape.text import blank, comparable

MODES = ("dense", "keyword", "hybrid")
DENSE_WEIGHT = 0.5  # keyword has the rest; equal weights measured best
K_MAX = 1000
QUERY_CHARACTERS_MAX = 10_000
FILTERS_MAX = 32
FILTER_VALUES_MAX = 1000
DEPTH_MIN = 200  # candidates from each side, so that the scores' range is wide enough to compare
DEPTH_PER_HIT = 2
DEPTH_MAX = 16_000  # where one document's chunks fill the list and per_document asks for others
DEEPEN = 4
LIKE = 0.75  # how alike a misspelt field's name and one that there is are

K = TypeVar("K")  # what a chunk is known by


class Identified(Protocol):
    """What search needs to know of the model: ``identity`` is name and precision."""

    @property
    def identity(self) -> str: ...


class QueryRunner(Protocol):
    """What search needs of `tickertape.embed.runner.Runner`."""

    @property
    def embedder(self) -> Identified: ...

    async def embed_text(self, text: str) -> Vector:
        """Embed one text; returns [dimension]."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A question. ``k`` is how many hits are wanted, 1 to 1000.

    ``filters``: metadata name (dotted for nested) -> value, or list of values of which one must be
    equal, or an object of comparisons (`tickertape.stores.conditions`). ``per_document``: at most
    one hit a document, its best chunk.
    """

    query: str
    mode: str = "hybrid"
    k: int = 5
    filters: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None
    per_document: bool = False


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A passage found. ``score`` is the cosine (dense), BM25 (keyword), or their fusion in 0..1
    (hybrid); ``dense`` and ``keyword`` are what each side gave, None where it did not find it.
    """

    key: DocumentKey
    ordinal: int
    chunk_count: int
    text: str
    score: float
    dense: float | None
    keyword: float | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first. ``took_ms`` is the time of the whole search, embedding included."""

    hits: Sequence[SearchHit]
    mode: str
    took_ms: float


class Search:
    """Searches a store with the vectors of a runner's model."""

    def __init__(self, store: Store, runner: QueryRunner) -> None:
        self.store = store
        self.runner = runner

    async def search(self, request: SearchRequest) -> SearchResult:
        """Find passages.

        Raises:
            InvalidRecord: a field of the request is wrong; names it.
            OutageError, TransientError: the store or the model cannot answer now.
        """
        begun = time.perf_counter()
        request = self._answerable(checked(request))
        vector = asyncio.create_task(self._vector(request))
        try:
            hits = await self._hits(request, vector)
        finally:
            vector.cancel()
        if request.filters and not hits:
            await self._check_names(request.filters)
        took_ms = (time.perf_counter() - begun) * 1000
        return SearchResult(hits=hits, mode=request.mode, took_ms=took_ms)

    def _answerable(self, request: SearchRequest) -> SearchRequest:
        """What a store without words of its own, or that cannot compare, can answer."""
        compared = [name for name, value in request.filters.items() if isinstance(value, Mapping)]
        if compared and Capability.FIELDS not in self.store.capabilities:
            expected = f"a value or a list of values, as the store {self.store.name} compares none"
            raise InvalidRecord(f"filters.{compared[0]}", expected)
        if request.mode == "dense" or Capability.KEYWORDS in self.store.capabilities:
            return request
        if request.mode == "keyword":
            expected = f"dense, as the store {self.store.name} has no keyword index"
            raise InvalidRecord("mode", expected, request.mode)
        return replace(request, mode="dense")

    async def _check_names(self, filters: Mapping[str, Any]) -> None:
        """Raise `InvalidRecord` for a filter on a field that no document has and that is spelt like
        one that there is."""
        if (store := with_fields(self.store)) is None:
            return
        there = await store.field_names()
        for name in filters:
            if name not in there and (near := get_close_matches(name, there, 1, LIKE)):
                expected = f"a field that a document has; did you mean {near[0]}?"
                raise InvalidRecord(f"filters.{name}", expected)

    async def _hits(
        self, request: SearchRequest, vector: asyncio.Task[Vector | None]
    ) -> list[SearchHit]:
        """The hits; deeper candidates are asked for while one document's chunks fill the list."""
        whole = request.mode != "hybrid" or request.per_document
        if not whole and (candidates := with_candidates(self.store)) is not None:
            return await self._from_candidates(candidates, request, vector)
        depth = request.k
        if request.mode == "hybrid" or request.per_document:
            depth = max(DEPTH_MIN, DEPTH_PER_HIT * request.k)
        while True:
            dense, keyword = await asyncio.gather(
                self._dense(request, vector, depth), self._keyword(request, depth)
            )
            hits = fuse(request.mode, dense, keyword)
            if request.per_document:
                hits = best_of_each(hits)
            exhausted = len(dense) < depth and len(keyword) < depth
            if len(hits) >= request.k or exhausted or depth >= DEPTH_MAX:
                return hits[: request.k]
            depth = min(depth * DEEPEN, DEPTH_MAX)

    async def _from_candidates(
        self, store: CandidateStore, request: SearchRequest, vector: asyncio.Task[Vector | None]
    ) -> list[SearchHit]:
        """The hits of a hybrid search: scores first, then the passages that are returned."""
        depth = max(DEPTH_MIN, DEPTH_PER_HIT * request.k)

        async def dense_side() -> Mapping[int, float]:
            return await store.candidates(self._dense_query(request, await vector, depth))

        dense, keyword = await asyncio.gather(
            dense_side(), store.candidates(_keyword_query(request, depth))
        )
        ranked = fused(dense, keyword)
        hits: list[SearchHit] = []
        while ranked and len(hits) < request.k:  # once, but for what was replaced meanwhile
            wanted = dict(ranked[: request.k - len(hits)])
            ranked = ranked[len(wanted) :]
            found = await store.hits(wanted)
            hits += [
                _search_hit(found[one], score, dense.get(one), keyword.get(one))
                for one, score in wanted.items()
                if one in found
            ]
        return hits

    async def _vector(self, request: SearchRequest) -> Vector | None:
        if request.mode == "keyword":
            return None
        return await self.runner.embed_text(comparable(request.query).text)

    async def _dense(
        self, request: SearchRequest, vector: asyncio.Task[Vector | None], limit: int
    ) -> list[Hit]:
        if request.mode == "keyword":
            return []
        return await self.store.search(self._dense_query(request, await vector, limit))

    async def _keyword(self, request: SearchRequest, limit: int) -> list[Hit]:
        if request.mode == "dense":
            return []
        return await self.store.search(_keyword_query(request, limit))

    def _dense_query(self, request: SearchRequest, vector: Vector | None, limit: int) -> Query:
        return Query(
            mode=Mode.DENSE,
            limit=limit,
            vector=vector,
            model=self.runner.embedder.identity,
            collection=request.collection,
            filters=request.filters,
        )


def _keyword_query(request: SearchRequest, limit: int) -> Query:
    return Query(
        mode=Mode.KEYWORD,
        limit=limit,
        text=request.query,
        collection=request.collection,
        filters=request.filters,
    )


def checked(request: SearchRequest) -> SearchRequest:
    """Return the request with a query that is clean text.

    Raises:
        InvalidRecord: a field is wrong.
    """
    if len(request.query) > QUERY_CHARACTERS_MAX:
        expected = f"at most {QUERY_CHARACTERS_MAX} characters"
        raise InvalidRecord("query", expected, len(request.query))
    # A lone surrogate is no text for a tokenizer, NUL is none for a database.
    query = request.query.encode("utf-8", "replace").decode().replace("\0", " ").strip()
    if blank(query):
        raise InvalidRecord("query", "a text", request.query)
    if request.mode not in MODES:
        raise InvalidRecord("mode", f"one of {', '.join(MODES)}", request.mode)
    if not isinstance(request.k, int) or not 1 <= request.k <= K_MAX:
        raise InvalidRecord("k", f"an integer from 1 to {K_MAX}", request.k)
    check_filters(request.filters)
    return replace(request, query=query)


def check_filters(filters: Mapping[str, Any]) -> None:
    """Raise `InvalidRecord` where they are too many, or one is none."""
    if len(filters) > FILTERS_MAX:
        raise InvalidRecord("filters", f"at most {FILTERS_MAX} names", len(filters))
    for name, value in filters.items():
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > FILTER_VALUES_MAX:
            raise InvalidRecord(f"filters.{name}", f"at most {FILTER_VALUES_MAX} values")
        condition(name, value)


def fuse(mode: str, dense: Sequence[Hit], keyword: Sequence[Hit]) -> list[SearchHit]:
    """Merge both sides' hits, best first; `fused` says how."""
    sides = (_by_chunk(dense), _by_chunk(keyword))
    scores = [{chunk: hit.score for chunk, hit in side.items()} for side in sides]
    both = {**sides[1], **sides[0]}
    hits = [
        _search_hit(both[chunk], score, scores[0].get(chunk), scores[1].get(chunk))
        for chunk, score in fused(*scores)
    ]
    if mode == "hybrid":
        return hits
    # One side is empty: its own score, not the normalised one
    own = [replace(hit, score=both[hit.key, hit.ordinal].score) for hit in hits]
    return sorted(own, key=lambda hit: -hit.score)


def fused(dense: Mapping[K, float], keyword: Mapping[K, float]) -> list[tuple[K, float]]:
    """Merge both sides' scores by chunk; best first.

    A convex sum of min-max normalised scores (Bruch et al., "An Analysis of Fusion Functions for
    Hybrid Retrieval", 2023); what one side did not find has 0 there. Measured better than
    reciprocal rank fusion.
    """
    sums: dict[K, float] = {}
    for weight, side in ((DENSE_WEIGHT, dense), (1 - DENSE_WEIGHT, keyword)):
        for chunk, score in _normalised(side):
            sums[chunk] = sums.get(chunk, 0.0) + weight * score
    return sorted(sums.items(), key=lambda item: -item[1])


def _search_hit(hit: Hit, score: float, dense: float | None, keyword: float | None) -> SearchHit:
    return SearchHit(
        key=hit.key,
        ordinal=hit.ordinal,
        chunk_count=hit.chunk_count,
        text=hit.text,
        score=score,
        dense=dense,
        keyword=keyword,
        metadata=hit.metadata,
    )


def best_of_each(hits: Iterable[SearchHit]) -> list[SearchHit]:
    """Keep each document's first hit."""
    best: dict[DocumentKey, SearchHit] = {}
    for hit in hits:
        best.setdefault(hit.key, hit)
    return list(best.values())


Chunk = tuple[DocumentKey, int]


def _by_chunk(hits: Sequence[Hit]) -> dict[Chunk, Hit]:
    return {(hit.key, hit.ordinal): hit for hit in hits}


def _normalised(side: Mapping[K, float]) -> Iterable[tuple[K, float]]:
    """Scores from 0 (the least of them) to 1; all 1 where they are equal."""
    low = min(side.values(), default=0.0)
    spread = max(side.values(), default=0.0) - low
    for chunk, score in side.items():
        yield chunk, (score - low) / spread if spread > 0 else 1.0
