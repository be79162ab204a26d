"""Header names that are not UTF-8, written as they came.

Kafka takes any bytes as a name; `tickertape.kafka.batches` reads them with surrogate escapes.
aiokafka's fast writer takes only what is UTF-8, its slow one asks the name to encode itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy


class Named(Protocol):
    """A record with headers."""

    @property
    def headers(self) -> Iterable[tuple[str, bytes | None]]: ...


class _Name(str):
    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:  # noqa: ARG002
        return super().encode("utf-8", "surrogateescape")


def is_text(name: str) -> bool:
    """True where the name's bytes are UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def encodable(name: str) -> str:
    """Return a name that encodes to the bytes it was read from."""
    return name if is_text(name) else _Name(name)


def all_text(records: Iterable[Named]) -> bool:
    """True where every header's name is UTF-8."""
    return all(is_text(name) for record in records for name, _ in record.headers)


def new_batch(producer: Any, text: bool) -> Any:
    """Return a new batch of the producer. ``text``: all names are UTF-8, as nearly always."""
    batch = producer.create_batch()
    if not text:
        accumulator = producer._message_accumulator
        batch._builder = _DefaultRecordBatchBuilderPy(
            magic=2,
            compression_type=accumulator._compression_type,
            is_transactional=False,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=0,
            batch_size=accumulator._batch_size,
        )
    return batch
