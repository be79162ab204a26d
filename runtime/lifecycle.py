"""Opens what a worker is made of, in order, and closes it in the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any, Protocol

import structlog

from runtime import process
from runtime.standing import Standing
from tickertape import flows, followers, kafka_admin, topics
from tickertape.answer import Answers
from tickertape.background import spawn
from tickertape.batches import BatchReader
from tickertape.broker import EmbeddedBroker
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.gate import Gate
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.delivery.retries import RetryReader
from tickertape.delivery.spec import FlowLimits, Spec, TopicRoute
from tickertape.dlq.box import DeadLetters
from tickertape.embed import load
from tickertape.embed.runner import Runner
from tickertape.errors import BrokerError, SettingsError, StoreError
from tickertape.followers import Fill
from tickertape.history import History
from tickertape.kafka.brokers import brokers_of
from tickertape.kafka.recall import Recall
from tickertape.kafka.watch import BrokerWatch
from tickertape.llm import open_llm
from tickertape.pipeline import Pipeline
from tickertape.record import Outgoing, Record
from tickertape.search import Search
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.sources import check_all
from tickertape.stores import open_stores
from tickertape.stores.base import Store
from tickertape.summarize import open_summarizer
from worker import TickertapeApp

EXPIRE_EVERY_SECONDS = 3600.0
# A late older event brings nothing back for so long: a dead letter can be replayed until its topic
# lets it expire.
DELETED_SECONDS = (topics.DEAD_DAYS + 15) * 86_400.0
END_SECONDS_MAX = 1.0
OPEN_AGAIN_SECONDS = 5.0

log = structlog.get_logger("tickertape.start")

Task = tuple[str, Callable[[], Coroutine[Any, Any, None]]]


class Part(Protocol):
    """What is started and stopped; a stop is safe where the start failed."""

    async def start(self) -> None:
        """Get ready."""

    async def stop(self) -> None:
        """Close."""


class Worker:
    """Built at import, opened when a worker starts. Each part registers its close as it opens."""

    def __init__(self, app: TickertapeApp) -> None:
        self.app = app
        self.settings: Settings = app.settings
        self.breakers = Breakers()
        self._gate = Gate()
        self.publisher = KafkaPublisher(self.settings)
        self.batches = BatchReader(self.settings)
        self.history = History(self.settings, self.publisher.send)
        self._watch = BrokerWatch(
            self.settings.bootstrap, self.publisher.reachable, self._revive_broker
        )
        self.standing = Standing(app, self.breakers, self._watch, self.batches)
        self._broker: EmbeddedBroker | None = None
        self._opened = AsyncExitStack()
        self._fills: list[Outgoing] = []
        self.background: list[Callable[[], Coroutine[Any, Any, None]]] = []

    @property
    def services(self) -> Services:
        """What `open` made."""
        return self.standing.services

    def add(self, spec: Spec[Any]) -> None:
        """Run a flow: its own topics by Faust, its retry topics by the retry reader."""
        settings = self.settings
        limits = FlowLimits(
            records_max=settings.in_flight_records_max,
            bytes_max=settings.in_flight_bytes_max,
            retry_delays_seconds=settings.retry_delays_seconds,
            retry_jitter=settings.retry_jitter,
            group=settings.app_id,
            progress_topic=settings.topic_batch_progress,
            wait_seconds=settings.batch_wait_ms / 1000,
        )
        flow = Flow(spec, limits, self.publisher.send, self.breakers, self._gate)
        own = [topic for topic, route in spec.routes.items() if not route.attempts]
        self.app.run_flow(flow, own)

    # Open and close

    def join_broker(self) -> None:
        """Join the embedded broker where none is named; start it where it is not running."""
        if self.settings.embedded_broker:
            broker = EmbeddedBroker(self.settings.data_dir, self.settings.broker_port)
            self._broker = broker
            self._opened.push_async_callback(asyncio.to_thread, broker.leave)
            broker.join(lambda message: log.info("broker", message=message))

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
        if "ingest" in settings.roles:
            check_all(settings)
        report = await kafka_admin.ensure(brokers_of(settings), kafka_admin.wanted(settings))
        report.raise_for_errors()
        for base, level in await kafka_admin.left_over(brokers_of(settings), settings):
            self._read_too(base, level)
        await kafka_admin.wait_for_groups(brokers_of(settings), settings.app_id)
        self._fills = await self._fills_to_begin()
        first, *further = stores
        await self._start(first)
        for store in further:
            self._opened.push_async_callback(store.stop)
        runner = Runner(await asyncio.to_thread(load, settings), settings.batch_tokens)
        await self._start(runner)
        model = open_llm(settings)
        if model is not None:
            await self._start(model)
        summarizer = open_summarizer(settings, runner, model)
        await self._start(summarizer)
        search = Search(first, runner)
        recall = Recall(brokers_of(settings))
        await self._start(recall)
        self.standing.opened = Services(
            settings=settings,
            stores=stores,
            runner=runner,
            search=search,
            history=self.history,
            answers=Answers(search, model, settings.answer_tokens_max),
            summarizer=summarizer,
            publisher=self.publisher,
            batches=self.batches,
            runtime=self.standing,
            dead_letters=DeadLetters(settings, self.publisher.send),
            recall=recall,
            pipeline=Pipeline(
                first,
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
        for flow in self.app.flows:
            if any(route.base == base for route in flow.spec.routes.values()):
                flow.spec.routes[topic] = TopicRoute(base, attempts=level + 1, internal=True)
                log.info("left_over", topic=topic, flow=flow.spec.name)

    async def start(self) -> None:
        """Start producing, reading batches, holding, pinging. Retries start with consumption."""
        process.tune()
        await self._start(self.publisher)
        if self._fills:
            await self._send(self._fills)
        await self._start(self.batches)
        await self._start(self.history)
        stores = self.services.stores
        self._keep(
            ("holds", self.app.keep_holds),
            ("pings", self.standing.ping),
            ("letters", self.standing.count_letters),
            ("broker", self._watch.run),
            *((f"expiry of {store.name}", partial(_expire, store)) for store in stores),
            *((f"opening {store.name}", partial(self._open_late, store)) for store in stores[1:]),
        )

    async def started(self) -> None:
        """Read the retry topics of the flows that run here; start the background tasks."""
        self._keep(*(("background", make) for make in self.background))
        flows = {
            topic: flow
            for flow in self.app.flows
            for topic, route in flow.spec.routes.items()
            if route.attempts
        }
        if flows and self.standing.retries is None:
            self.standing.retries = RetryReader(self.settings, flows)
            await self._start(self.standing.retries)
        log.info("ready", flows=[flow.spec.name for flow in self.app.flows])

    def stop_feeding(self) -> None:
        """First step of a stop: hand nothing more to the flows."""
        if self.standing.retries is not None:
            self.standing.retries.stop_feeding()

    async def close(self) -> None:
        """Close everything, what was opened last first. Safe to call twice."""
        try:
            await self._opened.aclose()
        finally:
            self.standing.opened = self.standing.retries = None

    async def _start(self, part: Part) -> None:
        self._opened.push_async_callback(part.stop)
        await part.start()

    def _keep(self, *tasks: Task) -> None:
        """Run tasks until the close."""
        self._opened.push_async_callback(_end, [spawn(name, make) for name, make in tasks])

    async def _fills_to_begin(self) -> list[Outgoing]:
        """Stores that are new are filled from the first, before anything is told to them. One that
        follows no more misses what comes from now on: should it again, it is filled anew."""
        at = brokers_of(self.settings)
        new = await kafka_admin.empty(at, followers.topics(self.settings))
        left = await kafka_admin.followers_left(at, self.settings)
        await self._check_first(left)
        first = next(iter(self.settings.stores), "")
        return [
            *(followers.fill(topic, Fill()) for topic in new),
            *(followers.fill(topic, Fill(left=True, first=first)) for topic in left),
        ]

    async def _check_first(self, left: Sequence[str]) -> None:
        """Raise `SettingsError` where the first store followed another, and was not done: of what
        it lacks nothing would ever come."""
        settings = self.settings
        for name in settings.stores[:1]:
            topic = flows.follower(name).topic(settings)
            if topic not in left:
                continue
            waiting = kafka_admin.waiting(brokers_of(settings), settings.app_id, topic)
            async with aclosing(waiting):
                async for message in waiting:
                    told = followers.read(Record.of(message, trusted=True))
                    if isinstance(told, Fill) and told.left and told.first == name:
                        continue  # it is the first since then: what came is its own
                    raise SettingsError(
                        f"TICKERTAPE_STORES: {name} was not first, and has not taken over all that "
                        "was there: name the one that was first until /stats tells no lag of it; "
                        f"or, where that one is lost, delete the topic {topic}"
                    )

    async def _send(self, records: Sequence[Outgoing]) -> None:
        """Raise `BrokerError` where the broker does not take them."""
        for record, error in zip(records, await self.publisher.send(records), strict=True):
            if error is not None:
                raise BrokerError(f"{record.topic}: {error}")

    async def _open_late(self, store: Store) -> None:
        """Open a store beside the first, however long it is away: no worker waits for it."""
        while True:
            try:
                await store.start()
                break
            except StoreError as error:
                reason = str(error).removeprefix(f"store {store.name}: ")
                self.standing.unopened[store.name] = reason
                log.warning("store_not_open", store=store.name, reason=reason)
            await asyncio.sleep(OPEN_AGAIN_SECONDS)
        self.standing.unopened.pop(store.name, None)
        log.info("store_open", store=store.name)


async def _expire(store: Store) -> None:
    """Forget heads of documents that were deleted long ago."""
    while True:
        await store.expire(time.time() - DELETED_SECONDS)
        await asyncio.sleep(EXPIRE_EVERY_SECONDS)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=END_SECONDS_MAX)
