"""What a worker is made of, as its pages and agents see it. `app.py` fills it in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tickertape.answer import Answers
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.status import FlowStatus as FlowStatus
from tickertape.dlq.box import DeadLetters
from tickertape.embed.runner import Runner
from tickertape.history import History
from tickertape.kafka.recall import Recall
from tickertape.pipeline import Pipeline
from tickertape.record import Outgoing
from tickertape.search import Search
from tickertape.settings import Settings
from tickertape.stores.base import Store
from tickertape.summarize.base import Summarizer


class Publisher(Protocol):
    """Produces to Kafka and waits for the broker's acknowledgement."""

    async def send(self, records: Sequence[Outgoing]) -> list[Exception | None]:
        """Send all; return one entry each: None when the broker acknowledged it."""


class Batches(Protocol):
    """Where every batch stands, read from batch-status by this worker for itself."""

    def get(self, batch_id: str) -> dict[str, Any] | None:
        """Return the batch-status fields of the batch."""

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest batches first."""

    def watch(self, batch_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the state now and at each change, until it is completed or failed."""

    @property
    def caught_up(self) -> bool:
        """True once all that stood on the topic at start has been read."""


class Runtime(Protocol):
    """The running worker."""

    breakers: Breakers

    def unready(self) -> dict[str, str]:
        """Return what is not ready: component -> reason. Empty when the worker is ready."""

    def degraded(self) -> dict[str, str]:
        """Return which stores beside the first are away or behind: component -> reason. The worker
        is ready all the same."""

    def store_lags(self) -> Mapping[str, int]:
        """Return how many changes each store beside the first is behind, of this worker's."""

    def flows(self) -> list[FlowStatus]:
        """Return the status of each flow this worker runs."""

    def lags(self) -> Mapping[str, Mapping[int, int]]:
        """Return how many records this worker's flows are behind: topic -> partition -> records.
        What is not known is left out."""

    def stats(self) -> dict[str, Any]:
        """Return {messages_processed, embeddings_generated, summaries_generated, errors,
        dead_letters_open (of all workers; None where not known), last_processed (epoch seconds or
        None), started, uptime_seconds, ...}."""

    def pause(self) -> None:
        """Stop consuming (this worker only)."""

    def resume(self) -> None:
        """Consume again."""

    @property
    def paused(self) -> bool:
        """True after `pause`."""


@dataclass(slots=True)
class Services:
    """Everything with a life of its own, built once, handed to ``register(app, services)``."""

    settings: Settings
    stores: Sequence[Store]
    runner: Runner
    search: Search
    answers: Answers
    history: History
    summarizer: Summarizer
    publisher: Publisher
    batches: Batches
    runtime: Runtime
    pipeline: Pipeline
    dead_letters: DeadLetters
    recall: Recall
