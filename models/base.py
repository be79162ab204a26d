"""What the records have in common: light Faust records, built by our decoder from raw bytes."""

from __future__ import annotations

from typing import Any, Self

import faust

from tickertape.decode import explicit_version, forced
from tickertape.documents import Document, DocumentKey
from tickertape.record import Record


class Model(faust.Record, abstract=True, serializer=None, include_metadata=False):
    """A topic's record.

    Each has ``decode(record, limits)``, which raises only permanent errors (`Undecodable`,
    `InvalidRecord`, `TooLarge`), and ``encode()``, which writes every field of its topic.
    Faust neither coerces nor validates here: values are what `tickertape.decode` made of them.
    """

    @classmethod
    def build(cls, **fields: Any) -> Self:
        """Make a record of all its fields, past Faust's descriptors: a tenth of its decoding,
        to coerce and tag nothing.
        """
        made = cls.__new__(cls)
        made.__dict__.update(fields)
        return made

    def encode(self) -> bytes:
        """Return the record as JSON."""
        raise NotImplementedError


def document(
    record: Record,
    *,
    id: str,
    text: str,
    collection: str,
    version: int | None,
    metadata: dict[str, Any],
    timestamp: float | None,
    source: str | None,
    table_name: str | None,
    batch_id: str | None,
) -> Document:
    """Return the document that a record is: its version and origin are the record's."""
    return Document(
        key=DocumentKey(table_name or collection, id),
        text=text,
        version=explicit_version(version, record),
        origin=record.origin,
        metadata=metadata,
        timestamp=timestamp,
        source=source,
        table_name=table_name,
        batch_id=batch_id,
        force=forced(record),
    )


def text_entry(metadata: dict[str, Any], name: str) -> str | None:
    """Return a metadata entry that is a non-empty string, else None."""
    value = metadata.get(name)
    return value if isinstance(value, str) and value else None
