"""What the agents share: an item's batch and id, deletions, and what a flow's declaration says."""

from __future__ import annotations

from tickertape.decode import key_text
from tickertape.delivery.outcome import State
from tickertape.delivery.record import Record
from tickertape.delivery.routes import internal, routes
from tickertape.delivery.spec import Route
from tickertape.documents import Document
from tickertape.flows import Flow
from tickertape.pipeline import Item, Removal, Verdict
from tickertape.settings import Settings

STATES = {Verdict.REPEAT: State.REPEAT, Verdict.UNCHANGED: State.UNCHANGED}


def routes_of(flow: Flow, settings: Settings) -> dict[str, Route]:
    """Return the routes of the flow's topics."""
    topic = flow.topic(settings)
    retries = len(settings.retry_delays_seconds) if flow.retries else 0
    if flow.internal:
        return internal(topic, retries=retries)
    return routes(topic, retries=retries, rekeys=flow.rekeyed)


def tombstone(record: Record, topic: str, collection: str) -> Removal | None:
    """Return what a record with a null value deletes: its key's document. None for any other."""
    if record.value is None and (id := key_text(record)) is not None:
        return Removal(topic, id, record.version, record.origin, None, collection)
    return None


def batch_of(item: Item) -> str | None:
    """Return the batch of an item."""
    return item.batch_id if isinstance(item, Document | Removal) else item.document.batch_id


def id_of(item: Item) -> str:
    """Return the document id of an item."""
    if isinstance(item, Removal):
        return item.id
    return (item if isinstance(item, Document) else item.document).key.id
