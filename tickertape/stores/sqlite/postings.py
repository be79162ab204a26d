"""Which chunks hold a word and how much it tells of each, kept in memory word by word.

FTS5 looks at every chunk that holds any word of a query, 2 microseconds each: 100 ms among 100,000
chunks. A word's list is read from it once, at the first query that has the word, and followed
from then on; adding lists up takes nanoseconds a chunk, without the GIL.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import numpy as np

from tickertape.stores.sqlite import bm25, read
from tickertape.stores.sqlite.signbits import Ids, positions

Scores = np.ndarray[Any, np.dtype[np.float32]]
# At most K1 + 1: half precision orders all but what is as good as equal
Impacts = np.ndarray[Any, np.dtype[np.float16]]

NONE: Ids = np.zeros(0, dtype=np.int64)
POSTINGS_MAX = 32_000_000  # held by one process, 6 bytes each; the words not used longest go
NARROW = np.iinfo(np.uint32).max  # ids up to here take 4 bytes
WORDS_MAX = 20_000
REMOVALS_HELD = 200_000  # 16 bytes each; a list that is further behind is read anew
STEP_MIN = 2_000  # new chunks that are followed, whatever the size of the collection
STEP_SHARE = 4  # and one for so many; where there are more, the list is read anew
SPAN = 8  # ids for each posting, up to which scores are added up in one array over all ids
SPAN_MIN = 65_536


@dataclass(frozen=True, slots=True)
class Removals:
    """The end of the log of removals, read once for all words. The arrays are never written to.

    ``first`` is the last removal before them: a list that is older cannot be followed.
    """

    first: int
    last: int
    ids: Ids  # of the removals, growing
    chunks: Ids

    def after(self, seen: int) -> Ids | None:
        """The chunks removed after the removal ``seen``; None where that is too long ago."""
        if seen < self.first:
            return None
        return self.chunks[np.searchsorted(self.ids, seen, side="right") :]

    def followed(self, db: apsw.Connection, last: int) -> Removals:
        """Return the log up to ``last``, the snapshot's end of it, cut to `REMOVALS_HELD`."""
        if last <= self.last:
            return self
        if last - self.last > REMOVALS_HELD or read.log_is_cut(db, self.last):
            return Removals(last, last, NONE, NONE)
        bindings = (self.last, last)
        new = read.ids(db, "SELECT id FROM removals WHERE id > ? AND id <= ? ORDER BY id", bindings)
        gone = read.ids(
            db,
            "SELECT chunk AS id FROM (SELECT id, chunk FROM removals WHERE id > ? AND id <= ?"
            " ORDER BY id)",
            bindings,
        )
        ids, chunks = np.concatenate([self.ids, new]), np.concatenate([self.chunks, gone])
        first = self.first
        if len(ids) > REMOVALS_HELD:
            first = int(ids[-REMOVALS_HELD - 1])
            ids, chunks = ids[-REMOVALS_HELD:], chunks[-REMOVALS_HELD:]
        return Removals(first, last, ids, chunks)


class Word:
    """The chunks that hold one word, ids growing. The arrays are replaced, never written to."""

    def __init__(self, text: str) -> None:
        self.match = f'"{text}"'
        self.lock = threading.Lock()
        self.ids = NONE
        self.impacts: Impacts = np.zeros(0, dtype=np.float16)
        self._chunk = self._removal = 0  # last ids seen; a word that was never read is far behind
        self._read_at = 0  # last chunk id when the whole list was read
        self._known = False

    def follow(self, db: apsw.Connection, chunk: int, removal: int, removals: Removals) -> None:
        """Bring the list up to the connection's snapshot: ``chunk`` and ``removal`` are the last
        ids there. ``removals`` may be ahead, of a newer snapshot that another reader has.
        """
        since = min(self._removal, removal)  # what an older snapshot adds may be removed by now
        if removals.after(since) is None or self._is_far(chunk):
            self._read(db)
            self._known, self._read_at, self._chunk = True, chunk, chunk
            since = removal
        elif chunk > self._chunk:
            self._add(db)
            self._chunk = chunk
        gone = removals.after(since)
        if gone is None:
            self._removal = since
            return
        if len(gone):
            places = positions(self.ids, gone)
            self.ids, self.impacts = np.delete(self.ids, places), np.delete(self.impacts, places)
        self._removal = max(since, removals.last)

    def _is_far(self, chunk: int) -> bool:
        """True where reading the list anew is cheaper than to follow, or it was never read."""
        if not self._known or chunk - self._chunk > STEP_MIN + self._read_at // STEP_SHARE:
            return True
        # The mean length may have moved far by now
        return chunk > 2 * self._read_at + STEP_MIN

    def _read(self, db: apsw.Connection) -> None:
        """Read the whole list: FTS5's own score of the word alone, less its idf."""
        self.ids, scores = _listed(db, "-rank", "passages_fts MATCH ?", (self.match,))
        weight = bm25.idf(chunk_count(db, [self]), len(self.ids))
        self.ids, self.impacts = _narrow(self.ids), (scores / weight).astype(np.float16)

    def _add(self, db: apsw.Connection) -> None:
        # Not by rank: FTS5 goes through the word's whole list to know its idf.
        ids, impacts = _listed(
            db,
            "impact(passages_fts)",
            "passages_fts MATCH ? AND rowid > ?",
            (self.match, self._chunk),
        )
        if len(ids):
            self.ids = np.concatenate([self.ids, _narrow(ids)])
            self.impacts = np.concatenate([self.impacts, impacts.astype(np.float16)])


