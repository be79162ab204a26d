"""What a worker answers of itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, RootModel

from web.body import Answer


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Answer):
    """All parts are up that others wait for."""

    status: Literal["ready", "degraded"] = "ready"
    degraded: dict[str, str] = Field(
        default_factory=dict,
        description="Stores beside the first that are away or behind, and why. They catch up.",
    )


class FlowBrief(Answer):
    """A flow and its state."""

    name: str
    state: str
    reason: str


class Health(Answer):
    """What runs."""

    status: Literal["ok", "degraded", "paused", "unready"]
    version: str
    summarizer: str
    model: str | None
    stores: list[str]
    uptime_seconds: float | None
    unready: dict[str, str]
    degraded: dict[str, str] = Field(description="As /readyz says.")
    flows: list[FlowBrief]


class Flow(FlowBrief):
    """A flow in numbers. ``rate`` is in records per second over the last minute."""

    topics: list[str]
    records_in_flight: int
    bytes_in_flight: int
    lag: int | None
    partitions: int
    processed: int
    retried: int
    dead: int
    superseded: int = Field(description="Passed over, as something newer was there.")
    rate: float


class Store(Answer):
    """A store that documents are written to. The first is searched and is the ledger."""

    name: str
    first: bool
    lag: int | None = Field(
        description="Changes it has still to take over, of this worker's; null where not known."
    )
    reason: str = Field(description="Why it is away or behind, else empty.")


class Stats(Answer):
    """Counts since the start of this worker."""

    messages_processed: int = 0
    embeddings_generated: int = 0
    summaries_generated: int = 0
    dead_letters_open: int | None = Field(
        None, description="Of all workers, counted every 15 seconds; null where it is not known."
    )
    errors: int = 0
    last_processed: float | None = Field(None, description="Epoch seconds.")
    started: float | None = Field(None, description="Epoch seconds.")
    uptime_seconds: float | None = None
    paused: bool
    flows: list[Flow]
    stores: list[Store]


class Setting(Answer):
    """A setting; a secret's value is ``***``."""

    field: str
    value: Any
    default: Any
    description: str | None


class Config(RootModel[dict[str, Setting]]):
    """Every setting by its environment name."""


class Consuming(Answer):
    """What this worker does now."""

    status: Literal["running", "paused"]
