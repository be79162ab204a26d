"""data-ingestion: a request to ingest a source."""

from __future__ import annotations

from typing import Any

from models.base import Model
from tickertape import values
from tickertape.decode import Fields, Limits
from tickertape.encode import iso, to_json
from tickertape.errors import InvalidRecord
from tickertape.mask import mask
from tickertape.record import Record


class DataIngestion(Model):
    """``timestamp`` is epoch seconds here and ISO 8601 on the topic.

    ``connection_params`` may hold secrets: show them through `tickertape.mask`. A record that
    names a configured source by ``source_id`` needs nothing else.
    """

    source_id: str | None
    db_type: str | None
    connection_params: dict[str, Any]
    table_or_collection: str | None
    columns_or_fields: list[str]
    text_fields: list[str]
    batch_id: str | None
    timestamp: float | None
    metadata: dict[str, Any]

    @classmethod
    def decode(cls, record: Record, limits: Limits) -> DataIngestion:
        """Read a record; a permanent error names what is wrong and shows no secret."""
        fields = Fields(record, limits)
        connection = fields.take("connection_params")
        if connection is not None and not isinstance(connection, dict):
            raise InvalidRecord("connection_params", "an object")  # it may be a URL with a password
        found = cls(
            source_id=fields.identifier("source_id"),
            db_type=fields.identifier("db_type"),
            connection_params=values.tree("connection_params", connection),
            table_or_collection=fields.identifier("table_or_collection"),
            columns_or_fields=values.strings("columns_or_fields", fields.take("columns_or_fields")),
            text_fields=values.strings("text_fields", fields.take("text_fields")),
            batch_id=fields.identifier("batch_id"),
            timestamp=fields.timestamp(),
            metadata=fields.metadata(),
        )
        if found.source_id is None:
            for name in ("db_type", "table_or_collection"):
                if getattr(found, name) is None:
                    raise InvalidRecord(name, "a non-empty string, or source_id")
        return found

    @property
    def key(self) -> str:
        """The record's key: source_id, or {db_type}_{table_or_collection}."""
        return self.source_id or f"{self.db_type}_{self.table_or_collection}"

    def encode(self) -> bytes:
        """Return the record as JSON, timestamp in ISO 8601."""
        return to_json(
            {
                "source_id": self.source_id,
                "db_type": self.db_type,
                "connection_params": self.connection_params,
                "table_or_collection": self.table_or_collection,
                "columns_or_fields": self.columns_or_fields,
                "text_fields": self.text_fields,
                "batch_id": self.batch_id,
                "timestamp": iso(self.timestamp),
            },
            metadata=self.metadata,
        )

    def __repr__(self) -> str:
        return f"<DataIngestion: {mask(self.asdict())}>"

    def _humanize(self) -> str:
        """What Faust puts into its messages."""
        return str(mask(self.asdict()))
