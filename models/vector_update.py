"""vector-updates: insert, update or delete with a vector made elsewhere."""

from __future__ import annotations

from typing import Any

from models.base import Model, document, text_entry
from tickertape import values
from tickertape.decode import Fields, Limits
from tickertape.documents import Document
from tickertape.encode import iso, to_json
from tickertape.record import Record

COLLECTION = "vector_updates"  # where documents without a table_name go
OPERATIONS = ("insert", "update", "delete")


class VectorUpdate(Model):
    """``timestamp`` is epoch seconds here and ISO 8601 on the topic; a delete's vector is [].

    ``text``, ``source``, ``table_name``, ``batch_id`` are not among the topic's named fields: they
    are written only where they are set.
    """

    operation: str
    document_id: str
    vector: list[float]
    metadata: dict[str, Any]
    timestamp: float | None
    text: str | None = None
    source: str | None = None
    table_name: str | None = None
    batch_id: str | None = None
    version: int | None = None

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> VectorUpdate:
        """Read a record; a permanent error names what is wrong."""
        fields = Fields(record, limits)
        named = fields.take("operation")
        if named is None:
            raise fields.missing("operation", f"one of {', '.join(OPERATIONS)}")
        operation = values.choice("operation", named, OPERATIONS)
        vector = fields.vector("vector")
        if operation == "delete":
            vector = []
        elif not vector:
            raise fields.missing("vector", f"a non-empty array of numbers to {operation}")
        return cls(
            operation=operation,
            document_id=fields.id("document_id"),
            vector=vector,
            timestamp=fields.timestamp(),
            text=fields.optional_text("text"),
            source=fields.string("source"),
            table_name=fields.identifier("table_name"),
            batch_id=fields.identifier("batch_id"),
            version=fields.version(),
            metadata=fields.metadata(),
        )

    def encode(self) -> bytes:
        """Return the record as JSON, timestamp in ISO 8601."""
        return to_json(
            {
                "operation": self.operation,
                "document_id": self.document_id,
                "vector": self.vector,
                "metadata": self.metadata,
                "timestamp": iso(self.timestamp),
            },
            text=self.text,
            source=self.source,
            table_name=self.table_name,
            batch_id=self.batch_id,
            version=self.version,
        )

    def to_document(self, record: Record) -> Document:
        """Return the document the vector stands for.

        Its text is ``text``, else the metadata's ``text`` or ``content``, else empty.
        """
        text = (
            self.text or text_entry(self.metadata, "text") or text_entry(self.metadata, "content")
        )
        return document(
            record,
            id=self.document_id,
            text=text or "",
            collection=COLLECTION,
            version=self.version,
            metadata=self.metadata,
            timestamp=self.timestamp,
            source=self.source or text_entry(self.metadata, "source"),
            table_name=self.table_name or text_entry(self.metadata, "table_name"),
            batch_id=self.batch_id,
        )
