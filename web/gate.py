"""A bound on what a worker answers at once: above it, 503 now is better than late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from web.errors import unavailable


class Gate:
    """At most ``limit`` inside at a time; there is no queue."""

    def __init__(self, limit: int, what: str) -> None:
        self._limit = limit
        self._what = what
        self._inside = 0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Come in. Raises Problem: 503 with Retry-After when it is full."""
        if self._inside >= self._limit:
            raise unavailable(f"This worker has {self._limit} {self._what} in work already.", 1)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
