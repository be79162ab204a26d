"""What is in memory of one space, kept current with the database by every process for itself."""

from __future__ import annotations

import itertools
import threading
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import apsw
import numpy as np

from tickertape.stores.sqlite import read
from tickertape.stores.sqlite.signbits import Ids, SignBits

PAGE = 50_000  # rows read at a time


class Kept(Protocol):
    """What holds rows of a space in memory."""

    def remove(self, ids: Ids) -> None:
        """Drop rows; an unknown id is passed over."""


K = TypeVar("K", bound=Kept)


class Followed(ABC, Generic[K]):
    """Follows the tables `chunks` (ids above the last one seen) and `removals` (likewise).

    Loaded at the first search. `follow` is thread-safe; a reader whose snapshot is older than
    what another reader has brought in finds the index ahead of it, never behind.
    """

    def __init__(self, space: int, dimension: int) -> None:
        self.space = space
        self.dimension = dimension
        self._lock = threading.Lock()
        self._kept: K | None = None
        self._chunk = 0  # last ids seen
        self._removal = 0

    def follow(self, db: apsw.Connection) -> K:
        """Bring in what the connection's snapshot has and the index has not."""
        chunk, removal = read.last_id(db, "chunks"), read.last_id(db, "removals")
        with self._lock:
            # Until it is done there is none: half of a page twice would be found twice.
            kept, self._kept = self._kept, None
            if kept is None:
                kept = self._loaded(db)
            if kept is None or (removal > self._removal and read.log_is_cut(db, self._removal)):
                kept, self._chunk, self._removal = self._empty(), 0, removal
            if chunk > self._chunk:
                self._add(db, kept)
                self._chunk = chunk
            if removal > self._removal:
                gone = "SELECT chunk AS id FROM removals WHERE id > ?"
                kept.remove(read.ids(db, gone, (self._removal,)))
                self._removal = removal
            self._kept = kept
            return kept

    @abstractmethod
    def _empty(self) -> K:
        """Return one without rows."""

    @abstractmethod
    def _add(self, db: apsw.Connection, kept: K) -> None:
        """Add the rows above the last one seen."""

    def _loaded(self, db: apsw.Connection) -> K | None:  # noqa: ARG002 -- of who keeps something
        """Return what was kept from before, with the last ids that it has seen; None: nothing."""
        return None


class Index(Followed[SignBits]):
    """The sign bits of one space."""

    def _empty(self) -> SignBits:
        return SignBits(self.dimension)

    def _add(self, db: apsw.Connection, kept: SignBits) -> None:
        cursor = db.execute(
            "SELECT id, bits FROM chunks WHERE id > ? AND space = ? ORDER BY id",
            (self._chunk, self.space),
        )
        while rows := list(itertools.islice(cursor, PAGE)):
            ids: Ids = np.fromiter((id for id, _ in rows), dtype=np.int64, count=len(rows))
            words = np.frombuffer(b"".join(packed for _, packed in rows), dtype=np.uint64)
            kept.add(ids, words.reshape(len(rows), -1))
