"""Which partitions are not fetched for now: those of held flows, and those that can wait.

``pause_partitions`` loses what a drained batch still holds, so this uses the way of Faust's own
full buffers.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Protocol

from faust.types import TP

from tickertape.delivery.flow import Flow

# What brings only records that no flow wants, as our own on embeddings, is read now and then in
# large pieces: a fetch for each few of them cost a quarter of all that a document costs.
DEFER_SECONDS = 0.1
DEFERRED_RECORDS = 200


class Buffers(Protocol):
    """What holds a partition: Faust's consumer."""

    def assignment(self) -> Iterable[TP]: ...
    def on_buffer_full(self, tp: TP) -> None: ...
    def on_buffer_drop(self, tp: TP) -> None: ...


class Holds:
    """The held partitions of one consumer."""

    def __init__(self, flows: Sequence[Flow[Any]]) -> None:
        self._flows = flows
        self._held: set[TP] = set()
        self._deferred: dict[TP, float] = {}  # until (monotonic)

    @property
    def holding(self) -> bool:
        """True while a flow keeps partitions from being fetched; deferred ones do not count."""
        return any(tp not in self._deferred for tp in self._held)

    @property
    def held(self) -> Collection[TP]:
        """The partitions that are not fetched now."""
        return list(self._held)

    @property
    def deferred(self) -> Collection[TP]:
        """The partitions that are read now and then (see `DEFER_SECONDS`)."""
        return list(self._deferred)

    def defer(self, buffers: Buffers, tp: TP) -> None:
        """Read a partition later: it brought nothing that a flow wants."""
        self._deferred[tp] = time.monotonic() + DEFER_SECONDS
        self._hold(buffers, tp)

    def apply(self, buffers: Buffers) -> None:
        """Hold and release partitions as the flows want it now."""
        wanted = {topic for flow in self._flows if flow.wants_hold for topic in flow.spec.routes}
        if not (wanted or self._held or self._deferred):
            return
        now = time.monotonic()
        self._deferred = {tp: until for tp, until in self._deferred.items() if until > now}
        for tp in buffers.assignment():
            if tp.topic in wanted or tp in self._deferred:
                self._hold(buffers, tp)
            elif tp in self._held:
                buffers.on_buffer_drop(tp)
                self._held.discard(tp)

    def clear(self) -> None:
        """Forget all: a rebalance undoes any hold."""
        self._held.clear()
        self._deferred.clear()

    def _hold(self, buffers: Buffers, tp: TP) -> None:
        buffers.on_buffer_full(tp)
        self._held.add(tp)
