"""Deltas: what a flow tells the owner of a batch. One record a batch and settlement.

An item of a batch is the record's origin (topic, partition, offset), so redelivery, retry and
replay speak of the same item. A document that is stored *and* summarised has two parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tickertape.delivery import headers as h
from tickertape.delivery.outcome import State
from tickertape.delivery.record import Outgoing, Record
from tickertape.documents import Origin
from tickertape.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Event:
    """One item's part moved to a state. ``epoch`` counts the replays of its dead letter."""

    batch_id: str
    origin: Origin
    part: str
    parts: tuple[str, ...]  # all that the item needs
    state: State
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Many items of one partition that moved to one state."""

    topic: str
    partition: int
    part: str
    parts: tuple[str, ...]
    state: State
    epoch: int
    offsets: Ranges


@dataclass(frozen=True, slots=True)
class Delta:
    """What a batch-progress record says: items that moved, a total declared, or an idle close.

    ``close`` is the batch's last activity (epoch ms) that the closer saw.
    """

    batch_id: str
    entries: tuple[Entry, ...] = ()
    total: int | None = None
    declared: bool = False
    close: int | None = None
    forget: bool = False
    refresh: bool = False  # write again what a worker that was taken for dead overwrote
    timestamp_ms: int = field(default=0, compare=False)  # Kafka's, of the delta record
    offset: int = field(default=0, compare=False)  # of the delta record


def event(record: Record, batch_id: str, part: str, parts: tuple[str, ...], state: State) -> Event:
    """Return the event of a record."""
    epoch = h.read_int(record.headers, h.REPLAYS) if record.trusted else 0
    return Event(batch_id, record.origin, part, parts, state, epoch)


_Where = tuple[str, int, str, tuple[str, ...], State, int]


def outgoing(topic: str, events: Iterable[Event]) -> list[Outgoing]:
    """Return one record a batch, keyed by batch."""
    grouped: dict[str, dict[_Where, list[int]]] = defaultdict(lambda: defaultdict(list))
    for e in events:
        where = (e.origin.topic, e.origin.partition, e.part, e.parts, e.state, e.epoch)
        grouped[e.batch_id][where].append(e.origin.offset)
    return [
        encode(
            topic,
            Delta(
                batch_id,
                tuple(Entry(*where, Ranges.of(offsets)) for where, offsets in moved.items()),
            ),
        )
        for batch_id, moved in grouped.items()
    ]


def encode(topic: str, delta: Delta) -> Outgoing:
    """Return the delta as a record."""
    value: dict[str, Any] = {"batch_id": delta.batch_id}
    if delta.entries:
        value["items"] = [
            [
                e.topic,
                e.partition,
                e.part,
                list(e.parts),
                e.state.value,
                e.epoch,
                e.offsets.to_json(),
            ]
            for e in delta.entries
        ]
    if delta.declared:
        value["declared"] = True
        value["total"] = delta.total
    if delta.close is not None:
        value["close"] = delta.close
    if delta.forget:
        value["forget"] = True
    if delta.refresh:
        value["refresh"] = True
    return Outgoing(topic, delta.batch_id.encode(), orjson.dumps(value))


def decode(value: Mapping[str, Any], timestamp_ms: int, offset: int) -> Delta:
    """Read what `encode` wrote. Raises KeyError, TypeError or ValueError for anything else."""
    return Delta(
        batch_id=str(value["batch_id"]),
        entries=tuple(
            Entry(topic, partition, part, tuple(parts), State(state), epoch, Ranges(offsets))
            for topic, partition, part, parts, state, epoch, offsets in value.get("items", ())
        ),
        total=value.get("total"),
        declared=bool(value.get("declared")),
        close=value.get("close"),
        forget=bool(value.get("forget")),
        refresh=bool(value.get("refresh")),
        timestamp_ms=timestamp_ms,
        offset=offset,
    )
