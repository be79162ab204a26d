"""Dead letters in memory, as their flows make them, and what a replay of them sends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.progress import read_delta
from tables.fold import fold
from tests.web_parts import MemoryBatches, MemoryLetters, MemoryPublisher
from tickertape import headers as h
from tickertape import topics
from tickertape.delivery.copies import dead
from tickertape.dlq.box import DeadLetters, Selection
from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.replay import Plan, Totals
from tickertape.errors import (
    InvalidRecord,
)
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings

SETTINGS = Settings(_env_file=None, data_dir=Path("/nowhere"), replays_max=3)
TEXT = "text-messages"
MARKS = topics.replays(SETTINGS.app_id)
ALL = Selection()


class Kafka:
    """Dead letters in memory, and what a replay sends."""

    def __init__(self) -> None:
        self.publisher = MemoryPublisher(MemoryBatches(), "no batches")
        self.letters = MemoryLetters(self.publisher)
        self.windows: list[list[Outgoing]] = []

    async def send(self, records: Sequence[Outgoing]) -> list[Exception | None]:
        self.windows.append(list(records))
        return await self.publisher.send(records)

    def box(self, send: Any = None) -> DeadLetters:
        return DeadLetters(SETTINGS, send or self.send, self.letters.open)

    def sent(self, topic: str) -> list[Outgoing]:
        return [record for record in self.publisher.sent if record.topic == topic]

    def put(self, letter: Outgoing, offset: int = 0) -> Place:
        """A letter as the flow itself makes it."""
        base = letter.topic.removesuffix("-dlq")
        self.letters.existing |= {topics.rekeyed(base), topics.parking(base), base}
        self.letters.existing.add(topics.retry(base, 0))
        place = Place(letter.topic, 0, offset)
        batch = h.last(letter.headers, h.BATCH)
        self.letters.letters.append(
            Letter(place, 9, letter.key, letter.value, letter.headers, 0, batch)
        )
        return place

    async def replay(self, selection: Selection = ALL, **plan: Any) -> Totals:
        return await self.box().replay(selection, Plan(**plan), keep=100)


def as_read(record: Outgoing, offset: int = 40) -> Record:
    """The replayed record as its flow reads it."""
    return Record(
        record.topic, 3, offset, record.key, record.value, record.headers, 7000, trusted=True
    )


def value(id: str = "d", text: Any = "t", **more: Any) -> bytes:
    return json.dumps({"id": id, "text": text, **more}).encode()


def died(record: Record, base: str = TEXT, batch: str | None = "b") -> Outgoing:
    return dead(record, base, "group", 0, InvalidRecord("text", "a non-empty string"), batch)


def states(records: Sequence[Outgoing]) -> dict[str, Any]:
    """What the batch's owner makes of deltas, as (retrying, dead, done)."""
    cells: dict[str, Any] = {}

    class Cells:
        get = staticmethod(cells.get)
        set = staticmethod(cells.__setitem__)

    deltas = [
        read_delta(Record(record.topic, 0, offset, record.key, record.value, (), 1))
        for offset, record in enumerate(records)
    ]
    found = fold(Cells(), deltas)  # type: ignore[arg-type]
    state = found["b"]
    assert state is not None
    return {name: state[name] for name in ("retrying", "dead", "done")}
