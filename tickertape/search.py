"""Search over one store: dense, keyword, or both, ranked by what the question says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Protocol

from tickertape import excerpts, facets, ranking
from tickertape.documents import DocumentKey, Vector
from tickertape.errors import InvalidRecord
from tickertape.facets import FORM, OURS, PERIOD, WHO, Asked
from tickertape.ranking import Candidate, Question
from tickertape.stores.base import Capability, Hit, Mode, Query, Store
from tickertape.stores.capabilities import (
    with_candidates,
    with_fields,
    with_summaries,
    with_weights,
)
from tickertape.stores.conditions import condition
from tickertape.text import blank, comparable

MODES = ("dense", "keyword", "hybrid")
READINGS = ("prefer", "filter", "off")
K_MAX = 1000
GROUP_MAX = 20
NEIGHBOURS_MAX = 5
QUERY_CHARACTERS_MAX = 10_000
FILTERS_MAX = 32
FILTER_VALUES_MAX = 1000
DEPTH_MIN = 200  # candidates from each side
DEPTH_PER_HIT = 2
DEPTH_MAX = 16_000  # where one document's chunks fill the list and per_document asks for others
DEEPEN = 4
RANKED_MIN = 24  # candidates that are read and ranked by their words
RANKED_PER_HIT = 2
SCALED_BY = 3  # of those that words rank highest
FEW = 10  # candidates of a company and period; with fewer, the company's others are asked for too
LIKE = 0.75  # how alike a misspelt field's name and one that there is are


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
    one hit a document, its best chunk; ``group``: so many further chunks of it are told with it.
    ``reading``: what is made of the company, period and form that the question names: they are
    preferred (in a hybrid search), everything else is left out ("filter"), or nothing ("off").
    ``neighbours``: so many chunks before and after each hit are told with it.
    """

    query: str
    mode: str = "hybrid"
    k: int = 5
    filters: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None
    per_document: bool = False
    group: int = 0
    reading: str = "prefer"
    neighbours: int = 0


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A passage found. ``score`` is the cosine (dense), BM25 (keyword), or how well it answers, 0
    to 1, whatever else was found (hybrid, `tickertape.ranking`); ``dense`` and ``keyword`` are what
    each side gave, None where it did not find it. ``excerpt`` is the part that answers.
    """

    key: DocumentKey
    ordinal: int
    chunk_count: int
    text: str
    score: float
    dense: float | None
    keyword: float | None
    metadata: Mapping[str, Any]
    excerpt: str = ""
    others: Sequence[SearchHit] = ()  # further chunks of the document, best first
    before: Sequence[str] = ()  # the chunks that stand before it, and after it
    after: Sequence[str] = ()
    summary: str | None = None  # of its document, where the store remembers one


@dataclass(frozen=True, slots=True)
class Read:
    """What a question was found to name, of what is stored."""

    companies: Sequence[str] = ()
    periods: Sequence[str] = ()
    forms: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first; none where nothing answers. ``took_ms`` is the time of the whole search,
    embedding included."""

    hits: Sequence[SearchHit]
    mode: str
    took_ms: float
    read: Read = Read()


