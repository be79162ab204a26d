"""How far each partition may be committed.

Faust 0.15.3's own calculation passes records in flight (faust-streaming issue 606), so the
worker commits what stands here instead. A `Lease` belongs to one partition in one generation of
the consumer group: after a rebalance there are new ones, and the old ones commit nothing.
"""

from __future__ import annotations

from collections import deque


class Lease:
    """The records of one partition that were handed to us and are not settled yet."""

    __slots__ = ("_done", "_last", "_order", "partition", "revoked", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.revoked = False
        self._order: deque[int] = deque()  # in flight or done behind one in flight, ascending
        self._done: set[int] = set()
        self._last: int | None = None

    def deliver(self, offset: int) -> bool:
        """Take over a record; False when it was delivered before in this generation."""
        if self.revoked or (self._last is not None and offset <= self._last):
            return False
        self._order.append(offset)
        self._last = offset
        return True

    def settle(self, offset: int) -> None:
        """The record's outcome is confirmed. Of a revoked lease: nothing happens."""
        if self.revoked:
            return
        self._done.add(offset)
        while self._order and self._order[0] in self._done:
            self._done.discard(self._order.popleft())

    @property
    def committable(self) -> int | None:
        """The offset to commit (the next to read); None before the first delivery."""
        if self.revoked or self._last is None:
            return None
        return self._order[0] if self._order else self._last + 1

    @property
    def in_flight(self) -> int:
        """Records delivered and not settled."""
        return len(self._order) - len(self._done)

    def revoke(self) -> None:
        """The partition is no longer ours, or will be delivered again from its last commit."""
        self.revoked = True
        self._order.clear()
        self._done.clear()


class Leases:
    """The leases of one consumer, by topic and partition."""

    def __init__(self) -> None:
        self._leases: dict[tuple[str, int], Lease] = {}

    def of(self, topic: str, partition: int) -> Lease:
        """Return the lease of a partition, a new one where there is none."""
        lease = self._leases.get((topic, partition))
        if lease is None:
            lease = self._leases[topic, partition] = Lease(topic, partition)
        return lease

    def committable(self, topic: str, partition: int) -> int | None:
        """Return the offset to commit, None when nothing was delivered."""
        lease = self._leases.get((topic, partition))
        return lease.committable if lease is not None else None

    def offsets(self) -> dict[tuple[str, int], int]:
        """Return the committable offset of every partition that has one."""
        found = ((tp, lease.committable) for tp, lease in self._leases.items())
        return {tp: offset for tp, offset in found if offset is not None}

    def revoke(self, partitions: set[tuple[str, int]] | None = None) -> None:
        """Revoke these, or all."""
        for tp in list(self._leases) if partitions is None else partitions:
            lease = self._leases.pop(tp, None)
            if lease is not None:
                lease.revoke()
