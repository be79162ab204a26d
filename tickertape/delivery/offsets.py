"""How far each partition may be committed.

Faust 0.15.3's own calculation passes records in flight (faust-streaming issue 606), so the
worker commits what stands here instead. A `PartitionOffsets` belongs to one partition in one
generation of the consumer group: after a rebalance there are new ones, and the old ones commit
nothing.
"""

from __future__ import annotations

from collections import deque


class PartitionOffsets:
    """The records of one partition that were handed to us and are not settled yet."""

    __slots__ = ("_done", "_end", "_next", "_order", "committed", "partition", "revoked", "topic")

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.revoked = False
        self._order: deque[int] = deque()  # in flight or done behind one in flight, ascending
        self._done: set[int] = set()
        self._next: int | None = None  # to be delivered
        self.committed: int | None = None  # what the group has stored, as far as is known
        self._end = 0  # of the partition, when it became ours

    def begin(self, offset: int, committed: int | None, end: int) -> None:
        """The partition became ours: it is read from there on. ``end`` is its end at that time."""
        self.committed, self._end = committed, end
        self.reach(offset)

    def stood_before(self, offset: int) -> bool:
        """True where the record stood there before the partition was ours."""
        return offset < self._end

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
        the log was cut off, or its topic made anew (`ConsumerOffsets.again`)."""
        return self._next is not None and offset < self._next

    def settle(self, offset: int) -> None:
        """The record's outcome is confirmed. Of revoked ones: nothing happens."""
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


class ConsumerOffsets:
    """The offsets of one consumer, by topic and partition."""

    def __init__(self) -> None:
        self._partitions: dict[tuple[str, int], PartitionOffsets] = {}

    def of(self, topic: str, partition: int) -> PartitionOffsets:
        """Return the offsets of a partition, new ones where there are none."""
        offsets = self._partitions.get((topic, partition))
        if offsets is None:
            offsets = self._partitions[topic, partition] = PartitionOffsets(topic, partition)
        return offsets

    def again(self, topic: str, partition: int) -> PartitionOffsets:
        """Return new offsets of a partition whose log begins again: what was taken over of the
        old one settles nothing."""
        committed = self.of(topic, partition).committed
        self.revoke({(topic, partition)})
        offsets = self.of(topic, partition)
        offsets.committed = committed
        return offsets

    def uncommitted(self) -> dict[tuple[str, int], int]:
        """Return the offsets that are to be committed now."""
        found = ((tp, offsets.uncommitted) for tp, offsets in self._partitions.items())
        return {tp: offset for tp, offset in found if offset is not None}

    def committable(self, topic: str, partition: int) -> int | None:
        """Return the offset to commit, None when nothing is known."""
        offsets = self._partitions.get((topic, partition))
        return offsets.committable if offsets is not None else None

    def committables(self) -> dict[tuple[str, int], int]:
        """Return the committable offset of every partition that has one."""
        found = ((tp, offsets.committable) for tp, offsets in self._partitions.items())
        return {tp: offset for tp, offset in found if offset is not None}

    def revoke(self, partitions: set[tuple[str, int]] | None = None) -> None:
        """Revoke these, or all."""
        for tp in list(self._partitions) if partitions is None else partitions:
            offsets = self._partitions.pop(tp, None)
            if offsets is not None:
                offsets.revoke()