@dataclass(frozen=True, slots=True)
class _Found:
    """Candidates of both sides, by what the store knows a chunk by, and how they are read."""

    dense: Mapping[Any, float]
    keyword: Mapping[Any, float]
    meant: frozenset[Any]  # of the company, or of the company and period, that the question names
    read: Callable[[Sequence[Any]], Awaitable[Mapping[Any, Hit]]]
    exhausted: bool
    scale: float | None  # of BM25; None where the store does not say

    def ordered(self) -> list[Any]:
        """All of them, best first by their scores alone."""
        most = max(self.keyword.values(), default=0.0) or 1.0
        scores = {
            chunk: ranking.DENSE * self.dense.get(chunk, 0.0) / ranking.COSINE_FULL
            + ranking.KEYWORD * self.keyword.get(chunk, 0.0) / most
            + (ranking.WHO + ranking.PERIOD) * (chunk in self.meant)
            for chunk in {**self.dense, **self.keyword}
        }
        return sorted(scores, key=lambda chunk: -scores[chunk])


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
            asked, known = await self._read(request)
            if request.reading == "filter":
                request = replace(request, filters={**request.filters, **_meant(asked, known)})
            question = ranking.question(
                request.query,
                asked.who(known),
                *((asked.periods, asked.forms) if request.reading != "off" else ()),
            )
            if request.mode == "hybrid":
                hits = await self._hybrid(request, question, asked, known, vector)
            else:
                hits = await self._one_side(request, vector)
        finally:
            vector.cancel()
        if request.filters and not hits:
            await self._check_names(request.filters)
        hits = await self._told(request, question, hits)
        took_ms = (time.perf_counter() - begun) * 1000
        return SearchResult(hits, request.mode, took_ms, _told_read(asked, known))

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

    async def _read(self, request: SearchRequest) -> tuple[Asked, set[tuple[str, str]]]:
        """What the question may name, and what of it there is."""
        store = with_fields(self.store)
        one_side = request.mode != "hybrid" and request.reading != "filter"
        if request.reading == "off" or one_side:
            return Asked(), set()
        asked = facets.of_question(request.query)
        if store is None:
            return asked, set()
        leaves = asked.leaves()
        return asked, await store.known_fields(leaves) if leaves else set()

    async def _check_names(self, filters: Mapping[str, Any]) -> None:
        """Raise `InvalidRecord` for a filter on a field that no document has and that is spelt like
        one that there is."""
        if (store := with_fields(self.store)) is None:
            return
        there = [name for name in await store.field_names() if not name.startswith(OURS)]
        for name in filters:
            near = [] if name.startswith(OURS) else get_close_matches(name, there, 1, LIKE)
            if near and name not in there:
                expected = f"a field that a document has; did you mean {near[0]}?"
                raise InvalidRecord(f"filters.{name}", expected)

    async def _one_side(
        self, request: SearchRequest, vector: asyncio.Task[Vector | None]
    ) -> list[SearchHit]:
        """The hits of one side as it ranks them; deeper candidates are asked for while one
        document's chunks fill the list."""
        depth = max(DEPTH_MIN, DEPTH_PER_HIT * request.k) if request.per_document else request.k
        while True:
            dense, keyword = await self._sides(request, vector, depth, self.store.search)
            hits = [_hit(each, each.score, each.score, None) for each in dense]
            hits += [_hit(each, each.score, None, each.score) for each in keyword]
            if request.per_document:
                hits = best_of_each(hits, request.group)
            exhausted = len(dense) < depth and len(keyword) < depth
            if len(hits) >= request.k or exhausted or depth >= DEPTH_MAX:
                return hits[: request.k]
            depth = min(depth * DEEPEN, DEPTH_MAX)

    async def _hybrid(
        self,
        request: SearchRequest,
        question: Question,
        asked: Asked,
        known: Iterable[tuple[str, str]],
        vector: asyncio.Task[Vector | None],
    ) -> list[SearchHit]:
        """The hits of both sides, ranked by what they say; deeper candidates are asked for while
        one document's chunks fill the list."""
        depth = max(DEPTH_MIN, DEPTH_PER_HIT * request.k)
        while True:
            found = await self._found(request, _meant(asked, known), vector, depth)
            if with_fields(self.store) is None:
                question = replace(question, who=asked.who(await _whose(found)))
            hits, more = await _ranked(found, request, question)
            if not more or len(hits) >= request.k or found.exhausted or depth >= DEPTH_MAX:
                return hits[: request.k]
            depth = min(depth * DEEPEN, DEPTH_MAX)

    async def _found(
        self,
        request: SearchRequest,
        meant: Mapping[str, Any],
        vector: asyncio.Task[Vector | None],
        depth: int,
    ) -> _Found:
        """The candidates, and where the question names a company, those of it too."""
        (dense, keyword), narrow, scale = await asyncio.gather(
            self._scored(request, vector, depth),
            self._of_meant(request, meant, vector, depth),
            self._scale(request),
        )
        exhausted = len(dense) < depth and len(keyword) < depth
        of_meant: set[Any] = set()
        for more_dense, more_keyword in narrow:
            dense, keyword = {**more_dense, **dense}, {**more_keyword, **keyword}
            of_meant |= {*more_dense, *more_keyword}
        store = with_candidates(self.store)

        async def read(chunks: Sequence[Any]) -> Mapping[Any, Hit]:
            if store is not None:
                return await store.hits(dict.fromkeys(chunks, 0.0))
            return {chunk: chunk.hit for chunk in chunks}

        return _Found(dense, keyword, frozenset(of_meant), read, exhausted, scale)

    async def _scale(self, request: SearchRequest) -> float | None:
        store = with_weights(self.store)
        if store is None:
            return None
        return ranking.scale_of(await store.question_weight(request.query))

    async def _of_meant(
        self,
        request: SearchRequest,
        meant: Mapping[str, Any],
        vector: asyncio.Task[Vector | None],
        depth: int,
    ) -> list[tuple[Mapping[Any, float], Mapping[Any, float]]]:
        """Candidates of the company and period that are meant, and where those are few, of the
        company."""
        if WHO not in meant or request.reading == "filter":
            return []
        found = []
        for names in ((WHO, PERIOD), (WHO,)):
            wanted = {name: meant[name] for name in names if name in meant}
            if len(wanted) < len(names):
                continue
            narrowed = replace(request, filters={**request.filters, **wanted})
            found.append(await self._scored(narrowed, vector, depth))
            if len(found[-1][0]) >= FEW:
                break
        return found

    async def _scored(
        self, request: SearchRequest, vector: asyncio.Task[Vector | None], depth: int
    ) -> tuple[Mapping[Any, float], Mapping[Any, float]]:
        """Both sides' scores, by the store's number of a chunk or by what it found of it."""
        store = with_candidates(self.store)
        if store is not None:
            return await self._sides(request, vector, depth, store.candidates)
        dense, keyword = await self._sides(request, vector, depth, self.store.search)
        return {_Chunk(hit): hit.score for hit in dense}, {
            _Chunk(hit): hit.score for hit in keyword
        }

    async def _sides(
        self,
        request: SearchRequest,
        vector: asyncio.Task[Vector | None],
        depth: int,
        ask: Callable[[Query], Awaitable[Any]],
    ) -> tuple[Any, Any]:
        async def dense() -> Any:
            if request.mode == "keyword":
                return ()
            return await ask(self._dense_query(request, await vector, depth))

        async def keyword() -> Any:
            return () if request.mode == "dense" else await ask(_keyword_query(request, depth))

        found: tuple[Any, Any] = await asyncio.gather(dense(), keyword())
        return found

    async def _vector(self, request: SearchRequest) -> Vector | None:
        if request.mode == "keyword":
            return None
        return await self.runner.embed_text(comparable(request.query).text)

    def _dense_query(self, request: SearchRequest, vector: Vector | None, limit: int) -> Query:
        return Query(
            mode=Mode.DENSE,
            limit=limit,
            vector=vector,
            model=self.runner.embedder.identity,
            collection=request.collection,
            filters=request.filters,
        )

    async def _told(
        self, request: SearchRequest, question: Question, hits: Sequence[SearchHit]
    ) -> list[SearchHit]:
        """The hits with their excerpts, their documents' summaries and, where asked for, their
        neighbours."""
        summaries = await summaries_of(self.store, {hit.key for hit in hits})
        found = await asyncio.to_thread(
            lambda: [
                replace(_excerpted(question, hit), summary=summaries.get(hit.key)) for hit in hits
            ]
        )
        if not request.neighbours:
            return found
        return [await self._beside(hit, request.neighbours) for hit in found]

    async def _beside(self, hit: SearchHit, count: int) -> SearchHit:
        """The hit with the chunks that stand before and after it."""
        key = hit.key
        for stored in await self.store.document(key.id, key.collection, key.tenant):
            texts = {chunk.ordinal: chunk.text for chunk in stored.chunks}
            if texts.get(hit.ordinal) == hit.text:  # else it was replaced meanwhile
                places = range(max(0, hit.ordinal - count), hit.ordinal + count + 1)
                before = [texts[n] for n in places if n in texts and n < hit.ordinal]
                after = [texts[n] for n in places if n in texts and n > hit.ordinal]
                return replace(hit, before=before, after=after)
        return hit


