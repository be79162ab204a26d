"""What a worker does, and how much of it at a time: windows, bounds, retries, batches."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from tickertape.settings.section import Names, Seconds, Section, env, split

ROLES = ("ingest", "embed", "summarize", "write", "progress")


class DeliverySettings(Section):
    """Roles, flows, retries, batches."""

    roles: Names = Field(
        ROLES,
        validation_alias=env("TICKERTAPE_ROLES"),
        description=f"What this worker does, of: {', '.join(ROLES)}. Search and pages always run.",
    )
    window_records: int = Field(
        512,
        ge=1,
        le=100_000,
        validation_alias=env("TICKERTAPE_WINDOW_RECORDS"),
        description="Most records a flow works on at a time; a larger one pads less.",
    )
    in_flight_records_max: int = Field(
        4096,
        ge=1,
        validation_alias=env("TICKERTAPE_IN_FLIGHT_RECORDS_MAX"),
        description="Records of one flow in memory; at this number its topics are held.",
    )
    in_flight_bytes_max: int = Field(
        64 * 2**20,
        ge=1024,
        validation_alias=env("TICKERTAPE_IN_FLIGHT_BYTES_MAX"),
        description="Bytes of one flow in memory; at this number its topics are held.",
    )
    session_timeout_seconds: float = Field(
        6.0,
        ge=3,
        le=30,
        validation_alias=env("TICKERTAPE_SESSION_TIMEOUT"),
        description="Silence after which Kafka takes a worker for dead and gives its partitions "
        "to others. Over 6 where a network or a machine stalls for longer.",
    )
    drain_seconds: Seconds = Field(
        5.0,
        le=30,
        validation_alias=env("TICKERTAPE_DRAIN_SECONDS"),
        description="Longest wait for what is in flight at shutdown and rebalance.",
    )
    retry_delays_seconds: Annotated[tuple[float, ...], NoDecode, BeforeValidator(split)] = Field(
        (5.0, 30.0, 180.0, 900.0),
        validation_alias=env("TICKERTAPE_RETRY_DELAYS"),
        description="Delay before each retry, comma-separated (seconds); its length is the count.",
    )
    retry_jitter: float = Field(
        0.1,
        ge=0,
        le=1,
        validation_alias=env("TICKERTAPE_RETRY_JITTER"),
        description="Random part added to a delay, as a fraction of it.",
    )
    replays_max: int = Field(
        5,
        ge=1,
        validation_alias=env("TICKERTAPE_REPLAYS_MAX"),
        description="A dead letter replayed this often is parked.",
    )
    text_bytes_max: int = Field(
        2**20,
        ge=1,
        validation_alias=env("TICKERTAPE_TEXT_BYTES_MAX"),
        description="Largest text of a record (UTF-8 bytes); a larger one is a dead letter.",
    )
    batch_idle_seconds: Seconds = Field(
        300.0,
        validation_alias=env("TICKERTAPE_BATCH_IDLE_SECONDS"),
        description="A batch without a total that hears nothing for so long is complete.",
    )
    batch_retention_hours: float = Field(
        168.0,
        gt=0,
        validation_alias=env("TICKERTAPE_BATCH_RETENTION_HOURS"),
        description="How long finished batches are remembered.",
    )

    @field_validator("retry_delays_seconds")
    @classmethod
    def _delays(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(value) <= 20 or any(not 0 < delay <= 86_400 for delay in value):
            raise ValueError("expected 1 to 20 delays, each over 0 and at most 86400 seconds")
        return value

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"expected some of {', '.join(ROLES)}")
        unknown = [role for role in value if role not in ROLES]
        if unknown:
            raise ValueError(f"expected some of {', '.join(ROLES)}; unknown: {', '.join(unknown)}")
        return value
