"""How the worker stands: what is not ready, what its flows do, what it has done; pause, resume."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import structlog

from tickertape import flows
from tickertape.batches import BatchReader
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.flow import Flow
from tickertape.delivery.retries import RetryReader
from tickertape.delivery.status import FlowStatus
from tickertape.errors import BrokerError
from tickertape.kafka.watch import BrokerWatch
from tickertape.services import Services
from worker import TickertapeApp

PING_SECONDS = 10.0
LETTERS_SECONDS = 15.0
BEHIND_RECORDS = 1000  # a store that is so many changes behind is not as the first

log = structlog.get_logger("tickertape.standing")


class Standing:
    """Implements `tickertape.services.Runtime`. What is not open is None; `Worker` sets it."""

    def __init__(
        self, app: TickertapeApp, breakers: Breakers, watch: BrokerWatch, batches: BatchReader
    ) -> None:
        self.breakers = breakers
        self.opened: Services | None = None
        self.retries: RetryReader | None = None
        self.unopened: dict[str, str] = {}  # stores beside the first, and why
        self._app = app
        self._watch = watch
        self._batches = batches
        self._down: dict[str, str] = {}
        self._open_letters: int | None = None
        self._started = time.time()

    @property
    def services(self) -> Services:
        """What the worker has opened."""
        if self.opened is None:
            raise RuntimeError("the worker is not open")
        return self.opened

    def unready(self) -> dict[str, str]:
        """Return what is not ready: component -> reason; less what others do not wait for."""
        beside = {f"store:{name}" for name in self._app.settings.stores[1:]}
        found = {name: reason for name, reason in self._down.items() if name not in beside}
        if self.opened is None:
            return {"worker": "starting"}
        if reason := self._watch.reason:
            found["kafka"] = reason
        elif not self._app.consuming:
            found["kafka"] = "no partitions assigned yet"
        elif self._app.in_recovery:
            found["tables"] = "recovering from the changelog"
        if not self._batches.caught_up:
            found["batches"] = "reading batch-status"
        if self.retries is not None and self.retries.down:
            found["retries"] = self.retries.down
        for breaker in self.breakers.opened():
            if breaker.name not in beside:
                found[breaker.name] = breaker.reason
        return found

    def degraded(self) -> dict[str, str]:
        """Return which stores beside the first are away or behind: component -> reason."""
        lags = self.store_lags()
        found = {}
        for name in self._app.settings.stores[1:]:
            component = f"store:{name}"
            breaker = self.breakers[component]
            down = self._down.get(component, "")
            said = [self.unopened.get(name) or down or (breaker.reason if breaker.is_open else "")]
            lag = lags.get(name)
            if lag is not None and (said[0] or lag >= BEHIND_RECORDS):
                said.append(f"{lag} documents behind")
            if any(said):
                found[component] = "; ".join(filter(None, said))
        return found

    def store_lags(self) -> dict[str, int]:
        """Return how many changes each store beside the first has still to take over, of those
        that this worker looks after; one of which that is not known is left out."""
        lags = {flow.name: flow.lag for flow in self.flows()}
        names = {name: flows.follower(name).name for name in self._app.settings.stores[1:]}
        found = {name: lags.get(flow) for name, flow in names.items()}
        return {name: lag for name, lag in found.items() if lag is not None}

    def flows(self) -> list[FlowStatus]:
        """Return the status of each flow."""
        now, lags = time.monotonic(), self.lags()
        return [self._status(flow, now, lags) for flow in self._app.flows]

    def lags(self) -> dict[str, dict[int, int]]:
        """Return how far each partition of a flow's topics is behind; none is known while no
        broker answers."""
        read = {topic for flow in self._app.flows for topic in flow.spec.routes}
        lags = {} if self._watch.reason else self._app.lags()
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
            state=state if self._app.consuming else "stopped",
            reason=flow.reason if held else "",
            records_in_flight=flow.records_in_flight,
            bytes_in_flight=flow.bytes_in_flight,
            lag=sum(lags) if lags else None,
            partitions=len(lags),
            processed=counters.processed,
            retried=counters.retried,
            dead=counters.dead,
            superseded=counters.superseded,
            rate=counters.rate(now),
        )

    def stats(self) -> dict[str, Any]:
        """Return what this worker did since it started."""
        work = [flow for flow in self._app.flows if flow.spec.stage is not None]
        times = [at for flow in work if (at := flow.counters.last_processed) is not None]
        summaries = [flow for flow in work if flow.spec.stage == "summary"]
        runner = self.services.runner.counters
        return {
            "messages_processed": sum(flow.counters.processed for flow in work),
            "embeddings_generated": runner.texts,
            "summaries_generated": sum(flow.counters.processed for flow in summaries),
            "dead_letters_open": self._open_letters,
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
        for flow in self._app.flows:
            if flow.spec.stage is not None:
                flow.pause()

    def resume(self) -> None:
        """Consume again."""
        for flow in self._app.flows:
            flow.resume()

    @property
    def paused(self) -> bool:
        """True after `pause`."""
        return any(flow.paused for flow in self._app.flows)

    async def count_letters(self) -> None:
        """Count the open dead letters now and then, for ever; None where it is not known."""
        while True:
            try:
                self._open_letters = await self.services.dead_letters.open_count()
            except BrokerError:
                self._open_letters = None
            await asyncio.sleep(LETTERS_SECONDS)

    async def ping(self) -> None:
        """Ask the dependencies now and then, for ever: what does not answer is not ready."""
        while True:
            await self.ping_once()
            await asyncio.sleep(PING_SECONDS)

    async def ping_once(self) -> None:
        """Ask each of them once."""
        checks = [(f"store:{store.name}", store.ping) for store in self.services.stores]
        summarizer = self.services.summarizer
        if summarizer.dependency is not None:
            checks.append((summarizer.dependency, summarizer.ping))
        for name, ping in checks:
            try:
                await asyncio.wait_for(ping(), PING_SECONDS)
            except Exception as error:
                # It is shown behind its name: "llm: llm: no connection" would say it twice.
                reason = (str(error) or repr(error)).removeprefix(f"{name}: ")
                if name not in self._down:
                    log.warning("not_ready", dependency=name, reason=reason)
                self._down[name] = reason
            else:
                if self._down.pop(name, None) is not None:
                    log.info("ready_again", dependency=name)
