"""What is asked of batches, and what is answered."""

from __future__ import annotations

from pydantic import Field

from web.body import Answer, Body
from web.fields import Flag


class Batch(Answer):
    """Where a batch stands."""

    batch_id: str
    status: str = Field(description="queued, processing, completed or failed.")
    total_documents: int | None = None
    processed_documents: int | None = None
    error_message: str | None = None
    timestamp: str | float | None = None
    done: int = 0
    unchanged: int = 0
    superseded: int = Field(0, description="Done: something newer of the document was there.")
    retrying: int = 0
    dead: int = 0


class Batches(Answer):
    """The newest first."""

    batches: list[Batch]


class BatchQuery(Body):
    """How a batch is followed."""

    watch: Flag = Field(False, description="Follow it as server-sent events until it is finished.")


class RecentQuery(Body):
    """How many batches."""

    limit: int = Field(20, ge=1, le=500)