async def summaries_of(store: Store, keys: Iterable[DocumentKey]) -> dict[DocumentKey, str]:
    """Return the summaries' texts that a store remembers of these documents."""
    ledger, wanted = with_summaries(store), list(keys)
    if ledger is None or not wanted:
        return {}
    there = await ledger.summaries(wanted)
    found = {key: each.result.get("summary") for key, each in there.items()}
    return {key: text for key, text in found.items() if isinstance(text, str) and text}


class _Chunk:
    """A hit as a key: what a chunk is known by where the store has no number for it."""

    __slots__ = ("hit",)

    def __init__(self, hit: Hit) -> None:
        self.hit = hit

    def __hash__(self) -> int:
        return hash((self.hit.key, self.hit.ordinal))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Chunk):
            return NotImplemented
        return (self.hit.key, self.hit.ordinal) == (other.hit.key, other.hit.ordinal)


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
    if request.reading not in READINGS:
        raise InvalidRecord("reading", f"one of {', '.join(READINGS)}", request.reading)
    for name, value, most in (
        ("group", request.group, GROUP_MAX),
        ("neighbours", request.neighbours, NEIGHBOURS_MAX),
    ):
        if not isinstance(value, int) or not 0 <= value <= most:
            raise InvalidRecord(name, f"an integer from 0 to {most}", value)
    check_filters(request.filters)
    grouped = request.per_document or request.group > 0
    return replace(request, query=query, per_document=grouped)


