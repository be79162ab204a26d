"""The running worker: opens and closes what it is made of, and says how it stands."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from tickertape import kafka_admin, topics
from tickertape.background import spawn
from tickertape.batches import BatchReader
from tickertape.broker import EmbeddedBroker
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.delivery.retries import RetryReader
from tickertape.delivery.spec import Limits, Route, Spec
from tickertape.delivery.status import FlowStatus
from tickertape.dlq.box import DeadLetters
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.errors import BrokerError
from tickertape.kafka.watch import BrokerWatch
from tickertape.pipeline import Pipeline
from tickertape.search import Search
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.summarize import open_summarizer
from worker import TickertapeApp

GC_THRESHOLDS = (50_000, 10, 100)
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # malloc.h
LARGE_BYTES = 2**20
ARENAS = 2
PING_SECONDS = 10.0
EXPIRE_EVERY_SECONDS = 3600.0
DELETED_SECONDS = 7 * 86_400.0  # a late older event brings nothing back for so long

log = structlog.get_logger("tickertape.start")


class Worker:
    """Implements `tickertape.services.Runtime`. Built at import, opened when a worker starts."""

    def __init__(self, app: TickertapeApp) -> None:
        self.app = app
        self.settings: Settings = app.settings
        self.breakers = Breakers()
        self.publisher = KafkaPublisher(self.settings)
        self.batches = BatchReader(self.settings)
        self._watch = BrokerWatch(
            self.settings.bootstrap, self.publisher.reachable, self._revive_broker
        )
        self._flows: list[Flow[Any]] = []
        self._retries: RetryReader | None = None
        self._services: Services | None = None
        self._broker: EmbeddedBroker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._down: dict[str, str] = {}
        self._started = time.time()
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = []

    @property
    def services(self) -> Services:
        """What `open` made."""
        if self._services is None:
            raise RuntimeError("the worker is not open")
        return self._services

    def add(self, spec: Spec[Any]) -> None:
        """Run a flow: its own topics by Faust, its retry topics by the retry reader."""
        settings = self.settings
        limits = Limits(
            records_max=settings.in_flight_records_max,
            bytes_max=settings.in_flight_bytes_max,
            retry_delays_seconds=settings.retry_delays_seconds,
            retry_jitter=settings.retry_jitter,
            group=settings.app_id,
            progress_topic=settings.topic_batch_progress,
            wait_seconds=settings.batch_wait_ms / 1000,
        )
        flow = Flow(spec, limits, self.publisher.send, self.breakers)
        self._flows.append(flow)
        own = [topic for topic, route in spec.routes.items() if not route.attempts]
        self.app.run_flow(flow, own)

    # Open and close

    def join_broker(self) -> None:
        """Join the embedded broker where none is named; start it where it is not running."""
        if self.settings.embedded_broker:
            self._broker = EmbeddedBroker(self.settings.data_dir, self.settings.broker_port)
            self._broker.join(lambda message: log.info("broker", message=message))

    async def _revive_broker(self) -> None:
        """Start the embedded broker again where it has died."""
        if self._broker is None:
            return
        try:
            if await asyncio.to_thread(self._broker.revive):
                log.warning("broker_started_again", bootstrap=self.settings.bootstrap)
        except BrokerError as error:
            log.error("broker_not_started", error=str(error))

    async def open(self) -> None:
        """Create topics, open stores, load the model. Raises `StartError` with one line."""
        settings = self.settings
        stores = open_stores(settings)
        report = await kafka_admin.ensure(settings.bootstrap, kafka_admin.wanted(settings))
        report.raise_for_errors()
        for base, level in await kafka_admin.left_over(settings.bootstrap, settings):
            self._read_too(base, level)
        await kafka_admin.wait_for_groups(settings.bootstrap, settings.app_id)
        for store in stores:
            await store.start()
        runner = Runner(await asyncio.to_thread(load, settings), settings.batch_tokens)
        await runner.start()
        summarizer = open_summarizer(settings, runner)
        await summarizer.start()
        self._services = Services(
            settings=settings,
            stores=stores,
            runner=runner,
            search=Search(stores[0], runner),
            summarizer=summarizer,
            publisher=self.publisher,
            batches=self.batches,
            runtime=self,
            dead_letters=DeadLetters(settings, self.publisher.send),
            pipeline=Pipeline(
                stores,
                runner,
                chunk_tokens=settings.chunk_tokens,
                overlap_tokens=settings.chunk_overlap_tokens,
            ),
        )
        log.info(
            "open",
            model=runner.embedder.identity,
            stores=settings.stores,
            summaries=summarizer.name,
            brokers=settings.bootstrap,
        )

    def _read_too(self, base: str, level: int) -> None:
        """Read a retry topic of a level that the settings have no more: its records would wait
        there until they expire, and their batches for them."""
        topic = topics.retry(base, level)
        for flow in self._flows:
            if any(route.base == base for route in flow.spec.routes.values()):
                flow.spec.routes[topic] = Route(base, attempts=level + 1, internal=True)
                log.info("left_over", topic=topic, flow=flow.spec.name)

    async def start(self) -> None:
        """Start producing, reading batches, holding, pinging. Retries start with consumption."""
        _collect_seldom()
        _give_memory_back()
        await self.publisher.start()
        await self.batches.start()
        self._tasks = [
            spawn("holds", self.app.keep_holds),
            spawn("pings", self._ping),
            spawn("broker", self._watch.run),
            spawn("expiry", self._expire),
        ]

    async def started(self) -> None:
        """Read the retry topics of the flows that run here; start the background tasks."""
        self._tasks += [spawn("background", make) for make in self.background]
        flows = {
            topic: flow
            for flow in self._flows
            for topic, route in flow.spec.routes.items()
            if route.attempts
        }
        if flows and self._retries is None:
            self._retries = RetryReader(self.settings, flows)
            await self._retries.start()
        log.info("ready", flows=[flow.spec.name for flow in self._flows])

    def stop_feeding(self) -> None:
        """First step of a stop: hand nothing more to the flows."""
        if self._retries is not None:
            self._retries.stop_feeding()

    async def close(self) -> None:
        """Close everything, in the order that loses nothing. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        self._tasks = []
        retries, self._retries = self._retries, None
        if retries is not None:
            await retries.stop()
        await self.batches.stop()
        await self.publisher.stop()
        services, self._services = self._services, None
        if services is not None:
            await services.summarizer.stop()
            await services.runner.stop()
            for store in services.stores:
                await store.stop()
        broker, self._broker = self._broker, None
        if broker is not None:
            await asyncio.to_thread(broker.leave)

    # How it stands

    def unready(self) -> dict[str, str]:
        """Return what is not ready: component -> reason."""
        found = dict(self._down)
        if self._services is None:
            return {"worker": "starting"}
        if reason := self._watch.reason:
            found["kafka"] = reason
        elif not self.app.consuming:
            found["kafka"] = "no partitions assigned yet"
        elif self.app.in_recovery:
            found["tables"] = "recovering from the changelog"
        if not self.batches.caught_up:
            found["batches"] = "reading batch-status"
        if self._retries is not None and self._retries.down:
            found["retries"] = self._retries.down
        for breaker in self.breakers.opened():
            found[breaker.name] = breaker.reason
        return found

    def flows(self) -> list[FlowStatus]:
        """Return the status of each flow."""
        now, lags = time.monotonic(), self.lags()
        return [self._status(flow, now, lags) for flow in self._flows]

    def lags(self) -> dict[str, dict[int, int]]:
        """Return how far each partition of a flow's topics is behind; none is known while no
        broker answers."""
        read = {topic for flow in self._flows for topic in flow.spec.routes}
        lags = {} if self._watch.reason else self.app.lags()
        return {topic: lags[topic] for topic in read & lags.keys()}

    def _status(
        self, flow: Flow[Any], now: float, by_topic: Mapping[str, Mapping[int, int]]
    ) -> FlowStatus:
        lags = [lag for topic in flow.spec.routes for lag in by_topic.get(topic, {}).values()]
        held = flow.wants_hold
        state = "paused" if flow.paused else "held" if held else "running"
        counters = flow.counters
        return FlowStatus(
            name=flow.spec.name,
            topics=tuple(flow.spec.routes),
            state=state if self.app.consuming else "stopped",
            reason=flow.reason if held else "",
            records_in_flight=flow.records_in_flight,
            bytes_in_flight=flow.bytes_in_flight,
            lag=sum(lags) if lags else None,
            partitions=len(lags),
            processed=counters.processed,
            retried=counters.retried,
            dead=counters.dead,
            rate=counters.rate(now),
        )

    def stats(self) -> dict[str, Any]:
        """Return what this worker did since it started."""
        work = [flow for flow in self._flows if flow.spec.part is not None]
        times = [at for flow in work if (at := flow.counters.last_processed) is not None]
        summaries = [flow for flow in work if flow.spec.part == "summary"]
        runner = self.services.runner.counters
        return {
            "messages_processed": sum(flow.counters.processed for flow in work),
            "embeddings_generated": runner.texts,
            "summaries_generated": sum(flow.counters.processed for flow in summaries),
            "errors": sum(flow.counters.errors for flow in work),
            "last_processed": max(times, default=None),
            "started": self._started,
            "uptime_seconds": round(time.time() - self._started, 3),
            "tokens": runner.tokens,
            "padded_tokens": runner.padded_tokens,
            "inference_seconds": round(runner.busy_seconds, 3),
        }

    def pause(self) -> None:
        """Stop consuming; progress goes on, so that batches stay true."""
        for flow in self._flows:
            if flow.spec.part is not None:
                flow.pause()

    def resume(self) -> None:
        """Consume again."""
        for flow in self._flows:
            flow.resume()

    @property
    def paused(self) -> bool:
        """True after `pause`."""
        return any(flow.paused for flow in self._flows)

    async def _expire(self) -> None:
        """Forget heads of documents that were deleted long ago."""
        while True:
            for store in self.services.stores:
                await store.expire(time.time() - DELETED_SECONDS)
            await asyncio.sleep(EXPIRE_EVERY_SECONDS)

    async def _ping(self) -> None:
        """Ask the dependencies now and then, for `unready`."""
        while True:
            services = self.services
            checks = [(f"store:{store.name}", store.ping) for store in services.stores]
            dependency = services.summarizer.dependency
            if dependency is not None:
                checks.append((dependency, services.summarizer.ping))
            for name, ping in checks:
                try:
                    await asyncio.wait_for(ping(), PING_SECONDS)
                    self._down.pop(name, None)
                except Exception as error:
                    self._down[name] = str(error) or repr(error)
            await asyncio.sleep(PING_SECONDS)


def _collect_seldom() -> None:
    """Let the garbage collector look through windows, not records: a sixth of a worker's time.

    What is there now stays for good; records are freed by their reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _give_memory_back() -> None:
    """Let a large buffer's memory go back to the system when it is freed, where libc is glibc.

    By itself glibc learns from the first large record to keep such blocks in its heaps, one for
    each few threads, where they stay in pieces (mallopt(3): M_MMAP_THRESHOLD, M_ARENA_MAX).
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)
