"""embedding-requests: a piece of an ingested source to embed."""

from __future__ import annotations

import time
from typing import Any

from models.base import Model, document, text_entry
from tickertape.decode import Fields, Limits
from tickertape.documents import Document
from tickertape.encode import iso, to_json
from tickertape.record import Record
from tickertape.sources import document_id
from tickertape.sources.base import Row

COLLECTION = "embedding_requests"  # where documents without a table_name go


class EmbeddingRequest(Model):
    """``timestamp`` is epoch seconds here and ISO 8601 on the topic.

    ``source`` and ``table_name`` are not among the topic's named fields: they are read where they
    stand at the top or in ``metadata``, and written only where they are set.
    """

    document_id: str
    content: str
    metadata: dict[str, Any]
    batch_id: str | None
    timestamp: float | None
    source: str | None = None
    table_name: str | None = None
    version: int | None = None

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> EmbeddingRequest:
        """Read a record; a permanent error names what is wrong."""
        fields = Fields(record, limits)
        return cls.build(
            document_id=fields.id("document_id"),
            content=fields.text("content"),
            batch_id=fields.identifier("batch_id"),
            timestamp=fields.timestamp(),
            source=fields.string("source"),
            table_name=fields.identifier("table_name"),
            version=fields.version(),
            metadata=fields.metadata(),
        )

    @classmethod
    def of_row(
        cls, row: Row, source: str, collection: str, batch_id: str | None
    ) -> EmbeddingRequest:
        """Make the piece that a source's row is."""
        return cls.build(
            document_id=document_id(source, row.id),
            content=row.text,
            metadata=dict(row.metadata),
            batch_id=batch_id,
            timestamp=row.timestamp or time.time(),
            source=source,
            table_name=collection,
            version=None,
        )

    def encode(self) -> bytes:
        """Return the record as JSON, timestamp in ISO 8601."""
        return to_json(
            {
                "document_id": self.document_id,
                "content": self.content,
                "metadata": self.metadata,
                "batch_id": self.batch_id,
                "timestamp": iso(self.timestamp),
            },
            source=self.source,
            table_name=self.table_name,
            version=self.version,
        )

    def to_document(self, record: Record) -> Document:
        """Return the document to embed."""
        return document(
            record,
            id=self.document_id,
            text=self.content,
            collection=COLLECTION,
            version=self.version,
            metadata=self.metadata,
            timestamp=self.timestamp,
            source=self.source or text_entry(self.metadata, "source"),
            table_name=self.table_name or text_entry(self.metadata, "table_name"),
            batch_id=self.batch_id,
        )
