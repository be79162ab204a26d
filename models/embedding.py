"""embeddings: a vector with its text, ours or another embedder's."""

from __future__ import annotations

from typing import Any

from models.base import Model
from tickertape import values
from tickertape.decode import Fields, Limits, forced
from tickertape.documents import Document, DocumentKey, StoredChunk
from tickertape.encode import to_json
from tickertape.errors import InvalidRecord
from tickertape.record import Record
from tickertape.versions import Version

COLLECTION = "embeddings"  # where foreign vectors without a table_name go


class Embedding(Model):
    """Times are epoch seconds. ``version`` is ``number`` or ``number.offset``.

    ``timestamp`` is the input's where it has one, else ``processing_timestamp``, which is ours.
    ``collection`` is the document's, which ``table_name`` names where its producer did. ``chunk``
    counts from 0. Every record has every field.
    """

    id: str
    original_text: str
    embedding: list[float]
    model_name: str | None
    timestamp: float | None
    embedding_dimension: int
    processing_timestamp: float | None
    input_timestamp: float | None
    input_source: str | None
    table_name: str | None
    collection: str | None
    chunk: int
    chunk_count: int
    batch_id: str | None
    version: str | None
    metadata: dict[str, Any]

    @classmethod
    def of(
        cls, document: Document, chunk: StoredChunk, *, chunk_count: int, model: str, now: float
    ) -> Embedding:
        """Return the record of a chunk of ours; its vector stays as it is, for `encode`."""
        return cls.build(
            id=document.key.id,
            original_text=chunk.text,
            embedding=chunk.vector,
            model_name=model,
            timestamp=now if document.timestamp is None else document.timestamp,
            embedding_dimension=len(chunk.vector),
            processing_timestamp=now,
            input_timestamp=document.timestamp,
            input_source=document.source,
            table_name=document.table_name,
            collection=document.key.collection,
            chunk=chunk.ordinal,
            chunk_count=chunk_count,
            batch_id=document.batch_id,
            version=document.version.label,
            metadata=document.metadata,
        )

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> Embedding:
        """Read a record, ours or {id, text, embedding, timestamp, source, table_name}."""
        fields = Fields(record, limits)
        vector = fields.vector("embedding")
        if not vector:
            raise fields.missing("embedding", "a non-empty array of numbers")
        found = cls(
            id=fields.id(),
            original_text=fields.text("original_text", "text"),
            embedding=vector,
            model_name=fields.string("model_name"),
            timestamp=fields.timestamp(),
            embedding_dimension=fields.integer("embedding_dimension", len(vector)),
            processing_timestamp=fields.timestamp("processing_timestamp"),
            input_timestamp=fields.timestamp("input_timestamp"),
            input_source=fields.string("input_source") or fields.string("source"),
            table_name=fields.identifier("table_name"),
            collection=fields.identifier("collection"),
            chunk=fields.integer("chunk"),
            chunk_count=fields.integer("chunk_count", 1),
            batch_id=fields.identifier("batch_id"),
            version=_version(fields.take("version")),
            metadata=fields.metadata(),
        )
        if found.embedding_dimension != len(vector):
            expected = f"the length of embedding ({len(vector)})"
            raise InvalidRecord("embedding_dimension", expected, found.embedding_dimension)
        if found.chunk >= found.chunk_count:
            raise InvalidRecord("chunk", f"below chunk_count ({found.chunk_count})", found.chunk)
        return found

    def encode(self) -> bytes:
        """Return the record as JSON, times in float seconds."""
        return to_json(
            {
                "id": self.id,
                "original_text": self.original_text,
                "embedding": self.embedding,
                "model_name": self.model_name,
                "timestamp": self.timestamp,
                "embedding_dimension": self.embedding_dimension,
                "processing_timestamp": self.processing_timestamp,
                "input_timestamp": self.input_timestamp,
                "input_source": self.input_source,
                "table_name": self.table_name,
                "collection": self.collection,
                "chunk": self.chunk,
                "chunk_count": self.chunk_count,
                "batch_id": self.batch_id,
                "version": self.version,
                "metadata": self.metadata,
            }
        )

    def to_document(self, record: Record) -> Document:
        """Return the document whose chunk this is; its text is the chunk's."""
        return Document(
            key=DocumentKey(self.table_name or self.collection or COLLECTION, self.id),
            text=self.original_text,
            version=self._version_of(record),
            origin=record.origin,
            metadata=self.metadata,
            timestamp=self.timestamp,
            source=self.input_source,
            table_name=self.table_name,
            batch_id=self.batch_id,
            force=forced(record),
        )

    def _version_of(self, record: Record) -> Version:
        parts = self.version.split(".") if self.version is not None else []
        return Version(tuple(map(int, parts)), record.stamp)


def _version(value: object) -> str | None:
    """Return ``number`` or ``number.offset``, each as `values.version` reads it."""
    if isinstance(value, str) and "." in value:
        parts = [values.version("version", part) for part in value.split(".")]
        if len(parts) != 2 or None in parts:
            raise InvalidRecord("version", "<number> or <number>.<offset>", value)
        return f"{parts[0]}.{parts[1]}"
    number = values.version("version", value)
    return None if number is None else str(number)
