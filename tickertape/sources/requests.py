"""A request to ingest a source, as it stands on data-ingestion."""

from __future__ import annotations

import time
from typing import Any

from tickertape.encode import batch_status, iso, to_json
from tickertape.record import Outgoing
from tickertape.settings import Settings
from tickertape.sources import Wanted


def records(
    settings: Settings,
    source: str,
    wanted: Wanted,
    batch_id: str,
    *,
    full: bool = False,
    yes: bool = False,
) -> list[Outgoing]:
    """Return what declares the batch, and the request, keyed by the source's name.

    ``full``: read what is unchanged too. ``yes``: remove whatever is gone, however much.
    """
    now = time.time()
    declared = batch_status(batch_id, "queued", processed_documents=0, timestamp=now)
    options: dict[str, Any] = {"full": full or None, "yes": yes or None}
    value = to_json(
        {
            "source_id": wanted.source_id or source,
            "db_type": wanted.kind,
            "connection_params": wanted.connection,
            "table_or_collection": wanted.table,
            "columns_or_fields": list(wanted.columns),
            "text_fields": list(wanted.text_fields),
            "batch_id": batch_id,
            "timestamp": iso(now),
        },
        **options,
    )
    return [
        Outgoing(settings.topic_batch_status, batch_id.encode(), declared),
        Outgoing(settings.topic_data_ingestion, source.encode(), value),
    ]
