"""What a flow says of itself: for pages, probes and metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One flow at this moment. Rates are per second over the last minute."""

    name: str
    topics: tuple[str, ...]
    state: str  # running, held, paused, stopped
    reason: str  # why it is held, else ""
    records_in_flight: int
    bytes_in_flight: int
    lag: int | None  # records behind, over this worker's partitions; None where unknown
    partitions: int
    processed: int
    retried: int
    dead: int
    rate: float
