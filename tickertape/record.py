"""A record as it came from Kafka, and a record on its way to Kafka. No decoding here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tickertape import headers as h
from tickertape.headers import Headers
from tickertape.versions import Origin, Stamp, Version

LARGE_BYTES = 2**15  # as a text some 8,000 tokens: a second or more of a CPU's work


@dataclass(frozen=True, slots=True)
class Record:
    """One record, bytes untouched. ``timestamp_ms`` is Kafka's; ``clock_ms`` is its partition's
    clock (`kafka.clock`), where that was kept. ``again``: it stood there before its partition was
    ours, so whoever had that may have handled it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int
    trusted: bool = False  # it came through a topic of ours, so our headers are believed
    clock_ms: int | None = None
    again: bool = False

    @classmethod
    def of(
        cls, message: Any, *, trusted: bool, clock_ms: int | None = None, again: bool = False
    ) -> Record:
        """Return the record that a consumer fetched (an aiokafka.ConsumerRecord)."""
        return cls(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value,
            headers=tuple(message.headers),
            timestamp_ms=message.timestamp or 0,
            trusted=trusted,
            clock_ms=clock_ms,
            again=again,
        )

    @property
    def size(self) -> int:
        """Bytes of key and value."""
        return len(self.key or b"") + len(self.value or b"")

    @property
    def large(self) -> bool:
        """True where many small records would wait long for this one."""
        return self.size >= LARGE_BYTES

    def header(self, name: str) -> str | None:
        """Return the last header of this name as text, or None."""
        return h.last(self.headers, name)

    @property
    def own(self) -> bool:
        """True for what we produce to a topic that others produce to as well; not for a delete."""
        return self.value is not None and self.header(h.OWN) is not None

    @property
    def origin(self) -> Origin:
        """Where the record first stood."""
        return (self.trusted and h.read_origin(self.headers)) or Origin(
            self.topic, self.partition, self.offset
        )

    @property
    def stamp(self) -> Stamp:
        """When it was first said, and where."""
        ms = self.timestamp_ms if self.clock_ms is None else self.clock_ms
        return (self.trusted and h.read_stamp(self.headers)) or Stamp(
            ms, self.offset, self.partition, self.topic
        )

    def precedes(self, stamp: Stamp) -> bool:
        """True where what was said then stands behind this record in its very partition."""
        here = self.topic == stamp.topic and self.partition == stamp.partition
        return here and self.offset < stamp.offset

    @property
    def version(self) -> Version:
        """The record's version unless its payload has a number."""
        return Version((), self.stamp)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to produce. ``partition`` None: chosen by key as Java's producer does."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


def text_headers(values: Mapping[str, object]) -> list[tuple[str, bytes | None]]:
    """Return headers with the values as UTF-8 text; None values are left out."""
    return [(k, str(v).encode("utf-8", "replace")) for k, v in values.items() if v is not None]
