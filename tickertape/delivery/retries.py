"""Reads the retry topics and hands what is due back to its flow.

A consumer and group of its own: a record that waits inside a Faust agent would hold its buffer.
A partition whose next record is not due is paused and sought back to it, so waiting keeps no
records in memory, however many there are. Offsets move as in the flows: over what is settled.

A record is due at the time its header says, but never later than its level's delay after the
broker stamped it (a header may be forged, a clock may jump), and never later than that delay
after this reader first saw it by the monotonic clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from tickertape import headers as h
from tickertape.background import spawn
from tickertape.delivery.flow import Flow
from tickertape.delivery.offsets import ConsumerOffsets
from tickertape.kafka.brokers import brokers_of, client
from tickertape.kafka.consumer import Consumer, Point
from tickertape.kafka.metadata import Metadata
from tickertape.record import Record
from tickertape.settings import Settings

POLL_RECORDS = 200
POLL_MS = 200
COMMIT_SECONDS = 0.5
LOOK_SECONDS = 3.0
FETCH_BYTES_MAX = 4 * 2**20
DEAD_SECONDS = 30.0  # after so long without a good turn the consumer is made anew
REBUILD_SECONDS = 1.0
FETCH_WAIT_MS = 1500  # an idle fetch costs as much as one that brings something
PARTITION_BYTES_MAX = 64 * 1024

log = structlog.get_logger("tickertape.retries")


def due_in_seconds(
    header_ms: int, stamped_ms: int, longest_seconds: float, now_ms: float, seen_seconds: float
) -> float:
    """Return how long the record still waits.

    ``header_ms`` is what its header says (0: nothing), ``stamped_ms`` the broker's time of the
    copy, ``seen_seconds`` how long this reader has known it.
    """
    latest_ms = stamped_ms + longest_seconds * 1000
    due_ms = min(header_ms or latest_ms, latest_ms)
    return min((due_ms - now_ms) / 1000, longest_seconds - seen_seconds)


class RetryReader:
    """One a worker. ``flows`` maps a retry topic to the flow that takes its records."""

    def __init__(self, settings: Settings, flows: Mapping[str, Flow[Any]]) -> None:
        self._settings = settings
        self._flows = dict(flows)
        self._offsets = ConsumerOffsets()
        self._consumer: Consumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._resume_at: dict[TopicPartition, float] = {}  # monotonic
        self._seen: dict[TopicPartition, tuple[int, float]] = {}  # waiting offset, since
        self._feeding = True
        self._topic_ids: dict[str, str] = {}
        self._begun: set[TopicPartition] = set()  # assigned, and sought to where they begin
        self._rebalances = 0
        self._down = ""

    async def start(self) -> None:
        """Join the group and read in the background."""
        await self._open()
        self._task = spawn("retries", self._run)

    @property
    def down(self) -> str:
        """Why nothing is read now; empty while all is well."""
        return self._down

    async def _open(self) -> None:
        settings = self._settings
        consumer = Consumer(
            **client(brokers_of(settings)),
            group_id=f"{settings.app_id}-retry",
            client_id=f"{settings.app_id}-retry",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=POLL_RECORDS,
            fetch_max_bytes=FETCH_BYTES_MAX,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=PARTITION_BYTES_MAX,
            session_timeout_ms=round(settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=1_000,
            max_poll_interval_ms=600_000,
        )
        consumer.subscribe(list(self._flows), listener=_Listener(self))
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    def stop_feeding(self) -> None:
        """Hand no more records over; what is in the flows may still be settled."""
        self._feeding = False

    async def stop(self) -> None:
        """Commit what is settled and leave the group. Safe to call twice."""
        self.stop_feeding()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._close()

    async def _close(self) -> None:
        """Commit what is settled and leave the group; what is not is delivered again."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        with contextlib.suppress(KafkaError):
            await self._commit(consumer)
        self._rebalances += 1
        self._begun.clear()
        self._resume_at.clear()
        self._seen.clear()
        self._offsets.revoke()
        await consumer.stop()

    async def _run(self) -> None:
        """Read, with another consumer where one has died: nobody else reads what waits here."""
        while True:
            try:
                if self._consumer is None:
                    await self._open()
                await self._read()
            except Exception as error:
                self._down = repr(error)[:500]
                log.warning("retry_reader", error=self._down, exc_info=not _known(error))
            try:
                await self._close()
            except Exception as error:  # it is dead already
                log.warning("retry_reader_close", error=repr(error)[:500])
            await asyncio.sleep(REBUILD_SECONDS)

    async def _read(self) -> None:
        """Read until the consumer is of no more use.

        Raises:
            KafkaError: nothing could be read for `DEAD_SECONDS`. What passes by itself (a broker
                that restarts, a rebalance) is waited for.
        """
        consumer = self._consumer
        assert consumer is not None
        commit_at = time.monotonic() + COMMIT_SECONDS
        look_at = time.monotonic() + LOOK_SECONDS
        well = time.monotonic()
        while True:
            try:
                if time.monotonic() >= look_at:
                    await self._look(consumer)
                    look_at = time.monotonic() + LOOK_SECONDS
                if fresh := consumer.assignment() - self._begun:
                    await self._begin(consumer, fresh)
                self._wake(consumer)
                batches = await consumer.getmany(timeout_ms=POLL_MS)
                for tp in self._begun:
                    self._hand_over(consumer, tp, batches.get(tp, ()))
                    if (position := consumer.read_to(tp)) is not None:
                        self._offsets.of(tp.topic, tp.partition).reach(position)
                if time.monotonic() >= commit_at:
                    await self._commit(consumer)
                    commit_at = time.monotonic() + COMMIT_SECONDS
                well = time.monotonic()
                self._down = ""
            except KafkaError as error:
                self._down = repr(error)[:500]
                if time.monotonic() - well > DEAD_SECONDS:
                    raise
                await asyncio.sleep(1.0)

    def _wake(self, consumer: Consumer) -> None:
        """Resume the partitions whose next record is due, and hold those of held flows."""
        now = time.monotonic()
        for tp in consumer.assignment():
            flow = self._flows[tp.topic]
            if not self._feeding or flow.wants_hold:
                consumer.pause(tp)
            elif self._resume_at.get(tp, 0.0) <= now:
                self._resume_at.pop(tp, None)
                consumer.resume(tp)

    def _hand_over(self, consumer: Consumer, tp: TopicPartition, messages: Sequence[Any]) -> None:
        flow = self._flows[tp.topic]
        level = flow.spec.routes[tp.topic].attempts - 1
        settings = self._settings
        delays = settings.retry_delays_seconds
        # A level that is no more: what was left there waits no longer than what is retried last.
        delay = delays[min(level, len(delays) - 1)] if delays else 0.0
        longest = delay * (1 + settings.retry_jitter)
        for message in messages:
            wait = self._wait(tp, message, longest)
            if wait > 0 or not self._feeding or flow.wants_hold:
                consumer.pause(tp)
                consumer.seek(tp, message.offset)
                self._resume_at[tp] = time.monotonic() + max(wait, 0.0)
                return
            if self._offsets.of(tp.topic, tp.partition).went_back(message.offset):
                self._offsets.again(tp.topic, tp.partition)
            offsets = self._offsets.of(tp.topic, tp.partition)
            again = offsets.stood_before(message.offset)
            flow.put([Record.of(message, trusted=True, again=again)], offsets)

    def _wait(self, tp: TopicPartition, message: Any, longest: float) -> float:
        now = time.monotonic()
        offset, since = self._seen.get(tp, (-1, now))
        if offset != message.offset:
            since = now
            self._seen[tp] = (message.offset, now)
        header = h.read_int(message.headers, h.RETRY_DUE)
        return due_in_seconds(header, message.timestamp, longest, time.time() * 1000, now - since)

    async def _commit(self, consumer: Consumer) -> None:
        assigned = consumer.assignment()
        points = {
            TopicPartition(*tp): Point(offset, Metadata(self._topic_ids.get(tp[0])))
            for tp, offset in self._offsets.uncommitted().items()
            if TopicPartition(*tp) in assigned
        }
        if points:
            refused = await consumer.commit_points(points)
            for tp, point in points.items():
                if tp not in refused:
                    self._offsets.of(tp.topic, tp.partition).committed = point.offset

    async def _look(self, consumer: Consumer) -> None:
        """Begin again with a topic that was made anew."""
        states = await consumer.topic_states(self._flows)
        for tp in list(self._begun):
            known = self._topic_ids.get(tp.topic)
            if tp.topic in states and known is not None and states[tp.topic].id != known:
                log.warning("topics_made_anew", topics=[tp.topic])
                self._begun.discard(tp)

    async def _begin(self, consumer: Consumer, fresh: Collection[TopicPartition]) -> None:
        """Read new partitions from what the group has committed, where that is of these very
        topics. What came of them before is left: it comes again.
        """
        rebalances = self._rebalances
        starts = await consumer.starts(fresh)
        if rebalances != self._rebalances:
            return
        for tp, start in starts.items():
            consumer.seek(tp, start.offset)
            offsets = self._offsets.again(tp.topic, tp.partition)
            offsets.begin(start.offset, start.committed, start.end)
            if start.topic_id is not None:
                self._topic_ids[tp.topic] = start.topic_id
            self._begun.add(tp)

    async def revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """The partitions go to another worker, or come again from their last commit."""
        if self._consumer is not None:
            with contextlib.suppress(KafkaError):
                await self._commit(self._consumer)
        self._rebalances += 1
        self._begun.difference_update(revoked)
        self._offsets.revoke({(tp.topic, tp.partition) for tp in revoked})
        for tp in revoked:
            self._resume_at.pop(tp, None)
            self._seen.pop(tp, None)


def _known(error: Exception) -> bool:
    return isinstance(error, KafkaError | OSError)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, reader: RetryReader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._reader.revoked(list(revoked))

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """They are begun before the next fetch."""
