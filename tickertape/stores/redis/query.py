"""A search of the store: dense, by HNSW or by comparing all; keyword beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tickertape.documents import DocumentKey
from tickertape.stores import vectors
from tickertape.stores.base import Counts, Hit, Mode, Query
from tickertape.stores.conditions import condition
from tickertape.stores.metadata import load
from tickertape.stores.redis import fields, scripts, words
from tickertape.stores.redis.connections import Connections
from tickertape.stores.redis.indexes import FILLER_TAG, FILLER_WORDS
from tickertape.stores.redis.keys import decoded, number_of, space_name
from tickertape.stores.texts import name

EXACT_MAX = 10_000  # vectors of a model: up to so many all are compared
# What HNSW looks at. Redis's own 10 finds half of what is nearest
EF_MIN, EF_PER_HIT = 200, 2
DIALECT = ("DIALECT", 2)

Search = Sequence[Any]


async def search(db: Connections, query: Query) -> list[Hit]:
    """Return at most ``query.limit`` chunks, best first, as they are at one moment."""
    found: list[Hit] = []
    for asked in await _searches(db, query):
        answer = await db.run(scripts.SEARCH, [], [db.keys.of_documents, *asked])
        found = list(_hits(answer, query.mode).values())[: query.limit]
        if len(found) == query.limit:
            break
    return found


async def candidates(db: Connections, query: Query) -> dict[int, float]:
    """Return at most ``query.limit`` chunks' numbers with their scores, best first."""
    found: dict[int, float] = {}
    for asked in await _searches(db, query):
        answer = (await db.run(scripts.SCORES, [], asked))[1:]
        scores = {
            number_of(key): _score(score, query.mode)
            for key, score in zip(answer[::2], answer[1::2], strict=True)
            if key.decode() != db.keys.filler
        }
        found = dict(itertools.islice(scores.items(), query.limit))
        if len(found) == query.limit:
            break
    return found


async def hits(db: Connections, scores: Mapping[int, float]) -> dict[int, Hit]:
    """Return the chunks that are there, with all that a hit says."""
    keys = [db.keys.numbered(number) for number in scores]
    found = _hits(await db.run(scripts.HITS, keys, [db.keys.of_documents]), Mode.KEYWORD, scores)
    return {number: found[number] for number in scores if number in found}


async def weight(db: Connections, text: str) -> float:
    """Return what `BM25STD` gives a chunk of usual length that holds each word once."""
    asked = words.asked(text, once=True)
    if not asked:
        return 0.0
    total, *holding = map(float, await db.run(scripts.HOLDING, [], [db.keys.words, *asked]))
    return sum(math.log1p((total - n + 0.5) / (n + 0.5)) for n in holding)


async def count(
    db: Connections, collection: str | None, tenant: str, filters: Mapping[str, Any]
) -> Counts:
    """Count documents that are not deleted, and their chunks."""
    asked = await _narrowed(db, tenant, collection, filters)
    if asked is None:
        return Counts(0, 0)
    # No search is cut off by the server sooner than by us
    each = (" ".join(asked), "LIMIT", 0, 0, "TIMEOUT", 0, *DIALECT)
    answers = [
        (await db.run(scripts.SCORES, [], [index, *each]))[0]
        for index in (db.keys.documents, db.keys.words)
    ]
    return Counts(*map(int, answers))


async def _searches(db: Connections, query: Query) -> list[Search]:
    """What to ask the server; the next of them where one does not fill the list."""
    narrowed = await _narrowed(db, query.tenant, query.collection, query.filters)
    if query.limit < 1:
        return []
    # Not what the server has set, half a second, after which it answers with what it has
    ends = ("LIMIT", 0, query.limit, "TIMEOUT", int(db.timeout * 1000), *DIALECT)
    if query.mode is Mode.KEYWORD:
        asked = words.asked(query.text)
        if not asked or narrowed is None:
            return []
        # With the filler, which is found too
        listed = "|".join((*asked, *FILLER_WORDS))
        said = f"{' '.join(_weightless(narrowed))} @words:({listed})"
        ends = ("LIMIT", 0, query.limit + 1, *ends[3:])
        return [(db.keys.words, said, "NOCONTENT", "WITHSCORES", "SCORER", "BM25STD", *ends)]
    return await _dense(db, query, narrowed, ends)


async def _dense(
    db: Connections, query: Query, narrowed: Sequence[str] | None, ends: Search
) -> list[Search]:
    asked, model = vectors.asked(query)
    ((dimension, chunks),) = await db.read(
        [("HMGET", db.keys.model(query.tenant, model), "dimension", "chunks")]
    )
    if dimension is None or not int(chunks):
        return []
    vectors.check_size(asked, model, int(dimension))
    if narrowed is None:
        return []
    space = space_name((query.tenant, model, int(dimension)))
    await db.index(space, int(dimension))
    _, unit = vectors.normalised(asked)
    ef = max(EF_MIN, EF_PER_HIT * query.limit)
    every = f"({' '.join(narrowed)})=>[KNN $k @vector $v HYBRID_POLICY ADHOC_BF AS distance]"
    # A space is one tenant's: what asks no more than that needs no filter
    among = f"({' '.join(narrowed)})" if query.collection is not None or query.filters else "*"
    near = f"{among}=>[KNN $k @vector $v EF_RUNTIME {ef} AS distance]"
    bound = ("PARAMS", 4, "k", query.limit, "v", unit.tobytes())
    returned = ("RETURN", 1, "distance", "SORTBY", "distance")
    ways = (every,) if int(chunks) <= EXACT_MAX else (near, every)
    return [(db.keys.vectors(space), way, *returned, *bound, *ends) for way in ways]


async def _narrowed(
    db: Connections, tenant: str, collection: str | None, filters: Mapping[str, Any]
) -> list[str] | None:
    """What is asked of a document or a chunk, a field each; None where nothing can be so.

    Raises:
        InvalidRecord: a filter is none.
    """
    said = [f"@tenant_key:{{{name(tenant).hex}}}"]
    if collection is not None:
        said.append(f"@place:{{{name(tenant, collection).hex}}}")
    possible = True
    for field, value in filters.items():
        leaves = await fields.passing(db, condition(field, value))
        possible = possible and bool(leaves)
        said.append(f"@fields:{{{'|'.join(leaves)}}}")
    return said if possible else None


def _weightless(narrowed: Sequence[str]) -> Iterator[str]:
    """The same, without weight in a score."""
    for said in narrowed:
        yield f"{said.removesuffix('}')}|{FILLER_TAG}}}=>{{$weight: 0}}"


def _score(told: Any, mode: Mode) -> float:
    """A distance is 1 less the cosine."""
    return 1 - float(told[1]) if mode is Mode.DENSE else float(told)


def _hits(answer: Any, mode: Mode, scores: Mapping[int, float] | None = None) -> dict[int, Hit]:
    chunks, documents = answer
    known = {
        named: (
            DocumentKey(decoded(collection), decoded(id), decoded(tenant)),
            int(count),
            load(metadata.decode()),
        )
        for named, (tenant, collection, id, count, metadata) in documents
    }
    found: dict[int, Hit] = {}
    for chunk, told, named, ordinal, text in chunks:
        number = number_of(chunk)
        key, count, metadata = known[named]
        score = _score(told, mode) if scores is None else scores[number]
        found[number] = Hit(key, int(ordinal), count, decoded(text), score, metadata)
    return found