class Postings:
    """The words that one process was asked for. `scored` may be called from several threads; a
    reader with an older snapshot than another finds the lists ahead of it, never behind."""

    def __init__(self) -> None:
        self._words: OrderedDict[str, Word] = OrderedDict()
        self._removals = Removals(0, 0, NONE, NONE)
        self._lock = threading.Lock()

    def scored(self, db: apsw.Connection, texts: Sequence[str]) -> tuple[Ids, Scores]:
        """Return the chunks that hold any of the words, ids growing, and their BM25 > 0.

        Chunks that the connection's snapshot does not have may be among them.
        """
        having = self._having(db, texts)
        chunks = chunk_count(db, [word for word, *_ in having])
        return add_up([(ids, impacts * weight(chunks, ids)) for _, ids, impacts in having])

    def weight(self, db: apsw.Connection, texts: Sequence[str]) -> float:
        """Return the sum of these words' idf, of those too that no chunk holds."""
        having = self._having(db, texts)
        chunks = chunk_count(db, [word for word, *_ in having])
        none = bm25.idf(chunks, 0) * (len(texts) - len(having))
        return none + sum(bm25.idf(chunks, len(ids)) for _, ids, _ in having)

    def _having(self, db: apsw.Connection, texts: Sequence[str]) -> list[tuple[Word, Ids, Impacts]]:
        """The words that a chunk holds, with their lists as of now."""
        words = self._get(texts)
        chunk, removal = read.last_id(db, "chunks"), read.last_id(db, "removals")
        with self._lock:
            removals = self._removals = self._removals.followed(db, removal)
        lists: list[tuple[Ids, Impacts]] = []
        for word in words:
            with word.lock:
                word.follow(db, chunk, removal, removals)
                lists.append((word.ids, word.impacts))
        self._trim()
        return [(word, *found) for word, found in zip(words, lists, strict=True) if len(found[0])]

    def _get(self, texts: Sequence[str]) -> list[Word]:
        with self._lock:
            for text in texts:
                if text not in self._words:
                    self._words[text] = Word(text)
                self._words.move_to_end(text)
            return [self._words[text] for text in texts]

    def _trim(self) -> None:
        """Forget the words that were not asked for longest."""
        with self._lock:
            held = sum(len(word.ids) for word in self._words.values())
            while self._words and (held > POSTINGS_MAX or len(self._words) > WORDS_MAX):
                held -= len(self._words.popitem(last=False)[1].ids)


def _narrow(ids: Ids) -> Ids:
    """The growing ids in four bytes each, where they fit."""
    fits = not len(ids) or ids[-1] <= NARROW
    return ids.astype(np.uint32) if fits else ids


def weight(chunks: int, ids: Ids) -> np.float32:
    """The idf of a word with this list."""
    return np.float32(bm25.idf(chunks, len(ids)))


def chunk_count(db: apsw.Connection, words: Sequence[Word]) -> int:
    """How many chunks there are, from the index of these words; 0 where it holds none of them."""
    sql = "SELECT chunk_count(passages_fts) FROM passages_fts WHERE passages_fts MATCH ? LIMIT 1"
    for word in words:
        found = db.execute(sql, (word.match,)).get
        if found is not None:
            return int(found)
    return 0


def add_up(lists: Sequence[tuple[Ids, Scores]]) -> tuple[Ids, Scores]:
    """Add the scores of equal ids; each list's ids grow, and so do those returned."""
    if not lists:
        return NONE, np.zeros(0, dtype=np.float32)
    low = min(int(ids[0]) for ids, _ in lists)
    span = max(int(ids[-1]) for ids, _ in lists) - low + 1
    if span <= SPAN * sum(len(ids) for ids, _ in lists) + SPAN_MIN:
        sums = np.zeros(span, dtype=np.float32)
        for ids, scores in lists:
            np.add.at(sums, ids - ids.dtype.type(low), scores)  # ids differ; `+=` is slower
        places = np.flatnonzero(sums > 0)  # of booleans: of floats it takes ten times as long
        return places + low, sums[places]
    all_ids, inverse = np.unique(np.concatenate([ids for ids, _ in lists]), return_inverse=True)
    scores = np.concatenate([scores for _, scores in lists])
    return all_ids, np.bincount(inverse, weights=scores).astype(np.float32)


def _listed(
    db: apsw.Connection, value: str, where: str, bindings: tuple[Any, ...]
) -> tuple[Ids, Any]:
    """Row ids and values, in one step of SQLite: each step waits for the GIL."""
    # LIMIT -1 keeps the inner query apart: FTS5's functions are not to be had inside an aggregate.
    sql = f"SELECT rowid AS id, {value} AS value FROM passages_fts WHERE {where} LIMIT -1"  # noqa: S608
    row: Any = db.execute(
        f"SELECT group_concat(id), group_concat(value) FROM ({sql})",  # noqa: S608
        bindings,
    ).fetchall()[0]
    ids, values = row
    if ids is None:
        return NONE, np.zeros(0)
    return np.fromstring(ids, dtype=np.int64, sep=","), np.fromstring(values, sep=",")
