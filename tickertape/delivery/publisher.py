"""Produces to Kafka and waits for the broker's acknowledgement of every record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from tickertape.delivery.record import Outgoing
from tickertape.errors import PermanentError, TooLarge, TransientError
from tickertape.settings import Settings
from tickertape.topics import COPY_BYTES_MAX

REQUEST_TIMEOUT_MS = 20_000


class KafkaPublisher:
    """One producer a worker. Records to one partition keep their order.

    acks=all and no idempotence: a duplicate made by a retry is harmless to what we write, and
    an idempotent producer stops for good after some broker faults.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect. Raises `aiokafka.errors.KafkaConnectionError` without a broker."""
        settings = self._settings
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap,
            client_id=f"{settings.app_id}-publisher",
            acks="all",
            linger_ms=settings.linger_ms,
            max_batch_size=settings.producer_batch_bytes,
            max_request_size=COPY_BYTES_MAX,
            compression_type=None if settings.compression == "none" else settings.compression,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Flush and close. Safe to call twice."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def send(self, records: Sequence[Outgoing]) -> list[Exception | None]:
        """Send all; one entry each: None, a `PermanentError` the broker will always answer, or
        a `TransientError`."""
        producer = self._producer
        if producer is None:
            return [TransientError("the producer is stopped", dependency="kafka")] * len(records)
        futures: list[asyncio.Future[object] | Exception] = []
        for record in records:
            try:
                future = await producer.send(
                    record.topic,
                    record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                )
                futures.append(future)
            except (KafkaError, ValueError, AssertionError) as error:
                futures.append(error)
        waiting = [future for future in futures if not isinstance(future, Exception)]
        if waiting:
            await asyncio.wait(waiting)
        return [_verdict(future) for future in futures]


def _verdict(future: asyncio.Future[object] | Exception) -> Exception | None:
    error = future if isinstance(future, Exception) else future.exception()
    if error is None:
        return None
    if isinstance(error, MessageSizeTooLargeError):
        return TooLarge(f"the record is over the topic's or the producer's limit: {error}")
    if isinstance(error, UnknownTopicOrPartitionError):
        return TransientError(f"the topic does not exist: {error}", dependency="kafka")
    if isinstance(error, KafkaError):
        return TransientError(f"not acknowledged: {error!r}", dependency="kafka")
    return PermanentError(f"not a record Kafka takes: {error}")
