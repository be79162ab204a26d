"""summary-requests: internal. A whole document, handed to the summariser."""

from __future__ import annotations

from typing import Any

from models.base import Model
from tickertape import values
from tickertape.decode import Fields, Limits, forced
from tickertape.documents import Document, DocumentKey
from tickertape.encode import to_json
from tickertape.errors import InvalidRecord
from tickertape.record import Record
from tickertape.versions import Origin, read_version


class SummaryRequest(Model):
    """All of a `Document`, so that the summariser needs no store to read it from.

    ``version`` is `Version`'s text; ``origin`` is [topic, partition, offset] of the record that
    the document came in, which identifies the item of its batch.
    """

    id: str
    text: str
    metadata: dict[str, Any]
    collection: str
    version: str
    origin: list[Any]
    content_hash: str | None
    timestamp: float | None
    source: str | None
    table_name: str | None
    batch_id: str | None
    force: bool = False

    @classmethod
    def of(cls, document: Document, content_hash: str | None = None) -> SummaryRequest:
        """Return the request to summarise a document."""
        origin = document.origin
        return cls.build(
            id=document.key.id,
            text=document.text,
            metadata=dict(document.metadata),
            collection=document.key.collection,
            version=str(document.version),
            origin=[origin.topic, origin.partition, origin.offset],
            content_hash=content_hash,
            timestamp=document.timestamp,
            source=document.source,
            table_name=document.table_name,
            batch_id=document.batch_id,
            force=document.force,
        )

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> SummaryRequest:
        """Read a record; a permanent error names what is wrong."""
        fields = Fields(record, limits)
        collection = fields.identifier("collection")
        if collection is None:
            raise InvalidRecord("collection", "a non-empty string")
        return cls.build(
            id=fields.id(),
            text=fields.text("text"),
            collection=collection,
            version=_version(fields.take("version")),
            origin=_origin(fields.take("origin")),
            content_hash=fields.string("content_hash"),
            timestamp=fields.timestamp(),
            source=fields.string("source"),
            table_name=fields.identifier("table_name"),
            batch_id=fields.identifier("batch_id"),
            force=values.boolean("force", fields.take("force")),
            metadata=fields.metadata(),
        )

    def encode(self) -> bytes:
        """Return the record as JSON."""
        return to_json(self.asdict())

    def to_document(self, record: Record) -> Document:
        """Return the document, as `of` was given it; the header can force it too."""
        origin = Origin(*self.origin)
        return Document(
            key=DocumentKey(self.collection, self.id),
            text=self.text,
            version=read_version(self.version, origin),
            origin=origin,
            metadata=self.metadata,
            timestamp=self.timestamp,
            source=self.source,
            table_name=self.table_name,
            batch_id=self.batch_id,
            force=self.force or forced(record),
        )


def _version(value: object) -> str:
    try:
        read_version(value if isinstance(value, str) else "", Origin("", 0, 0))
    except InvalidRecord:
        expected = "[<number>@]<ms>.<offset>.<partition>.<topic>"
        raise InvalidRecord("version", expected, values.got(value)) from None
    return str(value)


def _origin(value: object) -> list[Any]:
    match value:
        case [str(topic), int(partition), int(offset)] if partition >= 0 and offset >= 0:
            return [topic, int(partition), int(offset)]
    raise InvalidRecord("origin", "[topic, partition, offset]", values.got(value))
