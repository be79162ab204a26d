"""Documents that several flows write: one of them has a document at a time.

What a flow stores and what it then publishes are two steps. Another flow that stored something
newer of the same document in between would publish first, and the older result would stand behind.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable


class Gate:
    """Keys in work, over the flows of a worker. Not thread-safe: everything is on the loop."""

    def __init__(self) -> None:
        self._held: set[Hashable] = set()
        self._waiting: dict[Callable[[], None], None] = {}  # in the order they came

    def is_open(self, key: Hashable) -> bool:
        """Whether nobody has this key in work."""
        return key not in self._held

    def enter(self, keys: Iterable[Hashable]) -> None:
        """These are in work now."""
        self._held.update(keys)

    def leave(self, keys: Iterable[Hashable]) -> None:
        """These are not any more; who waits may try again."""
        self._held.difference_update(keys)
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()

    def wait(self, wake: Callable[[], None]) -> None:
        """Call this when keys are free again."""
        self._waiting[wake] = None
