"""Deltas: what a flow tells the owner of a batch. One record a batch and settlement.

An item of a batch is the record's origin (topic, partition, offset), so redelivery, retry and
replay speak of the same item. A document that is stored *and* summarised has two stages.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tickertape import headers as h
from tickertape import values
from tickertape.delivery.outcome import State
from tickertape.errors import InvalidRecord
from tickertape.ranges import Ranges
from tickertape.record import Outgoing, Record
from tickertape.versions import Origin

NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")  # Kafka's, of a topic
STAGES_MAX = 8
OFFSETS_MAX = 2**24  # of one entry; a window's are a few hundred


@dataclass(frozen=True, slots=True)
class Event:
    """One item's stage moved to a state. ``replays`` counts the replays of its dead letter."""

    batch_id: str
    origin: Origin
    stage: str
    stages: tuple[str, ...]  # all that the item needs
    state: State
    replays: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """Many items of one partition that moved to one state."""

    topic: str
    partition: int
    stage: str
    stages: tuple[str, ...]
    state: State
    replays: int
    offsets: Ranges


@dataclass(frozen=True, slots=True)
class Forget:
    """A batch may be forgotten, if nothing was heard of it after ``last`` (epoch ms, the broker's),
    and not for ``idle_ms`` by the broker's clock; None: at once, there are too many."""

    last: int
    idle_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What a batch-progress record says: items that moved, a total declared, an idle close, or that
    no more will come, and why.

    ``close`` is the batch's last activity (epoch ms) that the closer saw. A declared total takes
    ``error`` back.
    """

    batch_id: str
    entries: tuple[Entry, ...] = ()
    total: int | None = None
    declared: bool = False
    close: int | None = None
    error: str | None = None
    forget: Forget | None = None
    refresh: bool = False  # write again what a worker that was taken for dead overwrote
    timestamp_ms: int = field(default=0, compare=False)  # Kafka's, of the delta record
    offset: int = field(default=0, compare=False)  # of the delta record


def event(
    record: Record, batch_id: str, stage: str, stages: tuple[str, ...], state: State
) -> Event:
    """Return the event of a record."""
    replays = h.read_int(record.headers, h.REPLAYS) if record.trusted else 0
    return Event(batch_id, record.origin, stage, stages, state, replays)


_Where = tuple[str, int, str, tuple[str, ...], State, int]


def outgoing(topic: str, events: Iterable[Event]) -> list[Outgoing]:
    """Return one record a batch, keyed by batch."""
    grouped: dict[str, dict[_Where, list[int]]] = defaultdict(lambda: defaultdict(list))
    for e in events:
        where = (e.origin.topic, e.origin.partition, e.stage, e.stages, e.state, e.replays)
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
                e.stage,
                list(e.stages),
                e.state.value,
                e.replays,
                e.offsets.to_json(),
            ]
            for e in delta.entries
        ]
    if delta.declared:
        value["declared"] = True
        value["total"] = delta.total
    if delta.close is not None:
        value["close"] = delta.close
    if delta.error is not None:
        value["error"] = delta.error
    if delta.forget is not None:
        value["forget"] = [delta.forget.last, delta.forget.idle_ms]
    if delta.refresh:
        value["refresh"] = True
    return Outgoing(topic, delta.batch_id.encode(), orjson.dumps(value))


def decode(value: Mapping[str, Any], timestamp_ms: int, offset: int) -> Delta:
    """Read what `encode` wrote.

    Raises:
        InvalidRecord, KeyError, TypeError, ValueError: for anything else. What the fold is given
            is bounded, so that no record can keep it busy.
    """
    batch_id = values.identifier("batch_id", value["batch_id"])
    if batch_id is None:
        raise InvalidRecord("batch_id", "a non-empty string")
    forget = value.get("forget")
    return Delta(
        batch_id=batch_id,
        entries=tuple(_entry(*entry) for entry in value.get("items", ())),
        total=values.integer("total", value.get("total")),
        declared=bool(value.get("declared")),
        close=values.integer("close", value.get("close")),
        error=values.string("error", value.get("error")),
        # `true`, as it was before, does not say what was seen: it is said again
        forget=_forget(*forget) if isinstance(forget, list) else None,
        refresh=bool(value.get("refresh")),
        timestamp_ms=timestamp_ms,
        offset=offset,
    )


def _entry(
    topic: str,
    partition: int,
    stage: str,
    stages: list[str],
    state: str,
    replays: int,
    offsets: Any,
) -> Entry:
    names = [topic, stage, *stages]
    if not stages or stage not in stages or len(stages) > STAGES_MAX:
        raise ValueError(f"stages: expected some that have {stage!r} among them, got {stages!r}")
    if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        raise ValueError(f"items: expected names as topics have, got {names!r}")
    runs = Ranges((_whole(start), _whole(end)) for start, end in offsets)
    if len(runs) > OFFSETS_MAX:
        raise ValueError(f"items: expected at most {OFFSETS_MAX} offsets, got {len(runs)}")
    return Entry(
        topic, _whole(partition), stage, tuple(stages), State(state), _whole(replays), runs
    )


def _forget(last: int, idle_ms: int | None) -> Forget:
    return Forget(_whole(last), None if idle_ms is None else _whole(idle_ms))


def _whole(value: Any) -> int:
    found = values.integer("items", value)
    if found is None:
        raise ValueError("items: expected an integer of at least 0")
    return found