def check_filters(filters: Mapping[str, Any]) -> None:
    """Raise `InvalidRecord` where they are too many, or one is none."""
    if len(filters) > FILTERS_MAX:
        raise InvalidRecord("filters", f"at most {FILTERS_MAX} names", len(filters))
    for name, value in filters.items():
        values = value if isinstance(value, list | tuple) else [value]
        if len(values) > FILTER_VALUES_MAX:
            raise InvalidRecord(f"filters.{name}", f"at most {FILTER_VALUES_MAX} values")
        condition(name, value)


async def _whose(found: _Found) -> set[tuple[str, str]]:
    """The companies of the best candidates: of a store that does not say which there are."""
    read = await found.read(found.ordered()[:RANKED_MIN])
    documents = (facets.of_document(hit.metadata, hit.key.id) for hit in read.values())
    return {(WHO, name) for document in documents for name in document.who}


async def _ranked(
    found: _Found, request: SearchRequest, question: Question
) -> tuple[list[SearchHit], bool]:
    """The hits that answer, best first, page by page until they are enough; and whether deeper
    candidates may answer too."""
    ordered = found.ordered()
    page = max(RANKED_MIN, RANKED_PER_HIT * request.k)
    best = sorted(found.keyword, key=lambda chunk: -found.keyword[chunk])[:SCALED_BY]
    scale = found.scale
    hits: list[SearchHit] = []
    at = 0
    while at < len(ordered):
        chunks = ordered[at : at + page]
        read = await found.read([*chunks, *(best if scale is None else ())])
        at += len(chunks)
        page *= 2
        candidates = {
            chunk: Candidate(
                hit.text, hit.metadata, hit.key.id, found.dense.get(chunk), found.keyword.get(chunk)
            )
            for chunk, hit in read.items()
        }
        scaled = [candidates[chunk] for chunk in best if chunk in candidates]
        given = scale
        scale, scores = await asyncio.to_thread(_scores, question, candidates, scaled, given)
        fresh = [
            _hit(read[chunk], scores[chunk], found.dense.get(chunk), found.keyword.get(chunk))
            for chunk in chunks
            if chunk in scores
        ]
        answering = [hit for hit in fresh if hit.score > 0]
        hits = _ordered([*hits, *answering])
        shown = best_of_each(hits, request.group) if request.per_document else hits
        if len(shown) >= request.k or not answering:
            return shown, False
    return (best_of_each(hits, request.group) if request.per_document else hits), True


def _ordered(hits: Sequence[SearchHit]) -> list[SearchHit]:
    """Best first, a heading alone behind the passage under it: it has the words, which answer
    nothing."""
    found = {(hit.key, hit.ordinal): hit for hit in hits}
    for (key, ordinal), hit in list(found.items()):
        under = found.get((key, ordinal + 1))
        if under is None or under.score >= hit.score or ranking.is_heading(under.text):
            continue
        if ranking.is_heading(hit.text):
            found[key, ordinal + 1] = replace(under, score=hit.score)
            found[key, ordinal] = replace(hit, score=under.score)
    return sorted(found.values(), key=lambda hit: -hit.score)


def _scores(
    question: Question,
    candidates: Mapping[Any, Candidate],
    best: Sequence[Candidate],
    scale: float | None,
) -> tuple[float, dict[Any, float]]:
    if scale is None:
        scale = ranking.keyword_scale(question, best)
    return scale, ranking.scores(question, candidates, scale)


def _meant(asked: Asked, known: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The filters that leave what the question names, of what is known."""
    found: dict[str, Any] = {}
    if who := asked.who(known):
        found[WHO] = sorted(who)
    there = set(known)
    for name, values in ((PERIOD, map(str, asked.periods)), (FORM, asked.forms)):
        if values := [value for value in values if (name, value) in there]:
            found[name] = values
    return found


def _told_read(asked: Asked, known: Iterable[tuple[str, str]]) -> Read:
    companies = [name.removeprefix(facets.TICKER) for name in asked.who(known)]
    return Read(sorted(companies), [str(period) for period in asked.periods], asked.forms)


def _hit(hit: Hit, score: float, dense: float | None, keyword: float | None) -> SearchHit:
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


def _excerpted(question: Question, hit: SearchHit) -> SearchHit:
    others = [_excerpted(question, other) for other in hit.others]
    return replace(hit, excerpt=excerpts.excerpt(hit.text, question.stems), others=others)


def best_of_each(hits: Iterable[SearchHit], others: int = 0) -> list[SearchHit]:
    """Keep each document's first hit, with so many others of it."""
    found: dict[DocumentKey, list[SearchHit]] = {}
    for hit in hits:
        found.setdefault(hit.key, []).append(hit)
    return [replace(best, others=more[:others]) for best, *more in found.values()]
