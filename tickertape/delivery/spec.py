"""What the delivery runtime is told of a flow: its topics, its agent, its bounds. No behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from tickertape.delivery.outcome import Done, Outcome, Work
from tickertape.record import Outgoing, Record

T = TypeVar("T")

# Sends records; one entry each: None where the broker acknowledged it, else the error.
Publish = Callable[[Sequence[Outgoing]], Awaitable[list[Exception | None]]]


@dataclass(frozen=True, slots=True)
class TopicRoute:
    """How a topic belongs to a flow. ``base`` names the retry and dead letter topics."""

    base: str
    attempts: int = 0  # retries that records of this topic have had
    rekeys: bool = False  # a record whose key is not its id goes once through the internal topic
    internal: bool = False  # ours: the headers are believed


@dataclass(frozen=True, slots=True)
class Spec(Generic[T]):
    """An agent and what the runtime must know of it."""

    name: str
    routes: dict[str, TopicRoute]
    decode: Callable[[Record], T]
    handle: Callable[[Sequence[Work[T]]], Awaitable[Sequence[Outcome]]]
    # The stage of a batch's item that this flow is; None: no progress is told.
    stage: str | None = None
    stages_of: Callable[[str], tuple[str, ...]] = lambda _topic: ()
    batch_of: Callable[[T], str | None] = lambda _item: None
    id_of: Callable[[T], str | None] = lambda _item: None
    passes: Callable[[Record], bool] = lambda _record: False  # not for this flow: over and done
    dependencies: tuple[str, ...] = ()
    # Asked when all that was done is confirmed, until it says nothing else: what is to stand behind
    # it, because another worker stored something newer while ours was on its way.
    overtaken: Callable[[Sequence[tuple[Work[T], Done]]], Awaitable[Sequence[Outgoing]]] | None = (
        None
    )
    # Other flows write the same documents and publish to the same topics: their keys are one order.
    share_keys: bool = False
    keyed: bool = True  # False: first come, first served (with one window: in offset order)
    # Handled at once, of small and of large records each: one is prepared while one is computed.
    # 1: one at a time, whatever is in it.
    windows: int = 2
    window_records: int = 512
    # A window goes on where it was broken off, and takes longer than anybody waits: at a revoke and
    # a stop it is cancelled at once.
    resumes: bool = False


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """Bounds and times of a flow."""

    records_max: int  # in flight; at this number the flow asks for its topics to be held
    bytes_max: int  # likewise
    retry_delays_seconds: tuple[float, ...]  # one a level
    retry_jitter: float  # random part added to a delay, as a fraction of it
    group: str  # the consumer group, for the dead letters' headers
    progress_topic: str
    wait_seconds: float = 0.0  # longest wait to fill a window while nothing else runs
