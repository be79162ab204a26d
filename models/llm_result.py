"""llm-results: a summary."""

from __future__ import annotations

from models.base import Model
from tickertape import values
from tickertape.decode import Fields, Limits
from tickertape.encode import to_json
from tickertape.record import Record


class LlmResult(Model):
    """``processing_time`` is in seconds, ``timestamp`` in epoch seconds: the input's where it has
    one, else ours.

    ``unchanged`` says that the stored summary was sent again, without a model call.
    """

    id: str
    collection: str | None
    summary: str | None
    model_name: str | None
    status: str | None
    processing_time: float | None
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    error: str | None
    timestamp: float | None
    unchanged: bool = False

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> LlmResult:
        """Read a record; a permanent error names what is wrong. Unknown fields are dropped."""
        fields = Fields(record, limits)
        return cls(
            id=fields.id(),
            collection=fields.identifier("collection"),
            summary=fields.optional_text("summary"),
            model_name=fields.string("model_name"),
            status=fields.string("status"),
            processing_time=values.number("processing_time", fields.take("processing_time")),
            prompt_tokens=fields.integer("prompt_tokens"),
            completion_tokens=fields.integer("completion_tokens"),
            total_tokens=fields.integer("total_tokens"),
            error=fields.string("error"),
            timestamp=fields.timestamp(),
            unchanged=values.boolean("unchanged", fields.take("unchanged")),
        )

    def encode(self) -> bytes:
        """Return the record as JSON, timestamp in float seconds."""
        return to_json(
            {
                "id": self.id,
                "collection": self.collection,
                "summary": self.summary,
                "model_name": self.model_name,
                "status": self.status,
                "processing_time": self.processing_time,
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.total_tokens,
                "error": self.error,
                "timestamp": self.timestamp,
                "unchanged": self.unchanged,
            }
        )
