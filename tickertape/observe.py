"""What is looked at when metrics are asked for: states that no event changes, and what a thread
counts by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from tickertape import metrics
from tickertape.delivery.breaker import Breaker
from tickertape.delivery.status import FlowStatus
from tickertape.embed.runner import Counters, Runner
from tickertape.services import Runtime

STATES = ("running", "held", "paused", "stopped")
TEXTS = {
    "texts": "Chunks and queries embedded.",
    "tokens": "Tokens embedded, without padding.",
    "padded_tokens": "Tokens embedded, with padding.",
    "batches": "Inferences.",
    "failed_batches": "Inferences that failed.",
    "busy_seconds": "Time in the model.",
}


class _Embedding(Collector):
    """The counts of the model's runner, which are its own."""

    def __init__(self) -> None:
        self.counters = Counters()

    def collect(self) -> Iterator[CounterMetricFamily]:
        for field, text in TEXTS.items():
            value = getattr(self.counters, field)
            yield CounterMetricFamily(f"tickertape_embed_{field}", text, value=value)


_embedding = _Embedding()
metrics.REGISTRY.register(_embedding)


def observe(runtime: Runtime, runner: Runner) -> None:
    """Set all that is looked at, as it is now."""
    _observe_runner(runner)
    _observe_flows(runtime.flows())
    _observe_lags(runtime.lags())
    metrics.store_lag.clear()
    for store, lag in runtime.store_lags().items():
        metrics.store_lag.labels(store).set(lag)
    _observe_breakers(runtime.breakers.all())
    letters = runtime.stats()["dead_letters_open"]
    metrics.dead_letters_open.set(float("nan") if letters is None else letters)


def _observe_runner(runner: Runner) -> None:
    _embedding.counters = runner.counters
    metrics.embed_queued_batches.set(runner.queued_batches)


def _observe_flows(flows: Iterable[FlowStatus]) -> None:
    """A flow that ended is no longer shown."""
    gauges = (metrics.in_flight, metrics.in_flight_bytes, metrics.flow_held, metrics.flow_state)
    for gauge in (*gauges, metrics.flow_lag):
        gauge.clear()
    for flow in flows:
        metrics.in_flight.labels(flow.name).set(flow.records_in_flight)
        metrics.in_flight_bytes.labels(flow.name).set(flow.bytes_in_flight)
        metrics.flow_held.labels(flow.name).set(flow.state in {"held", "paused"})
        for state in STATES:
            metrics.flow_state.labels(flow.name, state).set(flow.state == state)
        if flow.lag is not None:
            metrics.flow_lag.labels(flow.name).set(flow.lag)


def _observe_lags(lags: Mapping[str, Mapping[int, int]]) -> None:
    metrics.consumer_lag.clear()
    for topic, partitions in lags.items():
        for partition, lag in partitions.items():
            metrics.consumer_lag.labels(topic, str(partition)).set(lag)


def _observe_breakers(breakers: Iterable[Breaker]) -> None:
    for breaker in breakers:
        metrics.breaker_open.labels(breaker.name).set(breaker.is_open)
