"""What the topics hold against the ledger: every record that was settled is known to it, or is a
dead letter, or waits to be tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tickertape import headers as h
from tickertape import topics
from tickertape.delivery import copies
from tickertape.delivery.spec import Spec
from tickertape.documents import DocumentKey, Head
from tickertape.editions import Edition
from tickertape.errors import BrokerError, PermanentError
from tickertape.kafka.brokers import Brokers, client
from tickertape.kafka.clock import PartitionClock
from tickertape.kafka.consumer import Consumer
from tickertape.kafka_admin import committed_by
from tickertape.pipeline import Embedded, Item, Removal
from tickertape.record import Outgoing, Record
from tickertape.stores.base import Store
from tickertape.verify.findings import Finding, Kind

STALL_SECONDS = 20.0
POLL_MS = 200
LOST_MAX = 10_000  # records that are looked for among dead letters at a time
DELETES_DAYS = 44  # a store may have forgotten a delete that is older

Place = tuple[str, int, int]


@dataclass(slots=True)
class Lost:
    """A record that the ledger does not know of, and what sends it again; None: that would bring
    back what may have been deleted so long ago that the delete is forgotten."""

    finding: Finding
    again: Outgoing | None


@dataclass(frozen=True, slots=True)
class Read:
    """So many records were looked at; at the end come those that are lost."""

    looked: int
    lost: Sequence[Lost] = ()


@dataclass(slots=True)
class Topics:
    """A comparison of topics with the ledger. ``specs`` are the flows that store what stands on
    their topics, ``group`` is the workers'. ``mark``: by partition, the next offset."""

    brokers: Brokers | str
    group: str
    specs: Sequence[Spec[Any]]
    first: Store
    is_chosen: Callable[[DocumentKey], bool] = lambda _key: True
    mark: dict[str, int] = field(default_factory=dict)
    lost: dict[Place, Lost] = field(default_factory=dict)

    async def steps(self) -> AsyncIterator[Read]:
        """Read what was settled of every topic, from where the mark stands.

        Raises:
            BrokerError: the broker does not answer.
        """
        of_topic = {
            topic: spec
            for spec in self.specs
            for topic, route in spec.routes.items()
            if not route.internal
        }
        async with _consumer(self.brokers) as consumer:
            committed = await committed_by(self.brokers, self.group)
            ends = {tp: end for tp, end in committed.items() if tp.topic in of_topic}
            clocks = {tp: PartitionClock() for tp in ends}
            async for tp, messages in _read(consumer, ends, self.mark):
                spec = of_topic[tp.topic]
                every = [_record(clocks[tp], message) for message in messages]
                records = [record for record in every if not spec.passes(record)]  # not our own
                lost = await self._look(spec, records)
                self.lost.update({_place(record): one for record, one in lost})
                self.mark[f"{tp.topic}/{tp.partition}"] = messages[-1].offset + 1
                yield Read(len(records))
                if len(self.lost) >= LOST_MAX:
                    yield Read(0, await self._really_lost(consumer))
            yield Read(0, await self._really_lost(consumer))

    async def _really_lost(self, consumer: Consumer) -> list[Lost]:
        """Those that are no dead letters and wait for no retry."""
        if not self.lost:
            return []
        for spec in self.specs:
            for topic in {
                each
                for base in {route.base for route in spec.routes.values()}
                for each in (*spec.routes, topics.dlq(base), topics.parking(base))
            }:
                await self._pass_over(consumer, topic)
        found = list(self.lost.values())
        self.lost.clear()
        return found

    async def _pass_over(self, consumer: Consumer, topic: str) -> None:
        """Forget those that have a copy on this topic."""
        places = consumer.partitions_for_topic(topic) or set()
        tps = [TopicPartition(topic, number) for number in places]
        if not tps:
            return
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        async for _, messages in _read(consumer, ends, {}):
            for message in messages:
                origin = h.read_origin(tuple(message.headers))
                if origin is not None:
                    self.lost.pop((origin.topic, origin.partition, origin.offset), None)

    async def _look(self, spec: Spec[Any], records: Sequence[Record]) -> list[tuple[Record, Lost]]:
        """Return those that the ledger does not know of."""
        items: list[tuple[Record, Item]] = []
        for record in records:
            try:
                item = spec.decode(record)
            except PermanentError:
                continue  # it is a dead letter
            if self.is_chosen(_key(item)):
                items.append((record, item))
        heads = await self.first.heads(list({_key(item) for _, item in items}))
        found = []
        for record, item in items:
            detail = unknown(item, heads.get(_key(item)))
            if detail is not None:
                finding = Finding(Kind.MISSING, self.first.name, _key(item), detail)
                base = spec.routes[record.topic].base
                forgotten = _is_old(item) and _key(item) not in heads
                again = None if forgotten else _again(record, base, item)
                found.append((record, Lost(finding, again)))
        return found


