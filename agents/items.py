"""What the agents share: an item's batch and id, deletions, and what a flow's declaration says."""

from __future__ import annotations

import structlog
from aiokafka.errors import KafkaError

from tickertape.decode import key_text
from tickertape.delivery import copies
from tickertape.delivery.outcome import State
from tickertape.delivery.routes import internal, routes
from tickertape.delivery.spec import TopicRoute
from tickertape.documents import Document
from tickertape.errors import OutageError
from tickertape.flows import FLOWS, Flow
from tickertape.kafka.recall import recall
from tickertape.pipeline import Item, Removal, Result, Verdict
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings

log = structlog.get_logger("tickertape.items")

STATES = {
    Verdict.REPEAT: State.REPEAT,
    Verdict.UNCHANGED: State.UNCHANGED,
    Verdict.SUPERSEDED: State.SUPERSEDED,
}


def routes_of(flow: Flow, settings: Settings) -> dict[str, TopicRoute]:
    """Return the routes of the flow's topics."""
    topic = flow.topic(settings)
    retries = len(settings.retry_delays_seconds) if flow.retries else 0
    if flow.internal:
        return internal(topic, retries=retries)
    return routes(topic, retries=retries, rekeys=flow.rekeyed)


def tombstone(record: Record) -> Removal | None:
    """Return what a record with a null value deletes: its key's document. None for any other."""
    if record.value is None and (id := key_text(record)) is not None:
        return Removal(id, record.version, record.origin)
    return None


def batch_of(item: Item) -> str | None:
    """Return the batch of an item."""
    return item.batch_id if isinstance(item, Document | Removal) else item.document.batch_id


async def recalled(settings: Settings, result: Result) -> list[Outgoing]:
    """Return the records, read again, whose texts are shown now and were not kept: each goes once
    more through its flow, under the version that it had.

    Raises:
        OutageError: Kafka does not answer.
    """
    outputs: list[Outgoing] = []
    theirs = {flow.topic(settings) for flow in FLOWS if not flow.internal}
    for key, version in result.uncovered:
        place = version.stamp.place
        try:
            message = await recall(settings.bootstrap, version.stamp)
        except KafkaError as error:
            raise OutageError(f"{place} cannot be read: {error!r}", dependency="kafka") from error
        if message is None:
            log.error("text_is_gone", id=key.id, collection=key.collection, place=str(place))
            continue
        record = Record.of(message, trusted=place.topic not in theirs, clock_ms=version.stamp.ms)
        outputs.append(copies.rekeyed(record, record.origin.topic, key.id))
        log.info("text_recalled", id=key.id, collection=key.collection, place=str(place))
    return outputs
