"""What the contract tests of stores are made of: adapters, operations, vectors.

To test another store, add a factory to `FACTORIES`: a context manager that gets an empty folder,
starts what the store needs (or skips, saying what is missing), and yields an `Adapter`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testkit import postgres
from testkit import redis as redis_server
from tickertape.documents import (
    DEFAULT_TENANT,
    Delete,
    Document,
    DocumentKey,
    Put,
    StoredChunk,
    Touch,
    Vector,
    Vectors,
    chunk_id,
)
from tickertape.editions import Edition
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.base import Hit, Mode, Query, Store
from tickertape.versions import Origin, Stamp, Version

MODEL = "tests/model@fp32"
DIMENSION = 16
TOPIC = "text-messages"


HOSTILE = (
    "nul \0 inside",
    "lone \ud800 surrogate \udfff",
    "emoji \N{PILE OF POO} and e\u0301",
    "'; DROP TABLE documents; --",
    '"quoted" {json} \\ back',
    " \n\t ",
    "x" * 20_000,
)


@dataclass(frozen=True)
class Adapter:
    """A store by its name in `STORES` and its settings; goes to other processes as it is."""

    name: str
    fields: Mapping[str, Any]

    def store(self) -> Store:
        """Return a new client of the same store, not started."""
        return open_stores(Settings(stores=(self.name,), **self.fields))[0]


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Adapter]:
    yield Adapter("sqlite", {"data_dir": folder})


@contextlib.contextmanager
def faiss(folder: Path) -> Iterator[Adapter]:
    yield Adapter("faiss", {"data_dir": folder})


@contextlib.contextmanager
def pgvector(_: Path) -> Iterator[Adapter]:
    server = postgres.shared()
    if server is None:
        pytest.skip(postgres.MISSING)
    schema = postgres.new_schema()
    yield Adapter("pgvector", {"database_url": server.url, "pgvector_schema": schema})
    server.run(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


@contextlib.contextmanager
def redis(_: Path) -> Iterator[Adapter]:
    server = redis_server.shared()
    if server is None:
        pytest.skip(redis_server.MISSING)
    prefix = redis_server.new_prefix()
    yield Adapter("redis", {"redis_url": server.url, "redis_prefix": prefix})
    redis_server.drop(server, prefix)


FACTORIES: dict[str, Callable[[Path], AbstractContextManager[Adapter]]] = {
    "sqlite": sqlite,
    "faiss": faiss,
    "pgvector": pgvector,
    "redis": redis,
}


def key(id: str, collection: str = "news", tenant: str = DEFAULT_TENANT) -> DocumentKey:
    return DocumentKey(collection, id, tenant)


def version(ms: int, offset: int = 0) -> Version:
    """Said at a time, without a number of its producer's, at a place of its own."""
    return Version((), Stamp(ms, ms * 1000 + offset, 3, TOPIC))


def numbered(number: int, ms: int = 1) -> Version:
    return replace(version(ms), numbers=(number,))


