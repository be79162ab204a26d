"""Faust's consumer: when it asks the broker, what it hands on, and how far it commits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from typing import Any, Protocol, cast

import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

from tickertape.kafka.brokers import brokers_of, client
from tickertape.kafka.cluster import TopicState, assigned, unread
from tickertape.kafka.consumer import Consumer as KafkaConsumer
from tickertape.kafka.consumer import Point, Start
from worker.holds import Holds

BRIEF_SECONDS = 0.05
FETCH_WAIT_MS = 1500  # data ends the wait
# A fetch costs some 3 ms, mostly for naming every partition: one for each record that comes took a
# quarter of a core, which the model could use. So while windows run, of whatever flow, records may
# wait so long; where nothing runs they are fetched at once.
PACE_SECONDS = 0.05
PACE_TICK_SECONDS = 0.01

log = structlog.get_logger("tickertape.worker")


class App(Protocol):
    """What the consumer needs of its app (`worker.app.TickertapeApp`)."""

    holds: Holds

    @property
    def consuming(self) -> bool: ...
    @property
    def busy(self) -> bool: ...
    def hand_over(self, fetched: Mapping[TP, list[Any]]) -> dict[TP, list[Any]]: ...
    def begin(self, tps: Collection[TP], starts: Mapping[TP, Start]) -> None: ...
    def reach(self, positions: Mapping[TP, int]) -> None: ...
    def points(self) -> dict[tuple[str, int], Point]: ...
    def committed(self, offsets: Mapping[TP, int]) -> None: ...


def pace(fetcher: Any, app: App) -> None:
    """Decide when the broker is asked; aiokafka's fetcher offers no way to say so.

    It asks again as soon as what it fetched was taken: hence the pace. And it asks for nothing
    for up to 100 ms while records that it fetched are not taken (its ``prefetch_backoff``, so that
    their partition is in the next fetch): not for those of deferred partitions while there is
    work. Where there is none the next fetch may last, and they are to be in it.
    """
    decide = fetcher._get_actions_per_node
    earliest = 0.0

    def actions(assignment: Any) -> tuple[Any, ...]:
        nonlocal earliest
        busy = app.busy
        for tp in app.holds.deferred if busy else ():
            if (fetched := fetcher._records.get(tp)) is not None:
                fetched._backoff = 0
        fetches, resets, timeout, *others = decide(assignment)
        if fetches:
            now = time.monotonic()
            if busy and now < earliest:
                return [], resets, min(timeout, PACE_TICK_SECONDS), *others
            earliest = now + PACE_SECONDS
        return fetches, resets, timeout, *others

    fetcher._get_actions_per_node = actions


class FetchThread(AIOKafkaConsumerThread):
    """Our consumer (`tickertape.kafka.consumer`) in its thread, with our pace."""

    async def on_start(self) -> None:
        """Start the consumer."""
        await super().on_start()
        pace(cast(Any, self._consumer)._fetcher, cast(App, self.app))

    async def on_thread_stop(self) -> None:
        """Stop the consumer, and then take no more calls; Faust does it the other way round.

        A consumer in a rebalance waits for what the app does about it, and that waits for a call
        into this thread: both would wait for ever.
        """
        if self._consumer is not None:
            await self._consumer.stop()
        await self.method_queue.stop()

    def _create_worker_consumer(self, transport: Any) -> KafkaConsumer:  # noqa: ARG002
        """As Faust's, with a consumer that reads as ours do, and one assignor for all workers.

        Faust takes another one where an app has no table: workers of other roles would not be
        let into the group.
        """
        conf = cast(Any, self.app.conf)
        self._assignor = self.app.assignor
        return KafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            **client(brokers_of(cast(Any, self.app).settings)),
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            connections_max_idle_ms=conf.consumer_connections_max_idle_ms,
        )

    async def seek_to_starts(self, tps: set[TP]) -> dict[TP, Start]:
        """Seek each partition to where it is to be read from, and return that."""

        async def seek() -> dict[TP, Start]:
            found: dict[TP, Start] = await self.kafka.starts(tps)
            for tp, start in found.items():
                self.kafka.seek(tp, start.offset)
            return found

        return cast(dict[TP, Start], await self.call_thread(seek)) if tps else {}

    async def commit_points(self, points: Mapping[TP, Point]) -> dict[TP, type[KafkaError]]:
        """Commit once (see `KafkaConsumer.commit_points`)."""
        found = await self.call_thread(self.kafka.commit_points, points)
        return cast(dict[TP, type[KafkaError]], found)

    def positions(self, tps: set[TP]) -> dict[TP, int]:
        """Return how far each partition was handed out."""
        found = ((tp, self.kafka.read_to(tp)) for tp in tps)
        return {tp: position for tp, position in found if position is not None}

    async def ends(self, tps: Collection[TP]) -> dict[TP, int]:
        """Ask the broker where these partitions end now."""
        return dict(await self.call_thread(self.kafka.end_offsets, list(tps)))

    async def topics_now(self, names: Collection[str]) -> dict[str, TopicState]:
        """Ask the broker what these topics are now, and read new partitions soon."""

        async def ask() -> dict[str, TopicState]:
            states = await self.kafka.topic_states(names)
            known = self.kafka._client.cluster.partitions_for_topic
            if any(len(known(name) or ()) < state.partitions for name, state in states.items()):
                self.kafka._client.force_metadata_update()
            return states

        return cast(dict[str, TopicState], await self.call_thread(ask))

    async def unread(self) -> list[str]:
        """Return the topics that our group reads, but not all partitions of."""

        async def ask() -> list[str]:
            held = await assigned(self.kafka._coordinator)
            return unread(await self.kafka.topic_states(held), held)

        return cast(list[str], await self.call_thread(ask))

    @property
    def kafka(self) -> KafkaConsumer:
        """The consumer, once it is started."""
        return cast(KafkaConsumer, self._ensure_consumer())


class Consumer(FaustConsumer):
    """Commits our offsets: Faust's passes records in flight (faust-streaming issue 606).

    What is fetched for a flow goes straight to it: Faust's way through events, queues and acks
    costs some 0.1 ms a record, as much as all else that the pipeline does with it.

    Around a rebalance Faust throws fetched records away in several places and seeks back to
    what is committed, while it fetches again. So nothing counts before `begin`, which seeks when
    no batch is on its way.
    """

    app: App  # type: ignore[assignment]  # as much of it as is used here

    _thread: FetchThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batch = asyncio.Lock()

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    async def begin(self) -> None:
        """Put every partition where it is committed; what is fetched from now on counts."""
        async with self._batch:
            if self.assignment():
                await self.perform_seek()
                await self._begin(self._flow_partitions())

    async def begin_again(self, topics: Collection[str]) -> None:
        """Read these topics from their beginning: they were made anew."""
        async with self._batch:
            await self._begin({tp for tp in self._flow_partitions() if tp.topic in topics})

    async def _begin(self, tps: set[TP]) -> None:
        self.app.begin(tps, await self._thread.seek_to_starts(tps))

    def _flow_partitions(self) -> set[TP]:
        """What is assigned to us, but for changelogs, which Faust reads by itself."""
        return {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109
        """Yield a batch, with `begin` kept out until the last record is handed over.

        A partition that is released meanwhile is not waited for: hence briefly while one is held.
        """
        brief = not self.app.consuming or self.app.holds.holding
        seconds = BRIEF_SECONDS if brief else timeout
        fetched = cast(AsyncGenerator[tuple[TP, Any], None], super().getmany(seconds))
        async with self._batch, contextlib.aclosing(fetched) as batch:
            async for found in batch:
                yield found

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109
        records, active = await super()._wait_next_records(timeout)
        rest = self.app.hand_over(records or {})
        # No fetch is on its way: each position is behind what was handed over just now.
        self.app.reach(self._thread.positions(self._flow_partitions()))
        return rest, active

    async def topics_now(self, names: Collection[str]) -> dict[str, TopicState]:
        """Ask the broker what these topics are now, and read new partitions soon."""
        return await self._thread.topics_now(names)

    async def ends(self, tps: Collection[TP]) -> dict[TP, int]:
        """Ask the broker where those of these partitions that are ours end now."""
        assignment = self.assignment()
        still_assigned = [tp for tp in tps if tp in assignment]
        return await self._thread.ends(still_assigned) if still_assigned else {}

    async def unread(self) -> list[str]:
        """Return the topics that our group does not read all partitions of."""
        return await self._thread.unread()

    def readable_to(self, tp: TP) -> int | None:
        """Return the end of what can be read, as the last fetch told it."""
        return self._thread.kafka.readable_to(tp)

    async def commit_now(self) -> None:
        """Commit all that is settled; `commit` does nothing but wait where one is under way."""
        await self.maybe_wait_for_commit_to_finish()
        await self.force_commit()

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        """Commit what is settled and not committed yet. Faust's goes by its own acks, which it
        has forgotten at a revoke, and waits for its producer, which sends nothing of ours."""
        wanted = self.app.points()
        assignment = self.assignment() if wanted else set()
        points = {TP(*tp): point for tp, point in wanted.items() if TP(*tp) in assignment}
        if not points:
            return False
        try:
            refused = await self._thread.commit_points(points)
        except KafkaError as error:
            log.warning("commit", error=repr(error))
            return False
        for tp, why in refused.items():
            log.warning("commit", topic=tp.topic, partition=tp.partition, error=why.__name__)
        self.app.committed({tp: at.offset for tp, at in points.items() if tp not in refused})
        return True

    async def verify_all_partitions_active(self) -> None:
        """Faust's watch for idle streams goes by its acks, and crashes while a partition's
        position is looked up."""
