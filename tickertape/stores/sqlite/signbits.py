"""The sign bits of vectors, in memory: a coarse filter before exact rescoring.

48 bytes a vector of 384 dimensions. Two vectors whose angle is small differ in few signs, so the
rows with the least Hamming distance hold the true neighbours; the caller scores those exactly.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from tickertape.documents import Vector, Vectors

Ids = np.ndarray[Any, np.dtype[np.int64]]
Words = np.ndarray[Any, np.dtype[np.uint64]]
Products = np.ndarray[Any, np.dtype[np.float32]]
Distances = np.ndarray[Any, np.dtype[np.uint16]]

FAR = np.iinfo(np.uint16).max  # the distance of a removed row
BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1).astype(np.float32)
CAPACITY_MIN = 1024
BLOCK = 65_536  # rows; a block and its temporaries are 1.2 MB: a large second-level cache


def pack(vectors: Vectors) -> Words:
    """Return the sign bits of [rows, dimension] as uint64 [rows, ceil(dimension / 64)]."""
    bits = np.packbits(vectors > 0, axis=1)
    padded = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded.view(np.uint64)


class SignBits:
    """Sign bits by row id. Ids are added in growing order. Every method is thread-safe.

    The words are held by column ([words, capacity]): distances are then sums over whole columns,
    four times faster in numpy than over rows of six words. numpy releases the GIL meanwhile.
    """

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._lock = threading.Lock()
        self._columns: Words = np.zeros((-(-dimension // 64), CAPACITY_MIN), dtype=np.uint64)
        self._ids: Ids = np.zeros(CAPACITY_MIN, dtype=np.int64)
        self._live = np.zeros(CAPACITY_MIN, dtype=np.bool_)
        self._used = 0
        self._dead = 0

    def __len__(self) -> int:
        """How many rows there are, removed ones not counted."""
        return self._used - self._dead

    def add(self, ids: Ids, words: Words) -> None:
        """Append rows; ``words`` is what `pack` made. Ids grow, also from call to call."""
        with self._lock:
            end = self._used + len(ids)
            if end > len(self._ids):
                self._move(np.arange(self._used), max(end, 2 * len(self._ids)))
            self._columns[:, self._used : end] = words.T
            self._ids[self._used : end] = ids
            self._live[self._used : end] = True
            self._used = end

    def remove(self, ids: Ids) -> None:
        """Drop rows; an unknown id is passed over."""
        with self._lock:
            places = positions(self._ids[: self._used], np.unique(ids))
            places = places[self._live[places]]
            self._live[places] = False
            self._dead += len(places)
            if self._dead > CAPACITY_MIN + len(self) // 4:
                kept = np.flatnonzero(self._live[: self._used])
                self._move(kept, max(CAPACITY_MIN, len(kept) + len(kept) // 4))

    def nearest(self, vector: Vector, count: int, among: Ids | None = None) -> Ids:
        """Return the ids of the ``count`` rows nearest by Hamming distance, in growing order.

        ``among`` restricts the search to these ids.
        """
        with self._lock:  # the arrays only grow behind `used`, so they are read without it
            columns, ids, live, used = self._columns, self._ids, self._live, self._used
            dead = self._dead
        ids, live = ids[:used], live[:used]
        if among is not None:
            chosen = positions(ids, np.unique(among))
            columns, ids, live = columns[:, chosen], ids[chosen], live[chosen]
        distances = _distances(columns, pack(vector[np.newaxis])[0], len(ids))
        if dead:
            distances[~live] = FAR
        found: Ids = ids[_smallest(distances, count)]
        return found

    def closer(self, vector: Vector, ids: Ids, count: int) -> Ids:
        """Return the ``count`` of these rows for which the vector's numbers where they have a
        positive sign add up to most, in growing order.

        It tells more than the Hamming distance, as a sign counts by how much the query has there,
        and costs more a row.
        """
        if count >= len(ids):
            return ids
        with self._lock:
            columns, held, used = self._columns, self._ids, self._used
        places = positions(held[:used], ids)
        products = _products(columns[:, places].T.copy().view(np.uint8), vector)
        best = np.argpartition(-products, min(count, len(places)) - 1)[:count]
        found: Ids = held[places[np.sort(best)]]
        return found

    def _move(self, kept: Ids, capacity: int) -> None:
        """Copy the kept positions to new arrays; a search that reads the old ones goes on."""
        columns = np.zeros((len(self._columns), capacity), dtype=np.uint64)
        ids = np.zeros(capacity, dtype=np.int64)
        live = np.zeros(capacity, dtype=np.bool_)
        columns[:, : len(kept)] = self._columns[:, kept]
        ids[: len(kept)] = self._ids[kept]
        live[: len(kept)] = self._live[kept]
        self._columns, self._ids, self._live = columns, ids, live
        self._used = len(kept)
        self._dead = int(len(kept) - np.count_nonzero(live))


def positions(ids: Ids, wanted: Ids) -> Ids:
    """Return where the wanted ids stand in the growing ``ids``; unknown ones are left out."""
    if not len(ids):
        return np.zeros(0, dtype=np.int64)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    found: Ids = places[ids[places] == wanted]
    return found


def _distances(columns: Words, query: Words, rows: int) -> Distances:
    """Hamming distance of each of the first ``rows`` rows, block by block."""
    distances = np.zeros(rows, dtype=np.uint16)
    differ = np.empty(min(BLOCK, rows), dtype=np.uint64)
    ones = np.empty(min(BLOCK, rows), dtype=np.uint8)
    for low in range(0, rows, BLOCK):
        high = min(low + BLOCK, rows)
        block = distances[low:high]
        for column, word in zip(columns, query, strict=True):
            np.bitwise_xor(column[low:high], word, out=differ[: high - low])
            np.bitwise_count(differ[: high - low], out=ones[: high - low])
            np.add(block, ones[: high - low], out=block)
    return distances


def _products(codes: np.ndarray[Any, np.dtype[np.uint8]], vector: Vector) -> Products:
    """What the vector's numbers at the set bits add up to, for each row of packed bits.

    A table for each byte has the sums of its 256 values, so that a row costs one addition a byte.
    """
    padded = np.zeros(codes.shape[1] * 8, dtype=np.float32)
    scale = np.abs(vector).max(initial=0) or 1  # so that no finite number overflows
    padded[: len(vector)] = vector / scale
    tables = np.einsum("bj,vj->bv", padded.reshape(-1, 8), BYTES)
    products = np.zeros(len(codes), dtype=np.float32)
    for table, column in zip(tables, codes.T, strict=True):
        products += table[column]
    return products


def _smallest(distances: Distances, count: int) -> Ids:
    """Positions of the ``count`` smallest, in order of position; removed rows never.

    The threshold comes from `np.partition` (vectorised for 16 bits, unlike argpartition). Among
    equals at the threshold the first are taken, so that a flood of duplicates stays bounded.
    """
    if count >= len(distances):
        return np.flatnonzero(distances < FAR)
    threshold = min(int(np.partition(distances, count)[count]), FAR)
    below = np.flatnonzero(distances < threshold)
    if threshold == FAR:
        return below
    equal = np.flatnonzero(distances == threshold)[: count - len(below)]
    return np.union1d(below, equal)
