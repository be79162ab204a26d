"""The store with its vectors in a FAISS index in memory, and all else as `SqliteStore` has it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw

from tickertape.documents import Vector
from tickertape.settings import Settings
from tickertape.stores.sqlite import filters
from tickertape.stores.sqlite.filters import Filter
from tickertape.stores.sqlite.neighbours import KeptNeighbours
from tickertape.stores.sqlite.query import ENOUGH_PER_HIT, Searcher
from tickertape.stores.sqlite.signbits import Ids
from tickertape.stores.sqlite.store import SqliteStore

NEAR_MIN, NEAR_PER_HIT = 200, 2  # of a list that others change meanwhile, and of half precision
FILTERED_MIN = 2_000  # candidates on which a filter is checked before all that match are looked up


class FaissStore(SqliteStore):
    """A file of its own, ``TICKERTAPE_DATA_DIR``/tickertape-faiss.db, and beside it the index of
    each model's vectors, saved by a store that stops. Dense search compares all vectors."""

    name = "faiss"
    file = "tickertape-faiss.db"

    def __init__(self, settings: Settings) -> None:
        self._half = settings.faiss_half
        super().__init__(settings)

    async def stop(self) -> None:
        """Close, and save the indexes. Safe to call twice."""
        searcher = self._searcher
        await super().stop()
        assert isinstance(searcher, FaissSearcher)
        await asyncio.to_thread(searcher.save)

    def _new_searcher(self) -> Searcher:
        return FaissSearcher(self.path, self._half)


class FaissSearcher(Searcher):
    """The searches of one process; dense by FAISS."""

    def __init__(self, path: Path, half: bool) -> None:
        super().__init__()
        self._path, self._half = path, half
        self._neighbours: dict[int, KeptNeighbours] = {}

    def save(self) -> None:
        """Write what has changed since it was read."""
        for each in self._neighbours.values():
            each.save()

    def _near(
        self,
        db: apsw.Connection,
        space: tuple[int, int],
        vector: Vector,
        limit: int,
        chosen: Filter | None,
        per_hit: int,  # noqa: ARG002 -- of sign bits, which are weighed once more
    ) -> Ids:
        kept = self._of_space(*space).follow(db)
        count = max(NEAR_MIN, NEAR_PER_HIT * limit)
        if chosen is None:
            return kept.nearest(vector, count)
        wide = max(FILTERED_MIN, count)
        ids = filters.passing(db, kept.nearest(vector, wide), chosen)
        if len(ids) >= ENOUGH_PER_HIT * limit or wide >= len(kept):
            return ids
        return kept.nearest(vector, count, filters.matching(db, chosen))

    def _of_space(self, space: int, dimension: int) -> KeptNeighbours:
        path = self._path.with_name(f"{self._path.name}.vectors-{space}")
        with self._lock:
            made = KeptNeighbours(space, dimension, path, self._half)
            return self._neighbours.setdefault(space, made)
