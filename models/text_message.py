"""text-messages: a text to embed."""

from __future__ import annotations

from typing import Any

from models.base import Model, document
from tickertape.decode import Fields, Limits
from tickertape.documents import Document
from tickertape.encode import to_json
from tickertape.record import Record

COLLECTION = "text_messages"  # where documents without a table_name go


class TextMessage(Model):
    """``timestamp`` is epoch seconds; ``metadata`` holds the unknown fields too."""

    id: str
    text: str
    timestamp: float | None
    source: str | None
    table_name: str | None
    metadata: dict[str, Any]
    batch_id: str | None
    version: int | None = None

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> TextMessage:
        """Read a record; a permanent error names what is wrong."""
        fields = Fields(record, limits)
        return cls.build(
            id=fields.id(),
            text=fields.text("text"),
            timestamp=fields.timestamp(),
            source=fields.string("source"),
            table_name=fields.identifier("table_name"),
            batch_id=fields.identifier("batch_id"),
            version=fields.version(),
            metadata=fields.metadata(),
        )

    def encode(self) -> bytes:
        """Return the record as JSON, timestamp in float seconds."""
        return to_json(
            {
                "id": self.id,
                "text": self.text,
                "timestamp": self.timestamp,
                "source": self.source,
                "table_name": self.table_name,
                "metadata": self.metadata,
                "batch_id": self.batch_id,
            },
            version=self.version,
        )

    def to_document(self, record: Record) -> Document:
        """Return the document to embed."""
        return document(
            record,
            id=self.id,
            text=self.text,
            collection=COLLECTION,
            version=self.version,
            metadata=self.metadata,
            timestamp=self.timestamp,
            source=self.source,
            table_name=self.table_name,
            batch_id=self.batch_id,
        )
