"""What a flow says of itself: for pages, probes and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field


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
    superseded: int
    rate: float


@dataclass(slots=True)
class Counters:
    """What a flow has done since start."""

    processed: int = 0
    retried: int = 0
    dead: int = 0
    superseded: int = 0
    errors: int = 0
    last_processed: float | None = None  # epoch seconds
    recent: list[tuple[float, int]] = field(default_factory=list)  # (monotonic, records)

    def rate(self, now: float, over_seconds: float = 60.0) -> float:
        """Return records a second over the last minute."""
        self.recent = [(at, n) for at, n in self.recent if at > now - over_seconds]
        if not self.recent:
            return 0.0
        span = max(now - self.recent[0][0], 1.0)
        return sum(n for _, n in self.recent) / span
