"""The Faust app, with what it must do otherwise: Faust 0.15.3 as released loses records.

Agents never see this: they are functions in a `Spec`, and `TickertapeApp.run_flow` binds them to
topics.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import faust
import structlog
from aiohttp.web import Application, AppRunner
from aiokafka.errors import KafkaError
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.types import TP

from tickertape.delivery.flow import Flow
from tickertape.delivery.offsets import ConsumerOffsets, PartitionOffsets
from tickertape.kafka.brokers import Brokers, brokers_of
from tickertape.kafka.clock import LOG_APPEND, PartitionClock
from tickertape.kafka.consumer import Point, Start
from tickertape.kafka.metadata import Metadata
from tickertape.record import Record
from tickertape.settings import Settings
from tickertape.topics import RECORD_BYTES_MAX
from worker.consumer import Consumer
from worker.holds import DEFERRED_RECORDS, Holds
from worker.standstill import waits

HOLD_SECONDS = 0.05
WATCH_SECONDS = 3.0
SETTLED_SECONDS = 5.0  # what new partitions held has begun to be worked on
SEEK_AGAIN_SECONDS = 1.0
COMMIT_SECONDS_MAX = 3.0
FETCH_BYTES = 2**18
POLL_RECORDS = 1000
STOP_SECONDS_MAX = 9.0
FORCED_EXIT = 70  # EX_SOFTWARE (sysexits.h): nothing is lost, but the stop hung

log = structlog.get_logger("tickertape.worker")


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
    """The Faust app, with bounded revoke and shutdown, holds, and our offsets."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lifecycle: Lifecycle | None = None
        # What serves the pages. Access logs are off; shutdown closes open streams: aiohttp's
        # default waits for them for a minute.
        self.runner_of: Callable[..., AppRunner] = AppRunner
        self.offsets = ConsumerOffsets()
        self.flows: list[Flow[Any]] = []
        self._flow_of: dict[str, Flow[Any]] = {}
        self.holds = Holds(self.flows)
        self._topic_ids: dict[str, str] = {}
        self._latest_ms = 0  # by the broker's clock
        self._clocks: dict[tuple[str, int], PartitionClock] = {}
        self._ends: dict[TP, int] = {}  # of held partitions
        self._consuming = False
        self._begun_at = 0.0  # monotonic
        self._beginning: asyncio.Task[None] | None = None
        brokers = brokers_of(settings)
        super().__init__(
            settings.app_id,
            broker=";".join(f"kafka://{host}" for host in brokers.address.split(",")),
            broker_credentials=_credentials(brokers),
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
        self.add_future(self._watch())
        if self.lifecycle is not None and not self.should_stop:
            await self.lifecycle.started()

    async def on_stop(self) -> None:
        # Faust and aiokafka wait for a broker that is away. What is not acknowledged by now is
        # not committed, so it is delivered again.
        loops = [asyncio.get_running_loop(), *self._thread_loops()]
        threading.Thread(target=_end_late, args=[loops], daemon=True, name="last-resort").start()
        if self.lifecycle is not None:
            self.lifecycle.stop_feeding()
        await super().on_stop()

    def _thread_loops(self) -> list[asyncio.AbstractEventLoop]:
        """The loops of Faust's threads."""
        thread = getattr(self._consumer, "_thread", None)
        return [thread.thread_loop] if thread is not None else []

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
                offsets = self.offsets.of(tp.topic, tp.partition)
                if messages and offsets.went_back(messages[0].offset):
                    log.warning(
                        "log_begins_again",
                        topic=tp.topic,
                        partition=tp.partition,
                        offset=messages[0].offset,
                    )
                    offsets = self.offsets.again(tp.topic, tp.partition)
                    self._clocks[tp] = PartitionClock()
                records = self._records(tp, messages, offsets, trusted=trusted)
                taken = flow.put(records, offsets)
                if not taken and len(messages) < DEFERRED_RECORDS:
                    self.holds.defer(self.consumer, tp)
        if any(flow.wants_hold for flow in self.flows):
            self.apply_holds()  # before the next fetch, so that a bound is passed by one at most
        return rest

    def _records(
        self, tp: TP, messages: list[Any], offsets: PartitionOffsets, *, trusted: bool
    ) -> list[Record]:
        clock = self._clocks.setdefault(tp, PartitionClock())
        stamped = [m.timestamp for m in messages if m.timestamp_type == LOG_APPEND]
        # This machine's clock may be behind; the broker's own stamps tell how late it is at least.
        self._latest_ms = max([self._latest_ms, *stamped])
        now = max(time.time() * 1000, self._latest_ms)
        return [
            Record.of(
                message,
                trusted=trusted,
                clock_ms=clock.read(message.offset, message.timestamp, message.timestamp_type, now),
                again=offsets.stood_before(message.offset),
            )
            for message in messages
        ]

    def begin(self, tps: Collection[TP], starts: Mapping[TP, Start]) -> None:
        """These partitions are read from there on; those of topics that are gone, from nowhere."""
        for tp in tps:
            offsets = self.offsets.again(tp.topic, tp.partition)
            self._ends.pop(tp, None)
            self._topic_ids.pop(tp.topic, None)
            self._clocks.pop(tp, None)
            if (start := starts.get(tp)) is not None:
                offsets.begin(start.offset, start.committed, start.end)
                self._clocks[tp] = PartitionClock(start.metadata.clock_ms)
        for tp, start in starts.items():
            if start.topic_id is not None:
                self._topic_ids[tp.topic] = start.topic_id

    def reach(self, positions: Mapping[TP, int]) -> None:
        """All before these offsets was handed over, or will never be."""
        if self._consuming:
            for tp, position in positions.items():
                self.offsets.of(tp.topic, tp.partition).reach(position)

    def points(self) -> dict[tuple[str, int], Point]:
        """Return what is to be committed now."""
        return {
            tp: Point(offset, Metadata(self._topic_ids.get(tp[0]), self._clock_at(tp, offset)))
            for tp, offset in self.offsets.uncommitted().items()
        }

    def committed(self, offsets: Mapping[TP, int]) -> None:
        """The group has these offsets now."""
        for tp, offset in offsets.items():
            self.offsets.of(tp.topic, tp.partition).committed = offset
            if (clock := self._clocks.get(tp)) is not None:
                clock.forget(offset)

    def _clock_at(self, tp: tuple[str, int], offset: int) -> int:
        clock = self._clocks.get(tp)
        return clock.at(offset) if clock is not None else 0

    def lags(self) -> dict[str, dict[int, int]]:
        """Return how many records each of our partitions is behind, by topic."""
        consumer = self._consumer
        if consumer is None or not self._consuming:
            return {}
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for tp in consumer.assignment():
            at = self.offsets.committable(tp.topic, tp.partition) or 0
            end = cast(Consumer, consumer).readable_to(tp) or 0
            found[tp.topic][tp.partition] = max(max(end, self._ends.get(tp, 0)) - at, 0)
        return dict(found)

    async def all_read(self) -> bool:
        """Ask the broker whether the group reads all partitions of its topics: where some were
        added, not for a moment; nor just after a rebalance."""
        consumer = self._consumer
        settled = time.monotonic() - self._begun_at > SETTLED_SECONDS
        if consumer is None or not self._consuming or not settled:
            return False
        try:
            return not await cast(Consumer, consumer).unread()
        except KafkaError as error:
            log.warning("topics", error=repr(error))
            return False

    async def _watch(self) -> None:
        """Notice topics that were made anew, new partitions, and ends that no fetch tells."""
        while not self.should_stop:
            await asyncio.sleep(WATCH_SECONDS)
            consumer = cast(Consumer, self._consumer)
            if consumer is None or not self._consuming or self.in_recovery:
                continue
            try:
                await self._look(consumer)
            except Exception as error:  # the broker is away, or partitions are
                log.warning("topics", error=repr(error))

    async def _look(self, consumer: Consumer) -> None:
        generation_id = self.consumer_generation_id
        states = await consumer.topics_now(list(self._flow_of))
        mine = {tp.topic for tp in consumer.assignment()}
        anew = {
            name
            for name, state in states.items()
            if name in mine and self._topic_ids.get(name) != state.id
        }
        ends = await consumer.ends([tp for tp in self.holds.held if tp.topic in states])
        if generation_id != self.consumer_generation_id or not self._consuming:
            return
        self._ends = ends
        if anew:
            log.warning("topics_made_anew", topics=sorted(anew))
            await consumer.begin_again(anew)

    # Holds

    @property
    def busy(self) -> bool:
        """True while a flow works on records."""
        return self._consuming and any(flow.busy for flow in self.flows)

    async def keep_holds(self) -> None:
        """Hold and release partitions as their flows ask, until the app stops; a rebalance undoes
        any hold.
        """
        while not self.should_stop:
            self.apply_holds()
            await asyncio.sleep(HOLD_SECONDS)

    def apply_holds(self) -> None:
        """Apply what the flows want now."""
        consumer = self._consumer
        if consumer is not None and self._consuming and not self.in_recovery:
            self.holds.apply(consumer)

    # Revoke and shutdown

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        if not self.should_stop:
            await self.release_partitions()
        await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        self.holds.clear()
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
                self._begun_at = time.monotonic()
            return

    async def _stop_consumer(self) -> None:
        await self.release_partitions()
        await super()._stop_consumer()

    async def release_partitions(self) -> None:
        """Drain with a bound, commit what is settled, forget the rest (it is delivered again).

        Faust's own wait has no bound: one stuck call would keep the whole group waiting.
        """
        if not self._consuming:
            return
        self._consuming = False
        await asyncio.gather(*(flow.drain(self.settings.drain_seconds) for flow in self.flows))
        await within(COMMIT_SECONDS_MAX, cast(Consumer, self.consumer).commit_now())
        self.offsets.revoke()
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
        """Serve by our runner instead of Faust's."""
        web = cast(Any, self.web)
        web._runner = self.runner_of(web.web_app, access_log=None, shutdown_timeout=1.0)


async def within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Await it so long at most, and never longer: Faust's commit goes on when it is cancelled,
    and `asyncio.wait_for` waits for that. Its errors are for the log alone.
    """
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _end_late(loops: Sequence[asyncio.AbstractEventLoop]) -> None:
    time.sleep(STOP_SECONDS_MAX)
    reason = f"not ended by itself within {STOP_SECONDS_MAX:g} s"
    try:
        log.warning("stopped", reason=reason, waits=waits(loops))
    finally:  # tasks come and go while they are looked at: whatever that raises, this is the end
        os._exit(FORCED_EXIT)


def _credentials(brokers: Brokers) -> Any:
    """What gets us in, in Faust's words: for the producer that is its own."""
    get = brokers.security.get
    if "sasl_oauth_token_provider" in brokers.security:
        return OAuthCredentials(
            oauth_cb=get("sasl_oauth_token_provider"), ssl_context=get("ssl_context")
        )
    if "sasl_mechanism" in brokers.security:
        return SASLCredentials(
            mechanism=get("sasl_mechanism"),
            username=get("sasl_plain_username"),
            password=get("sasl_plain_password"),
            ssl_context=get("ssl_context"),
        )
    return SSLCredentials(context=get("ssl_context")) if "ssl_context" in brokers.security else None
