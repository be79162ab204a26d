"""Fields to the bytes we produce: every named field always, absent as null."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_json(fields: Mapping[str, Any], **when_set: Any) -> bytes:
    """Return the fields as JSON; ``when_set`` are written only where they hold something.

    A numpy vector becomes an array: of float32, the shortest digits that read back the same.
    """
    extra = {name: value for name, value in when_set.items() if value not in (None, {}, "")}
    return orjson.dumps({**fields, **extra}, option=orjson.OPT_SERIALIZE_NUMPY)


def iso(seconds: float | None) -> str | None:
    """Return epoch seconds as ISO 8601 in UTC (2024-01-31T10:00:00+00:00), None for None."""
    return None if seconds is None else (_EPOCH + timedelta(seconds=seconds)).isoformat()


def iso_day(seconds: float | None) -> str | None:
    """Return epoch seconds as a date where it is midnight (2024-01-31), else as `iso` does."""
    text = iso(seconds)
    return text.removesuffix("T00:00:00+00:00") if text else None


def batch_status(
    batch_id: str,
    status: str,
    *,
    total_documents: int | None = None,
    processed_documents: int | None = None,
    error_message: str | None = None,
    timestamp: float | None = None,
    done: int = 0,
    unchanged: int = 0,
    retrying: int = 0,
    dead: int = 0,
) -> bytes:
    """Return a batch-status record; ``timestamp`` is epoch seconds."""
    return orjson.dumps(
        {
            "batch_id": batch_id,
            "status": status,
            "total_documents": total_documents,
            "processed_documents": processed_documents,
            "error_message": error_message,
            "timestamp": iso(timestamp),
            "done": done,
            "unchanged": unchanged,
            "retrying": retrying,
            "dead": dead,
        }
    )