def unknown(item: Item, head: Head | None) -> str | None:
    """Say what is wrong where the ledger does not know of this event, else None."""
    if isinstance(item, Removal):
        return _undeleted(item, head)
    document = item.document if isinstance(item, Embedded) else item
    edition = item.edition if isinstance(item, Embedded) else Edition(item.version)
    where = f"as {document.origin} says"
    if head is None:
        return f"not there, {where}"
    editions, place = head.editions, document.version.stamp.place
    if not editions.would_show(edition, document.origin.topic):
        return None  # something newer is known
    shown = any(one.version.stamp.place == place for one in editions.shown)
    if shown or head.version.stamp.place == place:
        return "its text is not there" if head.deleted and editions.shown else None
    return f"not the newest, {where}"


def _undeleted(item: Removal, head: Head | None) -> str | None:
    latest = [said.latest for said in head.editions.deletes.values()] if head is not None else []
    known = any(stamp is not None and stamp >= item.version.stamp for stamp in latest)
    if known or _is_old(item):
        return None
    return f"its delete is not known, as {item.origin} says"


def _is_old(item: Item) -> bool:
    """Whether a delete of then, or of any time since, may be forgotten."""
    said = item.document if isinstance(item, Embedded) else item
    return said.version.stamp.ms < (time.time() - DELETES_DAYS * 86_400) * 1000


def _key(item: Item) -> DocumentKey:
    """A delete of an id in all collections is known to every key of the id."""
    if isinstance(item, Removal):
        return DocumentKey(item.collection or "", item.id, item.tenant)
    return (item.document if isinstance(item, Embedded) else item).key


def _again(record: Record, base: str, item: Item) -> Outgoing:
    """The record once more, under the version that it had."""
    return copies.rekeyed(record, base, _key(item).id)


def _record(clock: PartitionClock, message: Any) -> Record:
    now = time.time() * 1000
    ms = clock.read(message.offset, message.timestamp, message.timestamp_type, now)
    return Record.of(message, trusted=False, clock_ms=ms)


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset


async def _read(
    consumer: Consumer, ends: Mapping[TopicPartition, int], mark: Mapping[str, int]
) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
    """Yield the messages before these ends, a partition after the other."""
    for tp, end in sorted(ends.items()):
        consumer.assign([tp])
        begin = (await consumer.beginning_offsets([tp]))[tp]
        start = max(begin, mark.get(f"{tp.topic}/{tp.partition}", 0))
        consumer.seek(tp, start)
        while await consumer.position(tp) < end:
            async with asyncio.timeout(STALL_SECONDS):
                while True:
                    found = (await consumer.getmany(timeout_ms=POLL_MS)).get(tp, [])
                    if found or await consumer.position(tp) >= end:
                        break
            messages = [message for message in found if message.offset < end]
            if messages:
                yield tp, messages


@asynccontextmanager
async def _consumer(at: Brokers | str) -> AsyncIterator[Consumer]:
    consumer = Consumer(**client(at), auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        try:
            await consumer.start()
            await consumer.topics()
        except (KafkaError, OSError):
            raise BrokerError(f"no Kafka broker answers at {at}") from None
        try:
            yield consumer
        except (KafkaError, TimeoutError) as error:
            raise BrokerError(f"the broker at {at} failed: {error!r}") from error
    finally:
        await consumer.stop()
