"""What Faust must do otherwise. All that knows Faust's insides is here, and nothing else.

Faust 0.15.3 as released loses records; each override names what it guards. Agents never see
this: they are functions in a `Spec`, and `TickertapeApp.run_flow` binds them to topics.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from itertools import starmap
from types import SimpleNamespace
from typing import Any, Protocol, cast

import faust
import structlog
from aiohttp.web import Application, AppRunner
from faust.streams import _current_event
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

from tickertape.delivery.flow import Flow
from tickertape.delivery.record import Record
from tickertape.delivery.watermark import Leases
from tickertape.settings import Settings
from tickertape.topics import RECORD_BYTES_MAX

HOLD_SECONDS = 0.05
BRIEF_SECONDS = 0.05
SEEK_AGAIN_SECONDS = 1.0
COMMIT_SECONDS_MAX = 3.0
FETCH_BYTES = 2**18
POLL_RECORDS = 1000
# A fetch costs some 3 ms, mostly for naming every partition: one for each record that comes took a
# quarter of a core, which the model could use. So while windows run, of whatever flow, records may
# wait so long; where nothing runs they are fetched at once.
PACE_SECONDS = 0.05
PACE_TICK_SECONDS = 0.01
# What brings only records that no flow wants, as our own on embeddings, is read now and then in
# large pieces: a fetch for each few of them cost a quarter of all that a document costs.
REST_SECONDS = 0.1
RESTING_RECORDS = 200
STOP_SECONDS_MAX = 9.0

log = structlog.get_logger("tickertape.worker")


class FetchThread(AIOKafkaConsumerThread):
    """Decides when the broker is asked; aiokafka offers no way to say so.

    It asks again as soon as what it fetched was taken: hence the pace. And it asks for nothing
    for up to 100 ms while records that it fetched are not taken (its ``prefetch_backoff``, so that
    their partition is in the next fetch): not for those of partitions that rest while there is
    work. Where there is none the next fetch may last, and they are to be in it.
    """

    async def on_start(self) -> None:
        """Start the consumer."""
        await super().on_start()
        self.pace(cast(Any, self._consumer)._fetcher)

    def pace(self, fetcher: Any) -> None:
        """Put ourselves between the fetcher and what it decides to do next."""
        decide = fetcher._get_actions_per_node
        app = cast(TickertapeApp, self.app)
        earliest = 0.0

        def actions(assignment: Any) -> tuple[Any, ...]:
            nonlocal earliest
            busy = app.busy
            for tp in app.resting if busy else ():
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


class Consumer(FaustConsumer):
    """Commits our watermark: Faust's passes records in flight (faust-streaming issue 606).

    What is fetched for a flow goes straight to it: Faust's way through events, queues and acks
    costs some 0.1 ms a record, as much as all else that the pipeline does with it.

    Around a rebalance Faust throws fetched records away in several places and seeks back to
    what is committed, while it fetches again. So nothing counts before `begin`, which seeks when
    no batch is on its way.
    """

    app: TickertapeApp

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
        brief = not self.app.consuming or self.app.holding
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


class Lifecycle(Protocol):
    """What starts and stops with the app (`runtime.Worker`)."""

    async def start(self) -> None:
        """Before anything is consumed."""

    async def started(self) -> None:
        """Tables are recovered and partitions assigned."""

    def stop_feeding(self) -> None:
        """Before the flows are drained."""

    async def close(self) -> None:
        """After consumer and web server have stopped."""


class TickertapeApp(faust.App):
    """The Faust app, with bounded revoke and shutdown, holds, and our watermark."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lifecycle: Lifecycle | None = None
        self.leases = Leases()
        self.flows: list[Flow[Any]] = []
        self._flow_of: dict[str, Flow[Any]] = {}
        self._held: set[TP] = set()
        self._rests: dict[TP, float] = {}  # until (monotonic)
        self._consuming = False
        self._beginning: asyncio.Task[None] | None = None
        brokers = ";".join(f"kafka://{host}" for host in settings.bootstrap.split(","))
        super().__init__(
            settings.app_id,
            broker=brokers,
            store="memory://",
            # Decoding is ours: with another serializer one bad value ends the agent for ever.
            key_serializer="raw",
            value_serializer="raw",
            datadir=str(settings.data_dir / "faust" / str(settings.web_port)),
            web_bind=settings.web_host,
            web_host=settings.web_host,
            web_port=settings.web_port or 6066,
            web_application_options={"client_max_size": settings.web_body_bytes_max},
            broker_session_timeout=settings.session_timeout_seconds,
            broker_heartbeat_interval=1.0,
            broker_rebalance_timeout=50.0,
            broker_commit_interval=0.25,  # and no request where nothing was settled
            broker_max_poll_records=POLL_RECORDS,
            # aiokafka empties what it fetched of one partition before it turns to the next: with
            # Faust's 1 MB a partition, a backlog of small records starves every other topic.
            consumer_max_fetch_size=FETCH_BYTES,
            stream_wait_empty=True,
            stream_publish_on_commit=False,
            table_standby_replicas=0,
            topic_disable_leader=True,
            topic_replication_factor=1,
            topic_allow_declare=False,
            producer_max_request_size=RECORD_BYTES_MAX,
            producer_linger=0.01,
            producer_acks=-1,
            worker_redirect_stdouts=False,
            web_cors_options={},
        )
        self.web_router_enabled = False

    @property
    def consuming(self) -> bool:
        """True while partitions are assigned to us and their records are taken over."""
        return self._consuming

    async def on_first_start(self) -> None:
        self.settings.data_dir.joinpath("faust").mkdir(parents=True, exist_ok=True)
        self.use_runner()
        if self.lifecycle is not None:
            await self.lifecycle.start()
        await super().on_first_start()

    async def on_started(self) -> None:
        await super().on_started()
        if self.lifecycle is not None and not self.should_stop:
            await self.lifecycle.started()

    async def on_stop(self) -> None:
        # Faust and aiokafka wait for a broker that is away. What is not acknowledged by now is
        # not committed, so it is delivered again.
        threading.Thread(target=_end_late, daemon=True, name="last-resort").start()
        if self.lifecycle is not None:
            self.lifecycle.stop_feeding()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        if self.lifecycle is not None:
            await self.lifecycle.close()

    # Flows

    def run_flow(self, flow: Flow[Any], topics: Iterable[str]) -> None:
        """Let a flow work on topics. Its agent subscribes to them; `hand_over` feeds the flow."""
        self.flows.append(flow)
        self._flow_of.update(dict.fromkeys(topics, flow))
        channel = self.topic(*topics, key_serializer="raw", value_serializer="raw")

        async def subscribe(stream: Any) -> None:
            async for _ in stream.events():
                raise AssertionError("what is fetched goes to the flow")

        self.agent(channel, name=f"flow.{flow.spec.name}")(subscribe)

    def hand_over(self, fetched: Mapping[TP, list[Any]]) -> dict[TP, list[Any]]:
        """Give the flows what is theirs, and return the rest: the tables' changelogs.

        What comes before `Consumer.begin` is left: it is fetched again.
        """
        rest: dict[TP, list[Any]] = {}
        for tp, messages in fetched.items():
            flow = self._flow_of.get(tp.topic)
            if flow is None:
                rest[tp] = messages
            elif self._consuming:
                trusted = flow.spec.routes[tp.topic].internal
                taken = flow.put(
                    [Record.of(message, trusted=trusted) for message in messages],
                    self.leases.of(tp.topic, tp.partition),
                )
                if not taken and len(messages) < RESTING_RECORDS:
                    self._rests[tp] = time.monotonic() + REST_SECONDS
                    self._hold(tp)
        if any(flow.wants_hold for flow in self.flows):
            self.apply_holds()  # before the next fetch, so that a bound is passed by one at most
        return rest

    def lags(self) -> dict[str, dict[int, int]]:
        """Return how many records each of our partitions is behind, by topic."""
        consumer = self._consumer
        if consumer is None or not self._consuming:
            return {}
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for tp in consumer.assignment():
            at = self.leases.committable(tp.topic, tp.partition)
            at = at if at is not None else cast(Any, consumer)._committed_offset[tp] or 0
            found[tp.topic][tp.partition] = max((consumer.highwater(tp) or 0) - at, 0)
        return dict(found)

    # Holds

    @property
    def holding(self) -> bool:
        """True while a flow keeps partitions from being fetched; those that rest do not count."""
        return any(tp not in self._rests for tp in self._held)

    @property
    def resting(self) -> list[TP]:
        """The partitions that are read now and then (see `REST_SECONDS`)."""
        return list(self._rests)

    @property
    def busy(self) -> bool:
        """True while a flow works on records."""
        return self._consuming and any(flow.busy for flow in self.flows)

    async def keep_holds(self) -> None:
        """Hold and release partitions as their flows ask, until the app stops.

        ``pause_partitions`` loses what a drained batch still holds, so this uses the way of
        Faust's own full buffers. A rebalance undoes any hold: hence every 50 ms.
        """
        while not self.should_stop:
            self.apply_holds()
            await asyncio.sleep(HOLD_SECONDS)

    def apply_holds(self) -> None:
        """Apply what the flows want now."""
        consumer = self._consumer
        if consumer is None or not self._consuming or self.in_recovery:
            return
        wanted = {topic for flow in self.flows if flow.wants_hold for topic in flow.spec.routes}
        if not (wanted or self._held or self._rests):
            return
        now = time.monotonic()
        self._rests = {tp: until for tp, until in self._rests.items() if until > now}
        for tp in consumer.assignment():
            if tp.topic in wanted or tp in self._rests:
                self._hold(tp)
            elif tp in self._held:
                consumer.on_buffer_drop(tp)
                self._held.discard(tp)

    def _hold(self, tp: TP) -> None:
        self.consumer.on_buffer_full(tp)
        self._held.add(tp)

    # Revoke and shutdown

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        if not self.should_stop:
            await self.give_back()
        await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self._held.clear()
        self._rests.clear()
        await super()._on_partitions_assigned(assigned, generation_id)

    def on_rebalance_end(self) -> None:
        super().on_rebalance_end()
        self._beginning = self.loop.create_task(self._begin(self.consumer_generation_id))

    async def _begin(self, generation_id: int) -> None:
        """Tables are recovered: take records over, unless the next rebalance has begun."""

        def current() -> bool:
            newer = self.rebalancing or generation_id != self.consumer_generation_id
            return not (newer or self.should_stop)

        while current():
            try:
                await cast(Consumer, self.consumer).begin()
            except Exception as error:  # the broker is away, or the partitions are
                log.warning("seek", error=repr(error))
                await asyncio.sleep(SEEK_AGAIN_SECONDS)
                continue
            if current():
                self._consuming = True
            return

    async def _stop_consumer(self) -> None:
        await self.give_back()
        await super()._stop_consumer()

    async def give_back(self) -> None:
        """Drain with a bound, commit what is settled, forget the rest (it is delivered again).

        Faust's own wait has no bound: one stuck call would keep the whole group waiting.
        """
        if not self._consuming:
            return
        self._consuming = False
        await asyncio.gather(*(flow.drain(self.settings.drain_seconds) for flow in self.flows))
        await within(COMMIT_SECONDS_MAX, cast(Consumer, self.consumer).commit_now())
        self.leases.revoke()
        for flow in self.flows:
            flow.revoke(resume=not self.should_stop)

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        cast(Any, transport).Consumer = Consumer
        return transport

    # Web

    @property
    def web_application(self) -> Application:
        """The aiohttp application of the worker's web server."""
        return cast(Application, cast(Any, self.web).web_app)

    def use_runner(self) -> None:
        """Let shutdown close open streams: aiohttp's default waits for them for a minute."""
        web = cast(Any, self.web)
        web._runner = AppRunner(web.web_app, access_log=None, shutdown_timeout=1.0)


async def within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Await it so long at most, and never longer: Faust's commit goes on when it is cancelled,
    and `asyncio.wait_for` waits for that. Its errors are for the log alone.
    """
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _end_late() -> None:
    time.sleep(STOP_SECONDS_MAX)
    log.warning("stopped", reason=f"not ended by itself within {STOP_SECONDS_MAX:g} s")
    os._exit(0)


@contextlib.contextmanager
def table_partition(topic: str, partition: int) -> Iterator[None]:
    """Let a Faust table be written outside stream iteration, to this partition's changelog."""
    event = _Event(topic, partition)
    token = _current_event.set(cast(Any, _Ref(event)))
    try:
        yield
    finally:
        _current_event.reset(token)


class _Event:
    """As much of an event as a table asks for."""

    def __init__(self, topic: str, partition: int) -> None:
        self.message = SimpleNamespace(topic=topic, partition=partition)


class _Ref:
    """A weak reference's call, to an event that is kept."""

    def __init__(self, event: _Event) -> None:
        self._event = event

    def __call__(self) -> _Event:
        return self._event
