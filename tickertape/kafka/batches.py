"""Reads record batches as the broker holds them. What cannot be read costs itself, nothing else.

aiokafka's own reader raises at the first byte that it does not like, at each fetch again: a header
name that is not UTF-8, a checksum, a codec, ends a consumer for ever. Here a record or a batch that
cannot be read is passed over, with a metric and a line that says where it is; a header name
keeps its bytes (surrogate escapes), and its record is like any other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.util import decode_varint

from tickertape import metrics
from tickertape.kafka import inflate

PREFIX = struct.Struct(">qi")  # base offset, length of what follows
MAGIC_AT = 16
HEADER = struct.Struct(">qiibIhiqqqhii")
LEGACY_BYTES_MIN = 26
BATCH, RECORD = "batch", "record"

log = structlog.get_logger("tickertape.kafka")


class Unreadable(CorruptRecordException):  # type: ignore[misc]
    """A batch or record that cannot be read."""


@dataclass(frozen=True, slots=True)
class Record:
    """What aiokafka's reader makes of a record."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


class Batches:
    """A fetch's bytes, cut into batches. Stands in for aiokafka's ``MemoryRecords``."""

    def __init__(self, data: bytes) -> None:
        self._data = data or b""

    def size_in_bytes(self) -> int:
        """Return the number of bytes."""
        return len(self._data)

    def has_next(self) -> bool:
        """True where anything was fetched: also what is no batch must be passed over."""
        return bool(self._data)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes of each batch.

        A fetch may end within a batch, which the next one brings; where the first is not whole,
        its length is wrong, and what there is of it comes.
        """
        at = 0
        while at < len(self._data):
            end = self._end(at)
            if end is None:
                if at == 0:
                    yield self._data
                return
            yield self._data[at:end]
            at = end

    def _end(self, at: int) -> int | None:
        if at + PREFIX.size > len(self._data):
            return None
        _, length = PREFIX.unpack_from(self._data, at)
        end = at + PREFIX.size + length
        return int(end) if length > 0 and end <= len(self._data) else None


class PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one fetch of one partition."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Any]:
        for raw in self._records:
            try:
                yield from self._batch(raw)
            except Exception as error:
                self._pass_over(raw, error)

    def _batch(self, raw: bytes) -> Iterator[Any]:
        if len(raw) < LEGACY_BYTES_MIN:
            raise Unreadable(f"{len(raw)} bytes are no batch")
        magic = raw[MAGIC_AT]
        if magic > 2:
            raise Unreadable(f"a batch of format {magic}; 0 to 2 are known")
        if magic == 2 and len(raw) < HEADER.size:
            raise Unreadable(f"{len(raw)} bytes are no batch")
        batch = DefaultRecordBatch(raw) if magic == 2 else LegacyRecordBatch(raw, magic)
        if self._check_crcs and not batch.validate_crc():
            raise Unreadable("the checksum is wrong")
        if not self._skips(batch):
            for record in self._records_of(batch, raw):
                if record.offset >= self.next_fetch_offset:  # a fetch may begin within a batch
                    found = self._consumer_record(self._tp, record)
                    self.next_fetch_offset = record.offset + 1
                    yield found
        self._reach(batch.next_offset)

    def _skips(self, batch: Any) -> bool:
        """True for markers, and where committed records are asked for, for aborted ones."""
        committed = self._isolation_level == fetcher.READ_COMMITTED
        if committed and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _records_of(self, batch: Any, raw: bytes) -> Iterator[Any]:
        """Yield the records by aiokafka's fast reader; where it fails, the rest by ours."""
        done = 0
        try:
            for record in batch:
                done += 1
                yield record
        except Exception:
            if raw[MAGIC_AT] < 2:
                raise
            yield from self._one_by_one(raw, done)

    def _one_by_one(self, raw: bytes, skip: int) -> Iterator[Record]:
        batch = _DefaultRecordBatchPy(raw)
        batch._maybe_uncompress()
        count = HEADER.unpack_from(raw)[12]
        buffer, at = batch._buffer, batch._pos
        for number in range(count):
            length, start = decode_varint(buffer, at)
            at = start + length
            if length <= 0 or at > len(buffer):
                raise Unreadable(f"record {number} of {count} has a length of {length}")
            if number < skip:
                continue
            try:
                record = _record(batch, bytes(buffer[start:at]))
            except Exception as error:
                offset = batch.base_offset + number
                _tell(RECORD, self._tp, offset, offset, error)
            else:
                yield record

    def _pass_over(self, raw: bytes, error: Exception) -> None:
        first, after = self.next_fetch_offset, _after(raw, self.next_fetch_offset)
        self._reach(after)
        _tell(BATCH, self._tp, first, self.next_fetch_offset - 1, error)

    def _reach(self, offset: int) -> None:
        """The next fetch is never before this one, whatever a batch says of itself."""
        self.next_fetch_offset = max(self.next_fetch_offset, offset)


def _record(batch: Any, body: bytes) -> Record:
    """Read one record from its own bytes. Raises what a wrong one may raise."""
    at = 1  # attributes, of which there are none
    elapsed, at = decode_varint(body, at)
    place, at = decode_varint(body, at)
    key, at = _bytes(body, at)
    value, at = _bytes(body, at)
    count, at = decode_varint(body, at)
    if count < 0:
        raise Unreadable(f"it has {count} headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _bytes(body, at)
        held, at = _bytes(body, at)
        headers.append(((name or b"").decode("utf-8", "surrogateescape"), held))
    if at != len(body):
        raise Unreadable(f"{len(body) - at} bytes are left over")
    appended = batch.timestamp_type == batch.LOG_APPEND_TIME
    return Record(
        offset=batch.base_offset + place,
        timestamp=batch.max_timestamp if appended else batch.first_timestamp + elapsed,
        timestamp_type=batch.timestamp_type,
        key=key,
        value=value,
        headers=headers,
    )


def _bytes(body: bytes, at: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(body, at)
    if size < 0:
        return None, at
    if at + size > len(body):
        raise Unreadable(f"a field of {size} bytes, where {len(body) - at} are left")
    return body[at : at + size], at + size


def _after(raw: bytes, first: int) -> int:
    """Return the offset behind a batch that cannot be read.

    What it says of itself counts where it agrees with itself: its last offset and its number of
    records. Else one offset is passed over, and the broker brings what holds the next.
    """
    if len(raw) >= HEADER.size and raw[MAGIC_AT] >= 2:
        base, *_, last, _, _, _, _, _, count = HEADER.unpack_from(raw)
        if count == last + 1 and base <= first <= base + last:
            return int(base + last + 1)
    return first + 1


def _tell(what: str, tp: Any, first: int, last: int, error: Exception) -> None:
    metrics.unreadable.labels(tp.topic, what).inc()
    log.error(
        "unreadable",
        what=what,
        topic=tp.topic,
        partition=tp.partition,
        offset=first,
        last_offset=last,
        error=str(error) or repr(error),
    )


def install() -> None:
    """Let aiokafka read with these; it offers no way to say so."""
    fetcher.MemoryRecords = Batches
    fetcher.PartitionRecords = PartitionRecords
    inflate.install()
