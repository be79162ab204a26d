"""A search of the store: dense here, over sign bits with exact rescoring; keyword beside it."""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import apsw
import numpy as np

from tickertape.documents import DocumentKey, Vector
from tickertape.errors import InvalidRecord
from tickertape.stores.base import Hit, Mode, Query
from tickertape.stores.sqlite import filters, keyword, values
from tickertape.stores.sqlite.filters import Filter
from tickertape.stores.sqlite.index import Index
from tickertape.stores.sqlite.read import snapshot
from tickertape.stores.sqlite.signbits import Ids, SignBits

RESCORED_MIN = 2000
RESCORED_PER_HIT = 10
RESCORED_SHARE = 200  # one row in so many, as the collection grows
ENOUGH_PER_HIT = 4  # candidates that match, so that the best of all that match are among them
SLICE = 4096  # rows of float64 at a time

Scored = list[tuple[int, float]]  # chunk id, score; best first


class Searcher:
    """The searches of one process. `search` may be called from several threads."""

    def __init__(self) -> None:
        self._indexes: dict[int, Index] = {}
        self._lock = threading.Lock()

    def search(self, db: apsw.Connection, query: Query) -> list[Hit]:
        """Return at most ``query.limit`` chunks, best first."""
        if query.limit < 1:
            return []
        with snapshot(db):
            chosen = filters.build(db, query)
            if query.mode is Mode.KEYWORD:
                found = keyword.search(db, query, chosen)
            else:
                found = self._dense(db, query, chosen)
            return _hits(db, found)

    def _dense(self, db: apsw.Connection, query: Query, chosen: Filter | None) -> Scored:
        if query.vector is None or query.model is None:
            raise InvalidRecord("query", "a vector and its model for a dense search")
        if not np.isfinite(query.vector).all():
            raise InvalidRecord("vector", "finite numbers", "NaN or infinity")
        space = db.execute(
            "SELECT id, dimension FROM spaces WHERE model = ?", (values.bind(query.model),)
        ).fetchone()
        if space is None:
            return []
        if query.vector.shape != (space[1],):
            expected = f"{space[1]} numbers, as {query.model} has"
            raise InvalidRecord("vector", expected, f"shape {query.vector.shape}")
        bits = self._index(*space).follow(db)
        return _nearest(db, bits, space[0], query.vector, query.limit, chosen)

    def _index(self, space: int, dimension: int) -> Index:
        with self._lock:
            return self._indexes.setdefault(space, Index(space, dimension))


def _nearest(
    db: apsw.Connection,
    bits: SignBits,
    space: int,
    vector: Vector,
    limit: int,
    chosen: Filter | None,
) -> Scored:
    """The chunks of greatest cosine.

    A filter is checked on the candidates. Where too few of them match, it is selective, or holds
    what is far from the query: then all that match are looked up, and compared among themselves.
    """
    wide = max(RESCORED_MIN, RESCORED_PER_HIT * limit, len(bits) // RESCORED_SHARE)
    found = _rescored(db, vector, bits.nearest(vector, wide), chosen)
    if chosen is not None and len(found) < ENOUGH_PER_HIT * limit and wide < len(bits):
        among = _matching(db, space, chosen)
        found = _rescored(db, vector, bits.nearest(vector, wide, among), chosen)
    return found[:limit]


def _matching(db: apsw.Connection, space: int, chosen: Filter) -> Ids:
    """Ids of the chunks that the filter lets through."""
    rows = db.execute(
        f"SELECT c.id FROM ({chosen.driver}) m CROSS JOIN documents d ON d.id = m.document"
        " CROSS JOIN chunks c ON c.document = d.id"
        f" WHERE {chosen.where} AND c.space = ?",
        (*chosen.driver_bindings, *chosen.bindings, space),
    )
    return np.fromiter((id for (id,) in rows), dtype=np.int64)


def _rescored(db: apsw.Connection, vector: Vector, ids: Ids, chosen: Filter | None) -> Scored:
    """Exact cosine of the candidates that are still there and match; best first."""
    sql = "SELECT p.id, p.vector FROM json_each(?) j CROSS JOIN passages p ON p.id = j.value"
    bindings: tuple[Any, ...] = (json.dumps(ids.tolist()),)
    if chosen is not None:
        sql = (
            "SELECT p.id, p.vector FROM json_each(?) j CROSS JOIN chunks c ON c.id = j.value"
            " CROSS JOIN documents d ON d.id = c.document CROSS JOIN passages p ON p.id = c.id"
            f" WHERE {chosen.where}"
        )
        bindings += tuple(chosen.bindings)
    rows: list[Any] = db.execute(sql, bindings).fetchall()
    if not rows:
        return []
    matrix = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32)
    scores = _cosines(matrix.reshape(len(rows), -1), vector)
    order = np.argsort(-scores, kind="stable")  # candidates come by id: ties too
    return [(rows[place][0], float(scores[place])) for place in order]


def _cosines(matrix: np.ndarray[Any, np.dtype[np.float32]], vector: Vector) -> Any:
    """Cosines in float64, so that no finite float32 overflows; 0 for a vector of zeros."""
    query = vector.astype(np.float64)
    query_norm = float(np.linalg.norm(query))
    scores = np.empty(len(matrix))
    for low in range(0, len(matrix), SLICE):
        part = matrix[low : low + SLICE].astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", part, part)) * query_norm
        products = part @ query
        scores[low : low + SLICE] = np.divide(
            products, norms, out=np.zeros(len(part)), where=norms > 0
        )
    return scores


def _hits(db: apsw.Connection, found: Scored) -> list[Hit]:
    """The chunks with all that a hit says, in the order found."""
    rows = db.execute(
        "SELECT c.id, c.document, d.collection, d.key, c.ordinal, d.chunk_count, p.text, d.metadata"
        " FROM json_each(?) j CROSS JOIN chunks c ON c.id = j.value"
        " CROSS JOIN documents d ON d.id = c.document CROSS JOIN passages p ON p.id = c.id",
        (json.dumps([id for id, _ in found]),),
    )
    scores = dict(found)
    metadata: dict[int, Mapping[str, Any]] = {}
    hits: dict[int, Hit] = {}
    for id, document, collection, key, ordinal, chunk_count, text, tree in rows:
        if document not in metadata:
            metadata[document] = values.load(tree)
        hits[id] = Hit(
            key=DocumentKey(values.unbind(collection), values.unbind(key)),
            ordinal=ordinal,
            chunk_count=chunk_count,
            text=values.unbind(text),
            score=scores[id],
            metadata=metadata[document],
        )
    return [hits[id] for id, _ in found]
