"""A set of integers as sorted, disjoint, half-open ranges.

Offsets of one batch in one partition come in runs, so a million of them take a few numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from heapq import merge

Pair = tuple[int, int]


class Ranges:
    """An immutable set of integers. JSON form: [[start, end], ...], end excluded."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[Iterable[int]] = ()) -> None:
        self._pairs: tuple[Pair, ...] = _normal((start, end) for start, end in pairs)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Ranges:
        """Return the set of these numbers."""
        return cls((number, number + 1) for number in numbers)

    def to_json(self) -> list[list[int]]:
        """Return what the constructor takes."""
        return [[start, end] for start, end in self._pairs]

    def __len__(self) -> int:
        return sum(end - start for start, end in self._pairs)

    def __iter__(self) -> Iterator[int]:
        for start, end in self._pairs:
            yield from range(start, end)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._pairs, (number, float("inf"))) - 1
        return index >= 0 and number < self._pairs[index][1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"Ranges({self.to_json()})"

    def __or__(self, other: Ranges) -> Ranges:
        if not other._pairs:
            return self
        return Ranges(merge(self._pairs, other._pairs)) if self._pairs else other

    def __and__(self, other: Ranges) -> Ranges:
        return self - (self - other)

    def __sub__(self, other: Ranges) -> Ranges:
        if not other._pairs or not self._pairs:
            return self
        kept: list[Pair] = []
        holes = iter(other._pairs)
        hole = next(holes, None)
        for start, end in self._pairs:
            while hole is not None and hole[1] <= start:
                hole = next(holes, None)
            while hole is not None and hole[0] < end:
                if hole[0] > start:
                    kept.append((start, hole[0]))
                start = hole[1]
                if start >= end:
                    break
                hole = next(holes, None)
            if start < end:
                kept.append((start, end))
        return Ranges(kept)


def _normal(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    joined: list[Pair] = []
    for start, end in sorted(pairs):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)
