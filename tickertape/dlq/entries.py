"""Where a dead letter goes back in, by the topic it died on.

Never the user's own topic where the flow has another door: its other consumers, and those of a
mirror, have seen the record once. A re-keyed topic is such a door, and its headers are believed,
so origin, version and count of replays hold. `data-ingestion` has none, but its first retry
topic is one. `summary-requests` is ours; `batch-status` and `batch-progress` have one door only.
"""

from __future__ import annotations

from dataclasses import dataclass

from tickertape import topics
from tickertape.decode import parse, record_id
from tickertape.delivery.record import Record
from tickertape.documents import anonymous_id
from tickertape.errors import InvalidRecord, PermanentError
from tickertape.settings import Settings

STORE = ("store",)
BOTH = ("store", "summary")
DLQ, PARKING = "-dlq", "-parking"


@dataclass(frozen=True, slots=True)
class Entry:
    """A flow's door. ``part`` and ``parts`` are what the flow tells of a batch's items.

    ``part`` None: the flow tells no progress. ``id_field`` None: the record keeps its key.
    """

    base: str
    topic: str
    part: str | None = None
    parts: tuple[str, ...] = ()
    id_field: str | None = None


def entries(settings: Settings) -> dict[str, Entry]:
    """Return the doors by base topic."""

    def by_id(base: str, id_field: str, parts: tuple[str, ...]) -> Entry:
        return Entry(base, topics.rekeyed(base), "store", parts, id_field)

    ingestion, summaries = settings.topic_data_ingestion, settings.topic_summary_requests
    found = (
        by_id(settings.topic_text_messages, "id", STORE),
        by_id(settings.topic_financial_documents, "id", BOTH),
        by_id(settings.topic_embedding_requests, "document_id", STORE),
        by_id(settings.topic_vector_updates, "document_id", STORE),
        by_id(settings.topic_embeddings, "id", STORE),
        Entry(summaries, summaries, "summary", BOTH, "id"),
        Entry(ingestion, topics.retry(ingestion, 0)),
        Entry(settings.topic_batch_status, settings.topic_batch_status),
        Entry(settings.topic_batch_progress, settings.topic_batch_progress),
    )
    return {entry.base: entry for entry in found}


def base_of(topic: str) -> str | None:
    """Return the base of a dead letter or parking topic, None for any other."""
    for suffix in (DLQ, PARKING):
        if topic.endswith(suffix) and len(topic) > len(suffix):
            return topic.removesuffix(suffix)
    return None


def sources(settings: Settings) -> list[str]:
    """Return our dead letter topics."""
    return [topics.dlq(base) for base in entries(settings)]


def key_of(entry: Entry, record: Record) -> bytes | None:
    """Return the key under which the flow knows the record: its document's id, as models read it.

    An id that cannot be one leaves the key that is there, as the flow will refuse the record.
    """
    if entry.id_field is None:
        return record.key
    try:
        tree = parse(record.value)
    except PermanentError:
        tree = {}
    try:
        id = record_id(tree.get(entry.id_field), record, entry.id_field)
    except InvalidRecord:
        return record.key or anonymous_id(record.origin).encode()
    return id.encode("utf-8", "replace")
