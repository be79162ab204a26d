"""The vectors of one space in a FAISS index in memory, and the file in which that is kept.

SQLite has the vectors too, and is what counts: the file is only faster to read. It is written
beside its place and then put there, so there is never half of one; its name says which ids it has
seen.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import faiss
import numpy as np
import psutil
import structlog

from tickertape.documents import Vector, Vectors
from tickertape.stores.sqlite import read
from tickertape.stores.sqlite.index import Followed
from tickertape.stores.sqlite.signbits import Ids
from tickertape.stores.vectors import normalised

log = structlog.get_logger("tickertape.stores.faiss")

STEP = 20_000  # rows read at a time
DEAD_MIN = 1_024  # rows that are gone and are passed over in a search, before they are taken out
SEARCHING: Any = faiss.SearchParameters  # whose types know no names
_SEEN = re.compile(r"-(\d{1,20})-(\d{1,20})\Z")  # the end of a file's name

faiss.omp_set_num_threads(1)  # the cores are the model's


class Neighbours:
    """Vectors of length 1 by row id. Every method is thread-safe."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._dead: Ids = np.zeros(0, np.int64)
        self._lock = threading.Lock()

    @classmethod
    def empty(cls, dimension: int, half: bool) -> Neighbours:
        """Return one without vectors; ``half``: in half precision."""
        inner: Any = faiss.IndexFlatIP(dimension)
        if half:
            inner = faiss.index_factory(dimension, "SQfp16", faiss.METRIC_INNER_PRODUCT)
        return cls(faiss.IndexIDMap2(inner))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add rows, of whatever length their vectors are."""
        _, units = normalised(vectors)
        with self._lock:
            self._index.add_with_ids(units, ids)

    def remove(self, ids: Ids) -> None:
        """Drop rows; an unknown id is passed over."""
        with self._lock:
            self._dead = np.union1d(self._dead, ids)
            if len(self._dead) > DEAD_MIN + len(self) // 4:
                self._compact()

    def compact(self) -> None:
        """Take out what was dropped: all that is behind it moves."""
        with self._lock:
            self._compact()

    def _compact(self) -> None:
        self._index.remove_ids(faiss.IDSelectorBatch(self._dead))
        self._dead = self._dead[:0]

    def nearest(self, vector: Vector, count: int, among: Ids | None = None) -> Ids:
        """Return the ids of the ``count`` rows of greatest cosine, in growing order; ``among``
        restricts the search to these ids."""
        _, units = normalised(vector[np.newaxis])
        with self._lock:
            count = min(count, len(self))
            if not count:
                return np.zeros(0, np.int64)
            chosen: Any = None
            if among is not None:
                chosen = faiss.IDSelectorBatch(among)
            elif len(self._dead):
                gone = faiss.IDSelectorBatch(self._dead)  # has to live as long as its denial
                chosen = faiss.IDSelectorNot(gone)
            how = SEARCHING(sel=chosen) if chosen is not None else None
            _, found = self._index.search(units, count, params=how)
        ids: Ids = np.sort(found[0][found[0] >= 0])
        return ids

    def write(self, path: Path) -> None:
        """Write a file, to the disk."""
        with self._lock:
            self._compact()
            faiss.write_index(self._index, str(path))
        with path.open("rb") as file:
            os.fsync(file.fileno())

    @classmethod
    def read(cls, path: Path, dimension: int, half: bool) -> Neighbours:
        """Read a file.

        Raises:
            RuntimeError: it cannot be read, or is another kind of index.
        """
        found = cls(faiss.read_index(str(path)))
        wanted = cls.empty(dimension, half)._index
        inner, like = (faiss.downcast_index(each.index) for each in (found._index, wanted))
        if type(inner) is not type(like) or found._index.d != dimension:
            raise RuntimeError("of another kind")
        return found


class KeptNeighbours(Followed[Neighbours]):
    """Of one space; ``path`` is what its files' names begin with."""

    def __init__(self, space: int, dimension: int, path: Path, half: bool) -> None:
        super().__init__(space, dimension)
        self._path, self._half = path, half
        self._saved = (0, 0)  # what the file has seen

    def save(self) -> None:
        """Write the file anew, where there is something new; the ones before it go."""
        seen = self._chunk, self._removal
        if self._kept is None or seen == self._saved:
            return
        beside = self._path.with_name(f"{self._path.name}.writing-{os.getpid()}")
        place = self._path.with_name(f"{self._path.name}-{seen[0]}-{seen[1]}")
        try:
            self._kept.write(beside)
            beside.replace(place)
            _sync(place.parent)
        except (OSError, RuntimeError) as error:
            log.warning("faiss_not_saved", path=str(place), error=str(error))
            beside.unlink(missing_ok=True)
            return
        self._saved = seen
        for path in (*self._files(), *self._begun()):
            if path != place:
                path.unlink(missing_ok=True)

    def _empty(self) -> Neighbours:
        return Neighbours.empty(self.dimension, self._half)

    def _add(self, db: apsw.Connection, kept: Neighbours) -> None:
        last = self._chunk
        while True:
            rows: list[Any] = db.execute(
                "SELECT c.id, p.vector FROM chunks c JOIN passages p ON p.id = c.id"
                " WHERE c.id > ? AND c.space = ? ORDER BY c.id LIMIT ?",
                (last, self.space, STEP),
            ).fetchall()
            if not rows:
                return
            ids: Ids = np.fromiter((id for id, _ in rows), dtype=np.int64, count=len(rows))
            joined = np.frombuffer(b"".join(vector for _, vector in rows), dtype=np.float32)
            kept.add(ids, joined.reshape(len(rows), -1))
            last = int(ids[-1])

    def _loaded(self, db: apsw.Connection) -> Neighbours | None:
        """What the newest file has, if it is of this database and what it missed is known."""
        for path in self._files():
            if (seen := _SEEN.search(path.name)) is None:
                continue
            chunk, removal = map(int, seen.groups())
            try:
                found = Neighbours.read(path, self.dimension, self._half)
            except RuntimeError as error:
                log.warning("faiss_passed_over", path=str(path), error=str(error).splitlines()[-1])
                continue
            if removal < read.last_id(db, "removals") and read.log_is_cut(db, removal):
                continue
            gone = "SELECT chunk AS id FROM removals WHERE id > ?"
            found.remove(read.ids(db, gone, (removal,)))
            found.compact()
            there = "SELECT count(*) FROM chunks WHERE space = ? AND id <= ?"
            if len(found) == db.execute(there, (self.space, chunk)).get:
                self._chunk, self._removal = self._saved = chunk, removal
                return found
            log.warning("faiss_passed_over", path=str(path), error="of another database")
        return None

    def _begun(self) -> Iterator[Path]:
        """What workers had begun to write that are there no more."""
        for path in self._path.parent.glob(f"{self._path.name}.writing-*"):
            if not psutil.pid_exists(int(path.name.rpartition("-")[2])):
                yield path

    def _files(self) -> list[Path]:
        """The newest first."""
        found = self._path.parent.glob(f"{self._path.name}-*")
        return sorted(found, key=_chunk_seen, reverse=True)


def _chunk_seen(path: Path) -> int:
    seen = _SEEN.search(path.name)
    return int(seen[1]) if seen else -1


def _sync(folder: Path) -> None:
    """Put a folder's names on the disk."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
