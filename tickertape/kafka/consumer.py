"""The consumer that everything of ours reads with."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    IllegalGenerationError,
    KafkaError,
    NotCoordinatorError,
    RebalanceInProgressError,
    RequestTimedOutError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitRequest

from tickertape.kafka import batches, cluster
from tickertape.kafka.client import Client
from tickertape.kafka.metadata import Metadata

# A topic's new partitions are read after so long at the latest, and twice that for a group's leader
METADATA_AGE_MS = 10_000

batches.install()

log = structlog.get_logger("tickertape.kafka")


@dataclass(frozen=True, slots=True)
class Point:
    """An offset of a group, and what its committer said beside it."""

    offset: int
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Start:
    """Where a partition is read from. ``committed`` is what the group has stored, however wrong;
    ``metadata`` is that of a committed offset that is used; ``end`` is the partition's end then."""

    offset: int
    committed: int | None
    metadata: Metadata
    topic_id: str | None
    end: int


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's, but for what it reads: see `tickertape.kafka.batches`.

    Records of aborted transactions are left out, and a topic's new partitions are noticed soon.
    """

    _closed: bool | None

    def __init__(self, *topics: str, **options: Any) -> None:
        super().__init__(
            *topics,
            **{
                "isolation_level": "read_committed",
                "metadata_max_age_ms": METADATA_AGE_MS,
                **options,
            },
        )
        self._client.__class__ = Client  # the consumer makes it, and takes no other

    async def stop(self) -> None:
        """Leave the group and close every part. Safe to call twice.

        aiokafka's ends half-way with a CancelledError that nobody asked for, where a fetch waits to
        be tried again (the broker is away), or where it has only just been started. What is left
        open then is a group that waits for us, and whoever awaited this is never told.
        """
        if self._closed:
            return
        self._closed = True
        for part in (self._coordinator, self._fetcher, self._client):
            if part is not None:
                await _closed(part)
        if self._fetcher is not None:
            await _cancelled(self._fetcher._pending_tasks)

    async def commit_points(
        self, points: Mapping[TopicPartition, Point]
    ) -> dict[TopicPartition, type[KafkaError]]:
        """Commit once; return what was refused. aiokafka's own tries again for as long as a topic
        does not exist, and keeps all other commits waiting.

        Raises:
            KafkaError: the coordinator did not answer.
        """
        coordinator = self._coordinator
        await coordinator.ensure_coordinator_known()
        data: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        for tp, point in points.items():
            data[tp.topic].append((tp.partition, point.offset, point.metadata.encode()))
        request = OffsetCommitRequest(
            coordinator.group_id,
            coordinator.generation,
            coordinator.member_id,
            OffsetCommitRequest.DEFAULT_RETENTION_TIME,
            list(data.items()),
        )
        async with coordinator._commit_lock:
            response = await coordinator._send_req(request)
        refused = {
            TopicPartition(topic, partition): for_code(error)
            for topic, partitions in response.topics
            for partition, error in partitions
            if error
        }
        _told(coordinator, set(refused.values()))
        return refused

    async def committed_points(
        self, tps: Collection[TopicPartition]
    ) -> dict[TopicPartition, Point]:
        """Return what the group has committed, with its metadata."""
        found = await self._coordinator.fetch_committed_offsets(list(tps))
        return {tp: Point(at.offset, Metadata.decode(at.metadata)) for tp, at in found.items()}

    async def starts(self, tps: Collection[TopicPartition]) -> dict[TopicPartition, Start]:
        """Return where these partitions are to be read from.

        That is what the group has committed; where that belongs to another topic of this name, or
        lies past the end, and where there is nothing, the beginning. Those of a topic that does
        not exist are left out.

        Raises:
            KafkaError: the broker does not answer.
        """
        states = await self.topic_states({tp.topic for tp in tps})
        tps = [tp for tp in tps if tp.topic in states or not states]
        if not tps:
            return {}
        points = await self.committed_points(tps)
        begins, ends = await self.beginning_offsets(tps), await self.end_offsets(tps)
        found = {}
        for tp in tps:
            id = states[tp.topic].id if tp.topic in states else None
            point = points.get(tp)
            if point is None:
                found[tp] = Start(begins[tp], None, Metadata(), id, ends[tp])
                continue
            theirs = point.metadata.topic_id
            if (theirs and id and theirs != id) or point.offset > ends[tp]:
                why = "another topic's" if point.offset <= ends[tp] else "past the end"
                log.warning(
                    "offset_not_used",
                    topic=tp.topic,
                    partition=tp.partition,
                    offset=point.offset,
                    end=ends[tp],
                    reason=why,
                )
                found[tp] = Start(begins[tp], point.offset, Metadata(), id, ends[tp])
            else:
                offset = max(point.offset, begins[tp])
                found[tp] = Start(offset, point.offset, point.metadata, id, ends[tp])
        return found

    async def topic_states(self, names: Iterable[str]) -> dict[str, cluster.TopicState]:
        """Return what the broker says of topics now (see `cluster.topic_states`)."""
        return await cluster.topic_states(self._client, names)

    def read_to(self, tp: TopicPartition) -> int | None:
        """Return the next offset to be handed out, past markers too; None while it is looked up."""
        subscription = self._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or tp not in assignment.tps:
            return None
        position: int | None = assignment.state_value(tp)._position
        return position

    def readable_to(self, tp: TopicPartition) -> int | None:
        """Return the end of what can be read now, as the last fetch told it: what an open
        transaction holds back is no lag."""
        stable = self.last_stable_offset(tp)
        end = stable if stable is not None and stable >= 0 else self.highwater(tp)
        return int(end) if end is not None else None


def _told(coordinator: Any, errors: set[type[KafkaError]]) -> None:
    """Let aiokafka do what such an answer asks for."""
    if errors & {CoordinatorNotAvailableError, NotCoordinatorError, RequestTimedOutError}:
        coordinator.coordinator_dead()
    if RebalanceInProgressError in errors:
        coordinator.request_rejoin()
    elif errors & {UnknownMemberIdError, IllegalGenerationError}:
        coordinator.reset_generation()


async def _closed(part: Any) -> None:
    """Close a part; its errors end nothing but itself."""
    closing = asyncio.ensure_future(part.close())
    await asyncio.wait([closing])
    if not closing.cancelled() and (error := closing.exception()) is not None:
        log.warning("close", part=type(part).__name__, error=repr(error))


async def _cancelled(tasks: Collection[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
