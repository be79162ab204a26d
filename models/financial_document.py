"""financial-documents: a document to embed and summarise."""

from __future__ import annotations

from typing import Any

from models.base import Model, document
from tickertape.decode import Fields, Limits
from tickertape.documents import Document
from tickertape.encode import iso_day, to_json
from tickertape.record import Record

COLLECTION = "financial_documents"  # where documents without a table_name go


class FinancialDocument(Model):
    """A text message with what is known of a filing. Times are epoch seconds."""

    id: str
    text: str
    timestamp: float | None
    source: str | None
    table_name: str | None
    metadata: dict[str, Any]
    batch_id: str | None
    title: str | None
    document_type: str | None
    company: str | None
    ticker: str | None
    published: float | None
    version: int | None = None

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> FinancialDocument:
        """Read a record; a permanent error names what is wrong."""
        fields = Fields(record, limits)
        return cls.build(
            id=fields.id(),
            text=fields.text("text"),
            timestamp=fields.timestamp(),
            source=fields.string("source"),
            table_name=fields.identifier("table_name"),
            batch_id=fields.identifier("batch_id"),
            title=fields.string("title"),
            document_type=fields.string("document_type"),
            company=fields.string("company"),
            ticker=fields.string("ticker"),
            published=fields.timestamp("published"),
            version=fields.version(),
            metadata=fields.metadata(),
        )

    def encode(self) -> bytes:
        """Return the record as JSON, times in float seconds."""
        return to_json(
            {
                "id": self.id,
                "text": self.text,
                "timestamp": self.timestamp,
                "source": self.source,
                "table_name": self.table_name,
                "metadata": self.metadata,
                "batch_id": self.batch_id,
                "title": self.title,
                "document_type": self.document_type,
                "company": self.company,
                "ticker": self.ticker,
                "published": self.published,
            },
            version=self.version,
        )

    def to_document(self, record: Record) -> Document:
        """Return the document to embed and summarise.

        Title, document_type, company, ticker and published go into its metadata where they are
        known; an entry of the record's own metadata wins. ``published`` is written as a date
        (2024-01-31), or as ISO 8601 in UTC where it has a time of day, however it was sent.
        """
        known = {
            "title": self.title,
            "document_type": self.document_type,
            "company": self.company,
            "ticker": self.ticker,
            "published": iso_day(self.published),
        }
        named = {name: value for name, value in known.items() if value is not None}
        return document(
            record,
            id=self.id,
            text=self.text,
            collection=COLLECTION,
            version=self.version,
            metadata={**named, **self.metadata},
            timestamp=self.timestamp,
            source=self.source,
            table_name=self.table_name,
            batch_id=self.batch_id,
        )
