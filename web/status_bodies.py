"""What a worker answers of itself."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, RootModel

from web.body import Answer


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Answer):
    """All parts are up."""

    status: Literal["ready"] = "ready"


class FlowBrief(Answer):
    """A flow and its state."""

    name: str
    state: str
    reason: str


class Health(Answer):
    """What runs."""

    status: Literal["ok", "paused", "unready"]
    version: str
    summarizer: str
    model: str | None
    stores: list[str]
    uptime_seconds: float | None
    unready: dict[str, str]
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