def vector_of(text: str, dimension: int = DIMENSION) -> Vector:
    """A unit vector that depends on the text alone."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    vector = np.random.default_rng(int.from_bytes(digest, "little")).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def clustered(rows: int, clusters: int, dimension: int, seed: int = 0) -> Vectors:
    """Unit vectors around random centres, as embeddings of real texts lie."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((clusters, dimension))
    vectors = centres[random.integers(0, clusters, rows)]
    vectors = vectors + 0.8 * random.standard_normal((rows, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def chunks_of(
    target: DocumentKey,
    texts: Sequence[str],
    model: str = MODEL,
    vectors: Sequence[Vector] | None = None,
) -> list[StoredChunk]:
    """Chunks that follow each other in the text."""
    found: list[StoredChunk] = []
    start = 0
    for ordinal, text in enumerate(texts):
        found.append(
            StoredChunk(
                id=chunk_id(DocumentKey("x", "x"), ordinal, repr((target, model))),
                ordinal=ordinal,
                text=text,
                start=start,
                end=start + len(text),
                vector=vector_of(text) if vectors is None else vectors[ordinal],
            )
        )
        start += len(text)
    return found


def put(
    id: str,
    *texts: str,
    at: Version | None = None,
    collection: str = "news",
    model: str = MODEL,
    metadata: Mapping[str, Any] | None = None,
    vectors: Sequence[Vector] | None = None,
    topic: str = TOPIC,
    source: str | None = None,
    batch_id: str | None = None,
    tenant: str = DEFAULT_TENANT,
) -> Put:
    """A Put of one chunk a text."""
    document = Document(
        key=key(id, collection, tenant),
        text="".join(texts),
        version=at or version(1),
        origin=Origin(topic, 3, 7),
        metadata=metadata or {},
        source=source,
        batch_id=batch_id,
    )
    chunks = chunks_of(document.key, texts, model, vectors)
    return Put(document, Edition(document.version), f"hash of {len(texts)}", model, chunks)


def part(
    id: str, number: int, of: int, text: str, at: Version, model: str = MODEL, **more: Any
) -> Put:
    """A Put of one part of a document whose vectors were made elsewhere."""
    whole = put(id, text, at=at, model=model, **more)
    (chunk,) = chunks_of(whole.key, [text], f"{model} {number}")
    edition = Edition(at, number, of, model)
    return replace(whole, edition=edition, chunks=[replace(chunk, ordinal=number)])


def touch(
    id: str,
    at: Version,
    collection: str = "news",
    origin: Origin | None = None,
    batch_id: str | None = None,
    chunks: int = 1,
) -> Touch:
    """A Touch of a document of so many chunks."""
    moves = origin is not None
    origin = origin or Origin(TOPIC, 3, 7)
    hash = f"hash of {chunks}"
    return Touch(key(id, collection), Edition(at), origin, hash, batch_id, moves)


def delete(
    id: str,
    at: Version,
    collection: str | None = "news",
    topic: str = TOPIC,
    tenant: str = DEFAULT_TENANT,
) -> Delete:
    return Delete(id, collection, at, Origin(topic, 3, 9), batch_id="b-delete", tenant=tenant)


async def dense(store: Store, vector: Vector, limit: int = 10, **more: Any) -> list[Hit]:
    return await store.search(
        Query(Mode.DENSE, limit, vector=vector, **{"model": MODEL, **more}),
    )


async def keyword(store: Store, text: str, limit: int = 10, **more: Any) -> list[Hit]:
    return await store.search(Query(Mode.KEYWORD, limit, text=text, **more))


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.key.id for hit in hits]


# Metadata by document id, and filters with the ids of those that pass, in every store that compares
DATED: dict[str, dict[str, Any]] = {
    "day": {"published": "2024-03-05", "company": "Micro Devices", "price": 9.5},
    "moment": {"published": "2024-12-31T23:30:00-02:00", "company": "Soci\u00e9t\u00e9 Micron"},
    "epoch": {"published": 1_700_000_000, "company": "M\u0130CRO", "price": "10"},
    "year": {"published": "2023", "price": [1, 200]},
    "text": {"published": "soon", "company": "Macro_100%", "nested": {"price": 11}},
    "none": {},
}
COMPARED: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"published": {"gte": "2024-01-01"}}, {"day", "moment"}),
    ({"published": {"gte": "2024-03-05", "lte": "2024-03-05"}}, {"day"}),
    ({"published": {"gt": "2024-03-05"}}, {"moment"}),
    ({"published": {"lte": "2024"}}, {"day", "year"}),
    ({"published": {"gt": "2024-12"}}, {"moment"}),
    ({"published": {"gte": "2025-01-01T01:30Z", "lt": "2025-01-01T01:31Z"}}, {"moment"}),
    ({"published": {"gte": "2023-11", "lt": "2023-12"}}, {"epoch"}),
    ({"published": {"lt": "2024-01-01"}}, {"epoch", "year"}),
    ({"price": {"gte": 10}}, {"epoch", "year"}),
    ({"price": {"gt": "9", "lt": 10}}, {"day"}),
    ({"price": {"gt": 1, "lt": 200}}, {"day", "epoch"}),
    ({"nested.price": {"gt": 1}}, {"text"}),
    ({"company": {"contains": "micro"}}, {"day", "moment"}),
    ({"company": {"contains": "SOCI\u00c9T\u00c9"}}, {"moment"}),
    ({"company": {"contains": "_100%"}}, {"text"}),
    ({"company": {"contains": "%"}}, {"text"}),
    ({"company": {"contains": "micro"}, "published": {"gte": 2024}}, set()),
    ({"company": {"contains": "micro"}, "price": {"lte": 9.5}}, {"day"}),
    ({"absent": {"gte": 0}}, set()),
)
