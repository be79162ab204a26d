"""Records of one key are worked on one after the other, in the order they came.

The head of a key's line is ready; the others wait until it is released. A key is held from
`put` until `release`, over retries in place, so nothing of one key overtakes. What is ready stands
in two lines, small and large items, so that a few large ones do not keep many small ones waiting.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class KeyOrder(Generic[T]):
    """A queue that gives out at most one item of a key at a time. Key None is in no order."""

    def __init__(
        self,
        key_of: Callable[[T], Hashable | None],
        size_of: Callable[[T], int],
        is_large: Callable[[T], bool] = lambda _item: False,
    ) -> None:
        self._key_of = key_of
        self._size_of = size_of
        self._is_large = is_large
        self._small_ready: deque[T] = deque()
        self._large_ready: deque[T] = deque()
        self._lines: dict[Hashable, deque[T]] = {}  # a key in here is held

    def __len__(self) -> int:
        """Return the items not taken."""
        waiting = sum(len(line) for line in self._lines.values())
        return len(self._small_ready) + len(self._large_ready) + waiting

    def ready(self, large: bool) -> int:
        """Return how many small or large items `take` would give, were there no bounds."""
        return len(self._large_ready if large else self._small_ready)

    def put(self, item: T) -> None:
        """Add an item at the end of its key's line."""
        key = self._key_of(item)
        if key is None:
            self._line_of(item).append(item)
        elif key in self._lines:
            self._lines[key].append(item)
        else:
            self._lines[key] = deque()
            self._line_of(item).append(item)

    def put_back(self, items: Sequence[T]) -> None:
        """Return taken items to the front, in their order; they still hold their keys."""
        for item in reversed(items):
            self._line_of(item).appendleft(item)

    def take(self, count: int, size: int, large: bool = False) -> list[T]:
        """Give out ready items, small or large ones: at most ``count``, and no more after ``size``
        is reached."""
        ready = self._large_ready if large else self._small_ready
        taken: list[T] = []
        total = 0
        while ready and len(taken) < count:
            weight = self._size_of(ready[0])
            if taken and total + weight > size:
                break
            taken.append(ready.popleft())
            total += weight
        return taken

    def release(self, item: T) -> None:
        """The item is settled: the next of its key becomes ready."""
        key = self._key_of(item)
        if key is None:
            return
        line = self._lines[key]
        if line:
            item = line.popleft()
            self._line_of(item).append(item)
        else:
            del self._lines[key]

    def drop(self, dead: Callable[[T], bool]) -> list[T]:
        """Forget the items that are dead; none may be taken while this runs. Return them."""
        lines = [self._small_ready, self._large_ready, *self._lines.values()]
        items = [item for line in lines for item in line]
        kept = [item for item in items if not dead(item)]
        dropped = [item for item in items if dead(item)]
        self._small_ready.clear()
        self._large_ready.clear()
        self._lines.clear()
        for item in kept:
            self.put(item)
        return dropped

    def _line_of(self, item: T) -> deque[T]:
        return self._large_ready if self._is_large(item) else self._small_ready
