"""A dead letter as it lies on Kafka, and the questions people ask of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tickertape import headers as h
from tickertape.decode import peek
from tickertape.errors import InvalidRecord
from tickertape.headers import Headers
from tickertape.record import Record
from tickertape.versions import Origin


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a letter lies; as text ``topic/partition/offset``, which is its id."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read an id.

        Raises:
            InvalidRecord: not topic/partition/offset.
        """
        found = Origin.parse(text.strip())
        if found is None:
            raise InvalidRecord("id", "TOPIC/PARTITION/OFFSET", text)
        return cls(found.topic, found.partition, found.offset)


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of a dead letter or parking topic. ``timestamp_ms`` is when it died.

    ``size`` is in bytes of key and value; it stays where the value was dropped (`light`).
    """

    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    size: int
    batch: str | None

    @classmethod
    def of(cls, message: Any) -> Letter:
        """Return the letter that a Kafka client's message is."""
        place = Place(message.topic, message.partition, message.offset)
        headers = tuple(message.headers or ())
        record = _record(place, message.timestamp, message.key, message.value, headers)
        # Ours says the batch in a header; only a foreign letter has to be opened for it.
        batch = h.last(headers, h.BATCH) or peek(record)[1]
        return cls(
            place, message.timestamp, message.key, message.value, headers, record.size, batch
        )

    def light(self) -> Letter:
        """Return it without its value, for lists."""
        return replace(self, value=None)

    @property
    def record(self) -> Record:
        """The record that died, on a topic of ours: its headers are believed."""
        return _record(self.place, self.timestamp_ms, self.key, self.value, self.headers)

    def header(self, name: str) -> str | None:
        """Return the last header of this name as text, or None."""
        return h.last(self.headers, name)

    @property
    def error(self) -> str | None:
        """The exception's full name."""
        return self.header(h.DLT_EXCEPTION)

    @property
    def reason(self) -> str | None:
        """The exception's message."""
        return self.header(h.DLT_MESSAGE)

    @property
    def error_class(self) -> str | None:
        """permanent or transient."""
        return self.header(h.ERROR_CLASS)

    @property
    def attempts(self) -> int:
        """How many retries it had."""
        return h.read_int(self.headers, h.RETRY_ATTEMPTS)

    @property
    def replays(self) -> int:
        """How often it was replayed before it died again."""
        return h.read_int(self.headers, h.REPLAYS)

    @property
    def origin(self) -> Origin | None:
        """Where the record first stood: it names the item of its batch."""
        found = h.read_origin(self.headers)
        if found is not None:
            return found
        topic = self.header(h.DLT_TOPIC)
        numbers = [h.read_int(self.headers, name, -1) for name in (h.DLT_PARTITION, h.DLT_OFFSET)]
        return Origin(topic, *numbers) if topic and min(numbers) >= 0 else None


def _record(
    place: Place, timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Headers
) -> Record:
    return Record(
        place.topic,
        place.partition,
        place.offset,
        key,
        value,
        headers,
        timestamp_ms,
        trusted=True,
    )
