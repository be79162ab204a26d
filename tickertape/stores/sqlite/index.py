"""The sign bits of one space, kept current with the database by every process for itself."""

from __future__ import annotations

import itertools
import threading

import apsw
import numpy as np

from tickertape.stores.sqlite import read
from tickertape.stores.sqlite.signbits import Ids, SignBits

PAGE = 50_000  # rows read at a time


class Index:
    """Follows the tables `chunks` (ids above the last one seen) and `removals` (likewise).

    Loaded at the first search. `follow` is thread-safe; a reader whose snapshot is older than
    what another reader has brought in finds the index ahead of it, never behind.
    """

    def __init__(self, space: int, dimension: int) -> None:
        self.space = space
        self.dimension = dimension
        self._lock = threading.Lock()
        self._bits: SignBits | None = None
        self._chunk = 0  # last ids seen
        self._removal = 0

    def follow(self, db: apsw.Connection) -> SignBits:
        """Bring in what the connection's snapshot has and the index has not."""
        chunk, removal = read.last_id(db, "chunks"), read.last_id(db, "removals")
        with self._lock:
            # Until it is done there is none: half of a page twice would be found twice.
            bits, self._bits = self._bits, None
            if bits is None or (removal > self._removal and read.log_is_cut(db, self._removal)):
                bits, self._chunk, self._removal = SignBits(self.dimension), 0, removal
            if chunk > self._chunk:
                self._add(db, bits)
                self._chunk = chunk
            if removal > self._removal:
                gone = "SELECT chunk AS id FROM removals WHERE id > ?"
                bits.remove(read.ids(db, gone, (self._removal,)))
                self._removal = removal
            self._bits = bits
            return bits

    def _add(self, db: apsw.Connection, bits: SignBits) -> None:
        cursor = db.execute(
            "SELECT id, bits FROM chunks WHERE id > ? AND space = ? ORDER BY id",
            (self._chunk, self.space),
        )
        while rows := list(itertools.islice(cursor, PAGE)):
            ids: Ids = np.fromiter((id for id, _ in rows), dtype=np.int64, count=len(rows))
            words = np.frombuffer(b"".join(packed for _, packed in rows), dtype=np.uint64)
            bits.add(ids, words.reshape(len(rows), -1))
