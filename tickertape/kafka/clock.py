"""A partition's clock: when its records were said. It never goes back.

Kafka stamps a record with the broker's time where the topic says LogAppendTime; by default
(CreateTime) with whatever its producer's clock said. What stands later in a partition was said
later, so a time that falls back counts as the latest one before it; and one that lies in the future
counts as the moment when it is read: believed, it would make all that comes after it look old.
"""

from __future__ import annotations

from collections import deque

AHEAD_MS_MAX = 300_000  # clocks of honest machines differ by less
LOG_APPEND = 1  # a record's timestamp_type


class PartitionClock:
    """Times of one partition's records, in order of their offsets.

    What is kept beside a committed offset (`at`) makes them come out alike when they are read
    again, but for those of the future.
    """

    __slots__ = ("_base", "_read")

    def __init__(self, ms: int = 0) -> None:
        """``ms``: what `at` said of the offset from which the records come."""
        self._base = ms
        self._read: deque[tuple[int, int]] = deque()  # offset, time; both ascending

    def read(self, offset: int, timestamp_ms: int, timestamp_type: int, now_ms: float) -> int:
        """Return the time (epoch ms) of the next record."""
        latest = self._read[-1][1] if self._read else self._base
        believed = timestamp_type == LOG_APPEND or timestamp_ms <= now_ms + AHEAD_MS_MAX
        time = max(latest, timestamp_ms if believed else int(now_ms))
        if time > latest:
            self._read.append((offset, time))
        return time

    def at(self, offset: int) -> int:
        """Return the clock before this offset: at the end of what is committed with it."""
        found = self._base
        for before, time in self._read:
            if before >= offset:
                break
            found = time
        return found

    def forget(self, offset: int) -> None:
        """Nothing before this offset will be asked for."""
        while self._read and self._read[0][0] < offset:
            self._base = self._read.popleft()[1]
