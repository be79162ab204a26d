"""A search of the store: dense here, by sign bits, then exactly; keyword beside it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import apsw
import numpy as np

from tickertape.documents import Vector
from tickertape.stores import vectors
from tickertape.stores.base import Hit, Mode, Query
from tickertape.stores.metadata import load
from tickertape.stores.sqlite import filters, keyword, ledger, values
from tickertape.stores.sqlite.filters import Filter
from tickertape.stores.sqlite.index import Index
from tickertape.stores.sqlite.postings import Postings
from tickertape.stores.sqlite.read import snapshot
from tickertape.stores.sqlite.signbits import Ids, SignBits

# Candidates by Hamming distance
NEAR_MIN = 2000
NEAR_PER_HIT = 10
NEAR_SHARE = 200  # one row in so many, as the collection grows
# Of these, by the query's numbers against their signs: the ones whose vectors are read
EXACT_MAX = 1000  # all are, up to so many
CLOSER_MIN = 400
CLOSER_SHARE = 1000  # one row in so many, as the collection grows
CLOSER_PER_HIT = 8
CLOSER_PER_CANDIDATE = 2  # of a hybrid search, where the last of 200 weigh nothing
CLOSER_DIMENSION = 256  # fewer signs say too little
ENOUGH_PER_HIT = 4  # candidates that match, so that the best of all that match are among them
SLICE = 4096  # rows of float64 at a time

Scored = list[tuple[int, float]]  # chunk id, score; best first


class Searcher:
    """The searches of one process. `search` may be called from several threads."""

    def __init__(self) -> None:
        self._indexes: dict[int, Index] = {}
        self._postings = Postings()
        self._lock = threading.Lock()

    def search(self, db: apsw.Connection, query: Query) -> list[Hit]:
        """Return at most ``query.limit`` chunks, best first."""
        with snapshot(db):
            found = dict(self._found(db, query, CLOSER_PER_HIT))
            read = hits(db, found)
            return [read[id] for id in found]

    def candidates(self, db: apsw.Connection, query: Query) -> Mapping[int, float]:
        """Return at most ``query.limit`` chunk ids with their scores, best first."""
        with snapshot(db):
            return dict(self._found(db, query, CLOSER_PER_CANDIDATE))

    def weight(self, db: apsw.Connection, text: str) -> float:
        """Return what a chunk of usual length scores that holds each of the text's words once."""
        with snapshot(db):
            return keyword.weight(db, self._postings, text)

    def _found(self, db: apsw.Connection, query: Query, per_hit: int) -> Scored:
        if query.limit < 1:
            return []
        chosen = filters.chosen(db, query)
        if query.mode is Mode.KEYWORD:
            return keyword.search(db, self._postings, query, chosen)
        return self._dense(db, query, chosen, per_hit)

    def _dense(
        self, db: apsw.Connection, query: Query, chosen: Filter | None, per_hit: int
    ) -> Scored:
        vector, model = vectors.asked(query)
        space = db.execute(
            "SELECT id, dimension FROM spaces WHERE tenant = ? AND model = ?",
            (values.bind(query.tenant), values.bind(model)),
        ).fetchone()
        if space is None:
            return []
        vectors.check_size(vector, model, space[1])
        ids = self._near(db, space, vector, query.limit, chosen, per_hit)
        return _rescored(db, vector, ids)[: query.limit]

    def _near(
        self,
        db: apsw.Connection,
        space: tuple[int, int],
        vector: Vector,
        limit: int,
        chosen: Filter | None,
        per_hit: int,
    ) -> Ids:
        """Candidates, ids growing; ``space`` is its number with its dimension."""
        bits = self._index(*space).follow(db)
        ids = _near(db, bits, vector, limit, chosen)
        if len(vector) >= CLOSER_DIMENSION and len(ids) > EXACT_MAX:
            count = max(CLOSER_MIN, len(bits) // CLOSER_SHARE, per_hit * limit)
            ids = bits.closer(vector, ids, count)
        return ids

    def _index(self, space: int, dimension: int) -> Index:
        with self._lock:
            return self._indexes.setdefault(space, Index(space, dimension))


def _near(
    db: apsw.Connection, bits: SignBits, vector: Vector, limit: int, chosen: Filter | None
) -> Ids:
    """Candidates by Hamming distance, ids growing.

    Where a filter lets few documents through, these are looked up. Else it is checked on the
    candidates; where too few of them match, it is selective, or holds what is far from the query:
    then all that match are looked up, and compared among themselves.
    """
    wide = max(NEAR_MIN, NEAR_PER_HIT * limit, len(bits) // NEAR_SHARE)
    if chosen is not None and chosen.few:
        return bits.nearest(vector, wide, filters.matching(db, chosen))
    ids = bits.nearest(vector, wide)
    if chosen is None:
        return ids
    ids = filters.passing(db, ids, chosen)
    if len(ids) >= ENOUGH_PER_HIT * limit or wide >= len(bits):
        return ids
    return bits.nearest(vector, wide, filters.matching(db, chosen))


def _rescored(db: apsw.Connection, vector: Vector, ids: Ids) -> Scored:
    """Exact cosine of the candidates that are still there; best first."""
    # One step of SQLite, since each waits for the GIL. A BLOB is joined as its bytes.
    row: Any = db.execute(
        "SELECT group_concat(p.id), CAST(group_concat(p.vector, '') AS BLOB)"
        " FROM json_each(?) j CROSS JOIN passages p ON p.id = j.value",
        (json.dumps(ids.tolist()),),
    ).fetchall()[0]
    listed, joined = row
    if listed is None:
        return []
    there = np.fromstring(listed, dtype=np.int64, sep=",")
    matrix = np.frombuffer(joined, dtype=np.float32).reshape(len(there), -1)
    scores = _cosines(matrix, vector)
    order = np.argsort(-scores, kind="stable")  # candidates come by id: ties too
    return list(zip(there[order].tolist(), scores[order].tolist(), strict=True))


def _cosines(matrix: np.ndarray[Any, np.dtype[np.float32]], vector: Vector) -> Any:
    """Cosines in float64, so that no finite float32 overflows; 0 for a vector of zeros."""
    query = vector.astype(np.float64)
    query_norm = float(np.linalg.norm(query))
    scores = np.empty(len(matrix))
    for low in range(0, len(matrix), SLICE):
        part = matrix[low : low + SLICE].astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", part, part)) * query_norm
        products = np.einsum("ij,j->i", part, query)  # not BLAS: its threads wait for each other
        scores[low : low + SLICE] = np.divide(
            products, norms, out=np.zeros(len(part)), where=norms > 0
        )
    return scores


def hits(db: apsw.Connection, scores: Mapping[int, float]) -> dict[int, Hit]:
    """The chunks that are there, with all that a hit says."""
    rows = db.execute(
        "SELECT d.id, d.tenant, d.collection, d.key, c.id, c.ordinal, d.chunk_count, p.text,"
        " d.metadata"
        " FROM json_each(?) j CROSS JOIN chunks c ON c.id = j.value"
        " CROSS JOIN documents d ON d.id = c.document CROSS JOIN passages p ON p.id = c.id",
        (json.dumps(list(scores)),),
    )
    metadata: dict[int, Mapping[str, Any]] = {}
    found: dict[int, Hit] = {}
    for row in rows:
        document, (id, ordinal, chunk_count, text, tree) = row[0], row[4:]
        if document not in metadata:
            metadata[document] = load(tree)
        found[id] = Hit(
            key=ledger.key_of(row),
            ordinal=ordinal,
            chunk_count=chunk_count,
            text=values.unbind(text),
            score=scores[id],
            metadata=metadata[document],
        )
    return found
