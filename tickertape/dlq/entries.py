"""Where a dead letter goes back in, by the topic it died on; `tickertape.flows` says where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tickertape import flows, topics
from tickertape.decode import parse, record_id
from tickertape.documents import anonymous_id
from tickertape.errors import InvalidRecord, PermanentError
from tickertape.flows import Flow, Replay
from tickertape.record import Record
from tickertape.settings import Settings

DLQ, PARKING = "-dlq", "-parking"


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """Where a flow is entered again: records of ``base`` go back in at ``topic``."""

    base: str
    topic: str
    flow: Flow


def entries(settings: Settings) -> dict[str, EntryPoint]:
    """Return the entry points by base topic."""
    doors: dict[Replay, Callable[[str], str]] = {
        Replay.REKEYED: topics.rekeyed,
        Replay.RETRY: lambda base: topics.retry(base, 0),
        Replay.ITSELF: lambda base: base,
    }
    bases = {flow.topic(settings): flow for flow in flows.of(settings)}
    return {base: EntryPoint(base, doors[flow.replay](base), flow) for base, flow in bases.items()}


def base_of(topic: str) -> str | None:
    """Return the base of a dead letter or parking topic, None for any other."""
    for suffix in (DLQ, PARKING):
        if topic.endswith(suffix) and len(topic) > len(suffix):
            return topic.removesuffix(suffix)
    return None


def sources(settings: Settings) -> list[str]:
    """Return our dead letter topics."""
    return [topics.dlq(base) for base in entries(settings)]


def key_of(entry: EntryPoint, record: Record) -> bytes | None:
    """Return the key under which the flow knows the record: its document's id, as models read it.

    An id that cannot be one leaves the key that is there, as the flow will refuse the record.
    """
    if entry.flow.id_field is None:
        return record.key
    try:
        tree = parse(record.value)
    except PermanentError:
        tree = {}
    try:
        id = record_id(tree.get(entry.flow.id_field), record, entry.flow.id_field)
    except InvalidRecord:
        return record.key or anonymous_id(record.origin).encode()
    return id.encode("utf-8", "replace")
