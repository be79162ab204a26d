"""batch-status: where a batch stands, in full."""

from __future__ import annotations

from models.base import Model
from tickertape import encode, values
from tickertape.decode import Fields, Limits, key_text
from tickertape.errors import InvalidRecord
from tickertape.record import Record

STATUSES = ("queued", "processing", "completed", "failed")


class BatchStatus(Model):
    """``timestamp`` is epoch seconds here and ISO 8601 on the topic.

    A foreign ``queued`` with ``total_documents`` declares a batch. Unknown fields are dropped.
    """

    batch_id: str
    status: str
    total_documents: int | None
    processed_documents: int | None
    error_message: str | None
    timestamp: float | None
    done: int = 0
    unchanged: int = 0
    retrying: int = 0
    dead: int = 0

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> BatchStatus:
        """Read a record; a permanent error names what is wrong."""
        fields = Fields(record, limits)
        batch_id = fields.identifier("batch_id") or key_text(record)
        if batch_id is None:
            raise InvalidRecord("batch_id", "a non-empty string, or a key")
        return cls(
            batch_id=batch_id,
            status=values.choice("status", fields.take("status"), STATUSES),
            total_documents=values.integer("total_documents", fields.take("total_documents")),
            processed_documents=values.integer(
                "processed_documents", fields.take("processed_documents")
            ),
            error_message=fields.string("error_message"),
            timestamp=fields.timestamp(),
            done=fields.integer("done"),
            unchanged=fields.integer("unchanged"),
            retrying=fields.integer("retrying"),
            dead=fields.integer("dead"),
        )

    def encode(self) -> bytes:
        """Return the record as JSON, timestamp in ISO 8601."""
        return encode.batch_status(**self.asdict())
