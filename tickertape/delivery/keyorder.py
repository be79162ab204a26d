"""Records of one key are worked on one after the other, in the order they came.

The head of a key's line is ready; the others wait until it is released. A key is held from
`put` until `release`, over retries in place, so nothing overtakes within a flow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyOrder(Generic[T]):
    """A queue that gives out at most one item of a key at a time. Key None is in no order."""

    def __init__(self, key_of: Callable[[T], Hashable | None], size_of: Callable[[T], int]) -> None:
        self._key_of = key_of
        self._size_of = size_of
        self._ready: deque[T] = deque()
        self._lines: dict[Hashable, deque[T]] = {}  # a key in here is held

    def __len__(self) -> int:
        """Return the items not taken."""
        return len(self._ready) + sum(len(line) for line in self._lines.values())

    @property
    def ready(self) -> int:
        """Items that `take` would give."""
        return len(self._ready)

    def put(self, item: T) -> None:
        """Add an item at the end of its key's line."""
        key = self._key_of(item)
        if key is None:
            self._ready.append(item)
        elif key in self._lines:
            self._lines[key].append(item)
        else:
            self._lines[key] = deque()
            self._ready.append(item)

    def put_back(self, items: Sequence[T]) -> None:
        """Return taken items to the front, in their order; they still hold their keys."""
        self._ready.extendleft(reversed(items))

    def take(self, count: int, size: int) -> list[T]:
        """Give out ready items: at most ``count``, and no more after ``size`` is reached."""
        taken: list[T] = []
        total = 0
        while self._ready and len(taken) < count:
            weight = self._size_of(self._ready[0])
            if taken and total + weight > size:
                break
            taken.append(self._ready.popleft())
            total += weight
        return taken

    def release(self, item: T) -> None:
        """The item is settled: the next of its key becomes ready."""
        key = self._key_of(item)
        if key is None:
            return
        line = self._lines[key]
        if line:
            self._ready.append(line.popleft())
        else:
            del self._lines[key]

    def drop(self, dead: Callable[[T], bool]) -> list[T]:
        """Forget the items that are dead; none may be taken while this runs. Return them."""
        kept = [item for item in self._ready if not dead(item)]
        kept += [item for line in self._lines.values() for item in line if not dead(item)]
        dropped = [item for item in self._ready if dead(item)]
        dropped += [item for line in self._lines.values() for item in line if dead(item)]
        self._ready.clear()
        self._lines.clear()
        for item in kept:
            self.put(item)
        return dropped
