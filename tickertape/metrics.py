"""Prometheus metrics: named, described and bucketed here, counted where the thing happens, or
looked at when they are asked for (`tickertape.observe`).

Labels have few values: topics, flows, outcomes, error classes, never an id. A counter whose name
ends in ``_total`` is exposed under that very name.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

REGISTRY = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
WAITS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
RECORDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
FRACTIONS = (0.1, 0.25, 0.5, 0.75, 0.9, 1, 2, 4)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, namespace="tickertape", registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(name, text, labels, namespace="tickertape", registry=REGISTRY)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, text, labels, namespace="tickertape", registry=REGISTRY, buckets=buckets)


# Delivery
messages_consumed = _counter(
    "messages_consumed_total", "Records whose outcome is settled.", "topic", "outcome"
)
retries = _counter("retries_total", "Records sent to a retry topic.", "level", "error")
dead = _counter("dead_total", "Records sent to a dead letter topic.", "topic", "error")
dead_letters_open = _gauge(
    "dead_letters_open", "Dead letters that nobody has replayed, parked or purged; of all workers."
)
unreadable = _counter(
    "unreadable_total", "Records and batches passed over as unreadable.", "topic", "what"
)
produce_errors = _counter(
    "produce_errors_total", "Records that were not acknowledged; most are sent again.",
    "topic", "error",
)  # fmt: skip
ingested = _counter("ingested_total", "Documents that were read from a source.", "source")
progress_refused = _counter(
    "progress_refused_total", "Items whose state the broker refused: counts that stay short."
)
not_told_again = _counter(
    "not_told_again_total",
    "Results behind which an older one stands on their topic: refused, or in Kafka no more.",
)
texts_gone = _counter(
    "texts_gone_total", "Texts that are shown, were not kept, and are in Kafka no more."
)
replayed = _counter("replayed_total", "Dead letters sent again.", "topic")
end_to_end_seconds = _histogram(
    "end_to_end_seconds",
    "From a record's first timestamp until all that follows is confirmed; of what is done.",
    WAITS,
    "flow",
)
flow_window_records = _histogram(
    "flow_window_records", "Records that a flow worked on together.", RECORDS, "flow"
)
processing_seconds = _histogram(
    "processing_seconds", "From a window's start to its outcomes.", SECONDS, "flow"
)
in_flight = _gauge("in_flight", "Records of a flow in memory.", "flow")
in_flight_bytes = _gauge("in_flight_bytes", "Bytes of a flow in memory.", "flow")
flow_held = _gauge("flow_held", "1 while a flow is held or paused.", "flow")
flow_state = _gauge("flow_state", "1 for the state that a flow is in.", "flow", "state")
flow_lag = _gauge("flow_lag", "Records behind, over this worker's partitions.", "flow")
store_lag = _gauge(
    "store_lag",
    "Changes that a store beside the first has still to take over, of this worker's partitions.",
    "store",
)
breaker_open = _gauge("breaker_open", "1 while a dependency is not called.", "dependency")
consumer_lag = _gauge("consumer_lag", "Records behind.", "topic", "partition")
broker_up = _gauge("broker_up", "0 while no Kafka broker has answered for some 10 seconds.")
batch_items = _counter("batch_items_total", "Items of batches that came into a state.", "state")

# Model and stores
embed_queued_batches = _gauge("embed_queued_batches", "Batches that wait for the model.")
embed_batch_fill = _histogram(
    "embed_batch_fill",
    "Padded tokens of an inference over TICKERTAPE_BATCH_TOKENS; of one long text it may pass 1.",
    FRACTIONS,
)
answer_seconds = _histogram(
    "answer_seconds", "Whole time of an answer to a question.", SECONDS, "found"
)
search_seconds = _histogram("search_seconds", "Time of a search.", SECONDS, "mode")
store_write_seconds = _histogram(
    "store_write_seconds", "Time of one write to a store.", SECONDS, "store"
)
summary_seconds = _histogram("summary_seconds", "Time of one summary.", SECONDS, "model")
llm_tokens = _counter("llm_tokens_total", "Tokens of the LLM server.", "kind")

# Web
http_seconds = _histogram(
    "http_request_seconds", "Time of an answer.", SECONDS, "method", "route", "status"
)

build = Info("build", "What runs.", namespace="tickertape", registry=REGISTRY)


def render(accept: str = "") -> tuple[bytes, str]:
    """Return the exposition and its content type: OpenMetrics where ``accept`` names it."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type
