"""A batch on its way: declared, sent, followed to its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError

from tickertape import headers as h
from tickertape import kafka_admin, values
from tickertape.batches import BatchReader
from tickertape.cli import naming
from tickertape.cli.batches import follow, said_while_waiting
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.encode import batch_status, iso, to_json
from tickertape.errors import BrokerError, PermanentError
from tickertape.feed import FeedDocument, Shape, Skipped
from tickertape.kafka.brokers import brokers_of
from tickertape.record import Outgoing
from tickertape.settings import Settings

WINDOW_RECORDS = 500
WINDOW_BYTES = 4 * 2**20
POLL_SECONDS = 0.1
READ_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send where. ``total`` None: known when all is sent. ``joins``: the user named the
    batch, so it may have documents already."""

    topic: str
    shape: Shape
    batch_id: str
    entries: Iterable[FeedDocument]
    total: int | None
    key: str | None = None
    joins: bool = False
    force: bool = False
    wait: bool = False
    quiet: bool = False


@dataclass(slots=True)
class Sent:
    """What came of it. ``skipped`` could not be sent, ``passed_over`` was not meant to be.

    ``state`` is the batch's last status where it was followed.
    """

    count: int = 0
    skipped: int = 0
    passed_over: int = 0
    last_id: str | None = None
    state: dict[str, Any] | None = field(default=None)

    @property
    def done(self) -> bool:
        """Whether something was sent and, where it was followed, all of it was done."""
        return self.count > 0 and (self.state is None or self.state["status"] == "completed")

    def fit(self, found: Iterable[FeedDocument | Skipped]) -> Iterator[FeedDocument]:
        """Yield what can be sent; say and count what cannot."""
        for one in found:
            if isinstance(one, FeedDocument):
                yield one
            else:
                self.skip(one)

    def skip(self, problem: Skipped) -> None:
        """Say and count what is not sent."""
        self.skipped += not problem.passed
        self.passed_over += problem.passed
        naming.aside(str(problem))


async def send(settings: Settings, plan: Plan, sent: Sent) -> None:
    """Send the plan's documents, each acknowledged by the broker, and count them in ``sent``.

    Raises:
        BrokerError: the broker cannot be reached, does not have the topic, or stops answering.
    """
    await _prepare(settings, plan.topic)
    async with publisher(settings) as sender, _reader(settings, plan) as reader:
        before = _total_of(reader, plan)
        known = None if plan.total is None else before + plan.total
        await _declare(sender, settings, plan, known)
        await _deliver(sender, plan, sent)
        total = before + sent.count
        if total != known:
            await _declare(sender, settings, plan, total)
        if plan.wait and reader is not None and sent.count:
            sent.state = await _follow(settings, reader, plan, total)


async def _prepare(settings: Settings, topic: str) -> None:
    """The topics must be there: a producer would wait for one that is not. Ours are made."""
    needed = {topic, settings.topic_batch_status}
    wanted = kafka_admin.wanted(settings)
    made = [one for one in wanted if one.name in needed or one.like in needed]
    (await kafka_admin.ensure(brokers_of(settings), made)).raise_for_errors()
    if topic not in {one.name for one in made}:
        await naming.check_exists(brokers_of(settings), topic)


@contextlib.asynccontextmanager
async def publisher(settings: Settings) -> AsyncIterator[KafkaPublisher]:
    """Give what produces. Every consumer can read what is not compressed."""
    made = KafkaPublisher(settings.model_copy(update={"compression": "none"}))
    try:
        try:
            await made.start()
        except KafkaError as error:
            raise BrokerError(f"no Kafka broker answers at {settings.bootstrap}") from error
        yield made
    finally:
        await made.stop()


@contextlib.asynccontextmanager
async def _reader(settings: Settings, plan: Plan) -> AsyncIterator[BatchReader | None]:
    """Where batches stand, where that is asked for: to wait, or to add to a batch."""
    if not (plan.wait or plan.joins):
        yield None
        return
    reader = BatchReader(settings)
    async with caught_up(settings, reader):
        yield reader


@contextlib.asynccontextmanager
async def caught_up(settings: Settings, reader: BatchReader) -> AsyncIterator[None]:
    """Read where batches stand, from when all that stood there has been read."""
    await reader.start()
    try:
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                while not reader.caught_up:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS / 2)
        except TimeoutError:
            raise BrokerError(
                f"{settings.topic_batch_status} could not be read from {settings.bootstrap}"
            ) from None
        yield
    finally:
        await reader.stop()


def _total_of(reader: BatchReader | None, plan: Plan) -> int:
    """How many documents the batch has had before."""
    state = reader.get(plan.batch_id) if reader is not None and plan.joins else None
    if state is None:
        return 0
    return int(state["total_documents"] or state["seen"] + state["repeats"])


async def _declare(
    publisher: KafkaPublisher, settings: Settings, plan: Plan, total: int | None
) -> None:
    value = batch_status(
        plan.batch_id,
        "queued",
        total_documents=total,
        processed_documents=0,
        timestamp=time.time(),
    )
    record = Outgoing(settings.topic_batch_status, plan.batch_id.encode(), value)
    (error,) = await publisher.send([record])
    if error is not None:
        raise BrokerError(f"the batch could not be declared: {error}")


async def _deliver(publisher: KafkaPublisher, plan: Plan, sent: Sent) -> None:
    window: list[tuple[FeedDocument, Outgoing]] = []
    size = 0
    for one in plan.entries:
        record = _record(plan, one)
        window.append((one, record))
        size += len(record.value or b"")
        if len(window) >= WINDOW_RECORDS or size >= WINDOW_BYTES:
            await _flush(publisher, window, sent)
            window, size = [], 0
    await _flush(publisher, window, sent)


def _record(plan: Plan, one: FeedDocument) -> Outgoing:
    now = time.time()
    written = iso(now) if plan.shape.id == "document_id" else now
    payload = {"timestamp": written, **one.payload, "batch_id": plan.batch_id}
    headers = [(h.FORCE, b"1")] if plan.force else []
    key = plan.key or one.id
    return Outgoing(plan.topic, key.encode(), _json(payload), headers)


def _json(payload: dict[str, Any]) -> bytes:
    """As it came; with what JSON cannot hold made safe where there is any."""
    try:
        return to_json(payload)
    except TypeError:
        return to_json(values.tree("payload", payload))


async def _flush(
    publisher: KafkaPublisher, window: Sequence[tuple[FeedDocument, Outgoing]], sent: Sent
) -> None:
    verdicts = await publisher.send([record for _, record in window])
    for (one, _), error in zip(window, verdicts, strict=True):
        if isinstance(error, PermanentError):
            sent.skip(Skipped(one.where, str(error)))
        elif error is not None:
            raise BrokerError(f"stopped after {sent.count} records: {error}")
        else:
            sent.count += 1
            sent.last_id = one.id


async def _follow(
    settings: Settings, reader: BatchReader, plan: Plan, total: int
) -> dict[str, Any] | None:
    try:
        async with said_while_waiting(settings, reader, plan.batch_id):
            # A batch that was finished before is open again once its owner has heard of our total.
            while _total(reader, plan.batch_id) != total:  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
            await follow(reader, plan.batch_id, (lambda _: None) if plan.quiet else None)
        return reader.get(plan.batch_id)
    except asyncio.CancelledError:
        naming.aside(f"the batch goes on: faust -A app batches watch {plan.batch_id}")
        raise


def _total(reader: BatchReader, batch_id: str) -> int | None:
    found: int | None = (reader.get(batch_id) or {}).get("total_documents")
    return found
