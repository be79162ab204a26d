"""Records that are there together or not at all, whoever dies on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from tickertape.errors import OutageError, TransientError
from tickertape.kafka.brokers import brokers_of, client
from tickertape.kafka.header_names import encodable
from tickertape.kafka.refusals import OF_THE_BATCH, verdict
from tickertape.record import Outgoing
from tickertape.settings import Settings
from tickertape.topics import COPY_BYTES_MAX

# What a killed producer had begun keeps readers waiting for so long, unless another takes its name
TIMEOUT_MS = 20_000
REQUEST_TIMEOUT_MS = 15_000
ABORT_SECONDS_MAX = 2.0


class Transactions:
    """Sends pages of records, each in a transaction, under a name of which there is one at a time:
    who opens it last keeps the name, and what another had begun under it is nowhere.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Take the name.

        Raises:
            OutageError: Kafka does not answer.
        """
        self._producer = producer = AIOKafkaProducer(
            **client(brokers_of(self._settings)),
            client_id=f"{self._settings.app_id}-transactions",
            transactional_id=self._name,
            transaction_timeout_ms=TIMEOUT_MS,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            linger_ms=self._settings.linger_ms,
            max_batch_size=self._settings.producer_batch_bytes,
            max_request_size=COPY_BYTES_MAX,
            compression_type=None
            if self._settings.compression == "none"
            else self._settings.compression,
        )
        try:
            await producer.start()
        except BaseException as error:
            await self._close()
            if isinstance(error, KafkaError):
                raise _error(error) from error
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Produce all, and return when all of them can be read.

        Raises:
            OutageError: Kafka does not answer; none of them is there, or all are.
            TransientError: another has taken the name, and none of them is there.
            PermanentError: one of them is refused, as too large, and none of them is there.
        """
        producer = self._producer
        assert producer is not None
        sent: list[asyncio.Future[object]] = []
        topic = ""
        try:
            await producer.begin_transaction()
            for record in records:
                topic = record.topic
                sent.append(
                    await producer.send(
                        record.topic,
                        record.value,
                        key=record.key,
                        partition=record.partition,
                        headers=[(encodable(name), value) for name, value in record.headers],
                    )
                )
            for record, future in zip(records, sent, strict=True):
                topic = record.topic
                await future  # the commit goes on without what was refused
            await producer.commit_transaction()
        except OF_THE_BATCH as error:
            raise verdict(topic, error) from error
        except KafkaError as error:
            raise _error(error) from error
        finally:
            for future in sent:
                if not future.done():
                    future.cancel()
            await asyncio.gather(*sent, return_exceptions=True)

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has.

        Raises:
            OutageError: Kafka does not answer.
        """
        assert self._producer is not None
        try:
            return len(await self._producer.partitions_for(topic))
        except KafkaError as error:
            raise _error(error) from error

    async def _close(self) -> None:
        """Abort what was begun, where the broker answers, and let the name go."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(ABORT_SECONDS_MAX):
                if producer._txn_manager.is_in_transaction():
                    await producer.abort_transaction()
        with contextlib.suppress(Exception):
            await producer.stop()


def _error(error: KafkaError) -> Exception:
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, ProducerFenced):
        return TransientError(f"another worker goes on with it: {said}")
    return OutageError(f"Kafka: {said}", dependency="kafka")
