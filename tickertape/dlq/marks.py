"""Which letters were replayed, parked or purged: remembered in Kafka itself.

A mark is a record of the compacted topic `topics.replays`, written once the broker has confirmed
the replay. Its key is the letters' place, ``topic/partition/offset`` or, for a run of them,
``topic/partition/first-last``; marks of two programs never overwrite each other. They expire
with the letters.
"""

from __future__ import annotations

import enum
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson

from tickertape.dlq.letter import Place
from tickertape.ranges import Ranges
from tickertape.record import Outgoing


class LetterState(enum.StrEnum):
    """What became of a letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    PARKED = "parked"
    PURGED = "purged"


ONLY_OPEN = frozenset({LetterState.OPEN})
AGAIN = frozenset({LetterState.OPEN, LetterState.REPLAYED})
ALL = frozenset(LetterState)

_Where = tuple[str, int, LetterState]
_LAST_FIRST = (LetterState.PURGED, LetterState.PARKED, LetterState.REPLAYED)


class Marks:
    """All marks read so far; a run of letters takes two numbers.

    ``offsets`` says what comes next of each partition of their topic.
    """

    def __init__(self) -> None:
        self.offsets: dict[int, int] = {}
        self._marked: dict[_Where, Ranges] = {}
        self._new: dict[_Where, list[tuple[int, int]]] = defaultdict(list)

    def take(self, message: Any) -> None:
        """Add a Kafka message; what is no mark is passed over."""
        done = self.offsets.get(message.partition, 0)
        self.offsets[message.partition] = max(done, message.offset + 1)
        read = _read(message.key, message.value)
        if read is not None:
            where, run = read
            self._new[where].append(run)

    def forget(self) -> None:
        """Begin anew: their topic was made anew."""
        self.offsets.clear()
        self._marked.clear()
        self._new.clear()

    def state(self, place: Place) -> LetterState:
        """Return where the letter stands."""
        for state in _LAST_FIRST:
            if place.offset in self.ranges(place.topic, place.partition, state):
                return state
        return LetterState.OPEN

    def ranges(self, topic: str, partition: int, state: LetterState) -> Ranges:
        """Return the offsets of a partition that have this mark."""
        where = (topic, partition, state)
        if runs := self._new.pop(where, None):
            self._marked[where] = self._marked.get(where, Ranges()) | Ranges(runs)
        return self._marked.get(where, Ranges())

    def open_count(self, topic: str, partition: int, begin: int, end: int) -> int:
        """Return how many letters of ``[begin, end)`` have no mark."""
        left = Ranges([(begin, end)])
        for state in _LAST_FIRST:
            left -= self.ranges(topic, partition, state)
        return len(left)


def outgoing(topic: str, state: LetterState, places: Iterable[Place]) -> list[Outgoing]:
    """Return the records that mark these letters."""
    grouped: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place in places:
        grouped[place.topic, place.partition].append(place.offset)
    value = orjson.dumps({"state": state.value, "at": round(time.time() * 1000)})
    return [
        Outgoing(topic, _key(where, first, end - 1).encode(), value)
        for where, offsets in grouped.items()
        for first, end in Ranges.of(offsets).to_json()
    ]


def _key(where: tuple[str, int], first: int, last: int) -> str:
    run = str(first) if first == last else f"{first}-{last}"
    return f"{where[0]}/{where[1]}/{run}"


def _read(key: bytes | None, value: bytes | None) -> tuple[_Where, tuple[int, int]] | None:
    try:
        topic, partition, run = (key or b"").decode().split("/")
        first, _, last = run.partition("-")
        state = LetterState(orjson.loads(value or b"")["state"])
        return (topic, int(partition), state), (int(first), int(last or first) + 1)
    except (ValueError, KeyError, TypeError):
        return None
