"""What is asked of ingests, and what is answered."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from web.body import Answer, Body
from web.fields import Id, Tree

WAIT_SECONDS_MAX = 300.0


class IngestBody(Body):
    """Which configured source is ingested: by its name, or by what is configured of it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"source_id": "filings"}]}
    )

    source_id: Id = Field(None, description="The source's name in config.yaml.")
    db_type: Id = Field(None, description="Its kind, where it is not named.")
    connection_params: Tree = Field(
        default_factory=dict,
        description="host, port, database of it. Credentials stand in config.yaml.",
    )
    table_or_collection: Id = None
    columns_or_fields: list[str] = Field(default_factory=list)
    text_fields: list[str] = Field(default_factory=list)
    batch_id: Id = Field(None, description="Made where it is absent.")
    full: bool = Field(False, description="Read what has not changed, too.")
    yes: bool = Field(False, description="Remove whatever is gone, however much.")


class IngestQuery(Body):
    """How long the answer may take."""

    wait: float = Field(
        30.0, ge=0, le=WAIT_SECONDS_MAX, description="Seconds; then it is answered as queued."
    )


class IngestQueued(Answer):
    """Kafka has the request."""

    message: str
    batch_id: str
    status: Literal["queued"] = "queued"
