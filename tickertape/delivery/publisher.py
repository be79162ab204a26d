"""Produces to Kafka and waits for the broker's acknowledgement of every record."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner

from tickertape.errors import TransientError
from tickertape.kafka.brokers import brokers_of, client
from tickertape.kafka.header_names import all_text, encodable, new_batch
from tickertape.kafka.refusals import OF_THE_BATCH, verdict
from tickertape.record import Outgoing
from tickertape.settings import Settings
from tickertape.topics import COPY_BYTES_MAX

REQUEST_TIMEOUT_MS = 20_000
PARTITIONER = DefaultPartitioner()

Numbered = tuple[int, Outgoing]  # place among the records of a call


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
            **client(brokers_of(settings)),
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

    async def reachable(self) -> bool:
        """Ask a broker for its metadata; return whether one answered."""
        producer = self._producer
        return producer is not None and bool(await producer.client.force_metadata_update())

    async def send(self, records: Sequence[Outgoing]) -> list[Exception | None]:
        """Send all; one entry each: None where it is acknowledged, else what
        `tickertape.kafka.refusals` makes of the error.

        A batch a partition, made here: one confirmation each, where a record by itself costs a
        future and a turn of the event loop.
        """
        producer = self._producer
        if producer is None:
            return [TransientError("the producer is stopped", dependency="kafka")] * len(records)
        errors: dict[int, Exception] = {}
        lines: dict[tuple[str, int], list[int]] = {}
        for topic, indices in _by_topic(records).items():
            asked = time.time() * 1000
            try:
                partitions = sorted(await producer.partitions_for(topic))
            except (KafkaError, ValueError) as error:
                reached = producer.client.cluster._last_successful_refresh_ms >= asked
                errors.update(dict.fromkeys(indices, verdict(topic, error, reached)))
                continue
            for index in indices:
                record = records[index]
                partition = record.partition
                if partition is None:
                    partition = PARTITIONER(record.key, partitions, partitions)
                lines.setdefault((topic, partition), []).append(index)
        sent = [
            self._send_line(producer, where, [(index, records[index]) for index in indices])
            for where, indices in lines.items()
        ]
        for found in await asyncio.gather(*sent):
            errors.update(found)
        return [errors.get(index) for index in range(len(records))]

    async def _send_line(
        self, producer: AIOKafkaProducer, where: tuple[str, int], line: Sequence[Numbered]
    ) -> dict[int, Exception]:
        """Send the records of one partition; return what failed, by index. They keep their order,
        but for a batch that is refused for one of them and goes again record by record.
        """
        topic, partition = where
        errors: dict[int, Exception] = {}
        waiting: list[tuple[list[Numbered], asyncio.Future[object]]] = []
        left = deque(line)
        text = all_text(record for _, record in line)
        while left:
            batch = new_batch(producer, text)
            taken: list[Numbered] = []
            while left and _append(batch, left[0], errors):
                taken.append(left.popleft())
            batch.close()
            if not taken:  # a batch takes its first record, however large
                raise AssertionError(f"an empty batch has no room for {left[0][1].topic}")
            taken = [one for one in taken if one[0] not in errors]
            if not taken:
                continue
            try:
                future = await producer.send_batch(batch, topic, partition=partition)
                waiting.append((taken, future))
            except (KafkaError, ValueError, AssertionError) as error:
                errors.update({index: verdict(topic, error) for index, _ in taken})
        for taken, future in waiting:
            try:
                await future
            except OF_THE_BATCH as error:
                if len(taken) == 1:
                    errors[taken[0][0]] = verdict(topic, error)
                    continue
                for one in taken:  # which of them it is, only the broker knows
                    errors.update(await self._send_line(producer, where, [one]))
            except KafkaError as error:
                errors.update({index: verdict(topic, error) for index, _ in taken})
        return errors


def _by_topic(records: Sequence[Outgoing]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        found.setdefault(record.topic, []).append(index)
    return found


def _append(batch: Any, numbered: Numbered, errors: dict[int, Exception]) -> bool:
    """Put a record into a batch; False: the batch is full. What is no record goes to errors."""
    index, record = numbered
    size = len(record.key or b"") + len(record.value or b"")
    try:
        if size > COPY_BYTES_MAX:
            raise MessageSizeTooLargeError(f"{size} bytes; at most {COPY_BYTES_MAX}")
        if record.key is None and record.value is None:
            raise ValueError("neither key nor value")
        headers = [(encodable(name), value) for name, value in record.headers]
        added = batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    except (KafkaError, ValueError, TypeError) as error:
        errors[index] = verdict(record.topic, error)
        return True
    return added is not None
