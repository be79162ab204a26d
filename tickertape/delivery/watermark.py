"""How far each partition may be committed.

Faust 0.15.3's own calculation passes records in flight (faust-streaming issue 606), so the
worker commits what stands here instead. A `Lease` belongs to one partition in one generation of
the consumer group: after a rebalance there are new ones, and the old ones commit nothing.
"""

from __future__ import annotations

from collections import deque


class Lease:
    """The records of one partition that were handed to us and are not settled yet."""

    __slots__ = ("_done", "_next", "_order", "committed", "partition", "revoked", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.revoked = False
        self._order: deque[int] = deque()  # in flight or done behind one in flight, ascending
        self._done: set[int] = set()
        self._next: int | None = None  # to be delivered
        self.committed: int | None = None  # what the group has stored, as far as is known

    def deliver(self, offset: int) -> bool:
        """Take over a record; False when it was delivered before in this generation."""
        if self.revoked or self.went_back(offset):
            return False
        self._order.append(offset)
        self._next = offset + 1
        return True

    def reach(self, position: int) -> None:
        """All before this offset was delivered, or will never be: a transaction's marker, a
        record of an aborted one, a gap of a compacted topic."""
        if not self.revoked and not self.went_back(position):
            self._next = position

    def went_back(self, offset: int) -> bool:
        """True for an offset before what was delivered. In one generation no consumer reads twice:
        the log was cut off, or its topic made anew (`Leases.again`)."""
        return self._next is not None and offset < self._next

    def settle(self, offset: int) -> None:
        """The record's outcome is confirmed. Of a revoked lease: nothing happens."""
        if self.revoked:
            return
        self._done.add(offset)
        while self._order and self._order[0] in self._done:
            self._done.discard(self._order.popleft())

    @property
    def committable(self) -> int | None:
        """The offset to commit (the next to read); None where nothing is known."""
        if self.revoked:
            return None
        return self._order[0] if self._order else self._next

    @property
    def uncommitted(self) -> int | None:
        """The offset to commit where that is another than what is committed, else None."""
        offset = self.committable
        return offset if offset != (self.committed or 0) else None

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

    def again(self, topic: str, partition: int) -> Lease:
        """Return a new lease of a partition whose log begins again: what was taken over of the
        old one settles nothing."""
        committed = self.of(topic, partition).committed
        self.revoke({(topic, partition)})
        lease = self.of(topic, partition)
        lease.committed = committed
        return lease

    def uncommitted(self) -> dict[tuple[str, int], int]:
        """Return the offsets that are to be committed now."""
        found = ((tp, lease.uncommitted) for tp, lease in self._leases.items())
        return {tp: offset for tp, offset in found if offset is not None}

    def committable(self, topic: str, partition: int) -> int | None:
        """Return the offset to commit, None when nothing is known."""
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
