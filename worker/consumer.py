"""Faust's consumer: when it asks the broker, what it hands on, and how far it commits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from itertools import starmap
from typing import Any, Protocol, cast

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, server_list
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

from tickertape.delivery.watermark import Leases
from tickertape.kafka.consumer import Consumer as KafkaConsumer
from worker.holds import Holds

BRIEF_SECONDS = 0.05
FETCH_WAIT_MS = 1500  # data ends the wait
# A fetch costs some 3 ms, mostly for naming every partition: one for each record that comes took a
# quarter of a core, which the model could use. So while windows run, of whatever flow, records may
# wait so long; where nothing runs they are fetched at once.
PACE_SECONDS = 0.05
PACE_TICK_SECONDS = 0.01


class App(Protocol):
    """What the consumer needs of its app (`worker.app.TickertapeApp`)."""

    leases: Leases
    holds: Holds

    @property
    def consuming(self) -> bool: ...
    @property
    def busy(self) -> bool: ...
    def hand_over(self, fetched: Mapping[TP, list[Any]]) -> dict[TP, list[Any]]: ...


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

    def _create_worker_consumer(self, transport: Any) -> KafkaConsumer:
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
            bootstrap_servers=server_list(transport.url, transport.default_port),
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


class Consumer(FaustConsumer):
    """Commits our watermark: Faust's passes records in flight (faust-streaming issue 606).

    What is fetched for a flow goes straight to it: Faust's way through events, queues and acks
    costs some 0.1 ms a record, as much as all else that the pipeline does with it.

    Around a rebalance Faust throws fetched records away in several places and seeks back to
    what is committed, while it fetches again. So nothing counts before `begin`, which seeks when
    no batch is on its way.
    """

    app: App  # type: ignore[assignment]  # as much of it as is used here

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

    async def seek_to_committed(self) -> Any:
        """Seek, also where nothing is committed: aiokafka leaves those where they were read to."""
        committed = await super().seek_to_committed()
        first = [tp for tp, at in committed.items() if not at and not self._is_changelog_tp(tp)]
        if first:
            await self._thread.seek_to_beginning(*first)
        return committed

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
        return self.app.hand_over(records or {}), active

    async def commit_now(self) -> None:
        """Commit all that is settled; `commit` does nothing but wait where one is under way."""
        await self.maybe_wait_for_commit_to_finish()
        await self.force_commit()

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        """Go by our leases: at a revoke Faust has forgotten its acks before we may commit."""
        for tp in starmap(TP, self.app.leases.offsets()):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        return self.app.leases.committable(tp.topic, tp.partition)

    async def verify_all_partitions_active(self) -> None:
        """Faust's watch for idle streams goes by its acks, and crashes while a partition's
        position is looked up."""
