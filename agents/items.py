"""What the agents share: an item's batch and id, deletions, and what a flow's declaration says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from tickertape import followers, metrics, topics
from tickertape.decode import key_text
from tickertape.delivery import copies
from tickertape.delivery.outcome import State
from tickertape.delivery.routes import internal, routes
from tickertape.delivery.spec import TopicRoute
from tickertape.documents import Document, DocumentKey
from tickertape.errors import OutageError
from tickertape.flows import FLOWS, Flow
from tickertape.followers import Changed
from tickertape.kafka.recall import Recall
from tickertape.pipeline import Item, Removal, Result, Verdict
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings
from tickertape.versions import Version

log = structlog.get_logger("tickertape.items")

Shown = tuple[DocumentKey, Version]

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


def changed(settings: Settings, item: Item) -> Sequence[Outgoing]:
    """Return what tells the stores beside the first that the item's document changed."""
    if isinstance(item, Removal):
        return followers.tell_all(settings, Changed(item.id, item.collection, item.tenant))
    document = item if isinstance(item, Document) else item.document
    return followers.tell_all(settings, Changed.of(document.key))


def batch_of(item: Item) -> str | None:
    """Return the batch of an item."""
    return item.batch_id if isinstance(item, Document | Removal) else item.document.batch_id


async def recalled(
    recall: Recall, settings: Settings, shown: Iterable[Shown]
) -> dict[Shown, Outgoing]:
    """Return the records, read again, of what is shown now: each goes once more through its flow,
    under the version that it had. What Kafka does not have any more is absent, and so is what
    stands on a topic that is ours no more.

    An edited dead letter stands nowhere but on its flow's internal topic.

    Raises:
        OutageError: Kafka does not answer.
    """
    wanted = list(dict.fromkeys(shown))
    theirs = [flow.topic(settings) for flow in FLOWS if flow.rekeyed]
    bases = {topic: base for base in theirs for topic in (base, topics.rekeyed(base))}
    stamps = [version.stamp for _, version in wanted if version.stamp.topic in bases]
    try:
        found = await recall.of(stamps)
    except KafkaError as error:
        places = ", ".join(sorted({stamp.topic for stamp in stamps}))
        raise OutageError(f"{places} cannot be read: {error!r}", dependency="kafka") from error
    outputs = {}
    for key, version in wanted:
        stamp = version.stamp
        if (message := found.get(stamp)) is None:
            continue
        base = bases[stamp.topic]
        record = Record.of(message, trusted=stamp.topic != base, clock_ms=stamp.ms)
        outputs[key, version] = copies.rekeyed(record, base, key.id)
        _line(key, version).info("text_recalled")
    return outputs


async def uncovered(
    recall: Recall, settings: Settings, results: Iterable[Result | Exception]
) -> dict[Shown, Outgoing]:
    """Return the records whose texts a delete uncovered (see `recalled`)."""
    made = [result for result in results if isinstance(result, Result)]
    wanted = list(dict.fromkeys(each for result in made for each in result.uncovered))
    found = await recalled(recall, settings, wanted)
    for key, version in wanted:
        if (key, version) not in found:
            metrics.texts_gone.inc()
            _line(key, version).error("text_is_gone")
    return found


def _line(key: DocumentKey, version: Version) -> Any:
    """A log line about a text that stands, or stood, in Kafka."""
    return log.bind(id=key.id, collection=key.collection, place=str(version.stamp.place))
