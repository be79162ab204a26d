"""Work for the model's threads: what is urgent first, then each share its turn, by cost.

A share is a line of work that should not wait for another: a flow's small documents, its large
ones, summaries. Of the shares that have work the one that was given least is next, so a filing of
a thousand passages takes a part of the model's time and not all of it until it is done. A share
that had nothing to do starts where the others stand: what it left unused is not saved up
(start-time fair queuing; Goyal, Vin and Cheng, 1996). Within a share it is first come, first
served.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """A queue between threads. Costs are in any one unit (here padded tokens), and positive."""

    def __init__(self) -> None:
        self._urgent: deque[T] = deque()
        self._lines: dict[Hashable, deque[tuple[T, int]]] = {}  # of shares that have work
        self._given: dict[Hashable, int] = {}  # what each of those was given, as it counts
        self._now = 0  # what the share that is served was given
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Return how many items wait."""
        with self._changed:
            return len(self._urgent) + sum(len(line) for line in self._lines.values())

    def put(self, item: T, cost: int, share: Hashable = None, urgent: bool = False) -> None:
        """Add an item at the end of its share's line, or of those that are urgent."""
        with self._changed:
            if urgent:
                self._urgent.append(item)
            elif share in self._lines:
                self._lines[share].append((item, cost))
            else:
                self._lines[share] = deque([(item, cost)])
                self._given[share] = max(self._given.get(share, 0), self._now)
            self._changed.notify()

    def get(self) -> T | None:
        """Wait for an item and take it; None once the queue is closed and empty."""
        with self._changed:
            while not (self._urgent or self._lines or self._closed):
                self._changed.wait()
            if self._urgent:
                return self._urgent.popleft()
            if not self._lines:
                return None
            share = min(self._lines, key=self._given.__getitem__)
            self._now = self._given[share]
            item, cost = self._lines[share].popleft()
            self._given[share] += cost
            if not self._lines[share]:
                del self._lines[share]
            if not self._lines:  # all are even again: nothing is to be remembered
                self._given.clear()
                self._now = 0
            return item

    def close(self) -> list[T]:
        """Let no thread wait any more; return what nobody will take."""
        with self._changed:
            left = [*self._urgent, *(item for line in self._lines.values() for item, _ in line)]
            self._urgent.clear()
            self._lines.clear()
            self._given.clear()
            self._closed = True
            self._changed.notify_all()
            return left
