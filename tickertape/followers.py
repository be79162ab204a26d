"""What a store beside the first is told: which documents changed, and from where to fill it.

The first store is the ledger. Each further one follows it through a compacted topic of its own,
which has for each document that ever changed one record, without its text: who takes it copies what
the first store holds then. So it may be away for any time, and what it has still to do is counted
in records. A record that is keyed `FILL` is one step of a walk through the first store: it tells
what differs in the next page, and then itself, from there on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tickertape import flows
from tickertape.decode import parse
from tickertape.documents import DEFAULT_TENANT, DocumentKey
from tickertape.errors import InvalidRecord
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings

FILL = b"fill"


@dataclass(frozen=True, slots=True)
class Changed:
    """A document changed; without a collection, those of the id in all."""

    id: str
    collection: str | None
    tenant: str = DEFAULT_TENANT

    @classmethod
    def of(cls, key: DocumentKey) -> Changed:
        """Return what says that this document changed."""
        return cls(key.id, key.collection, key.tenant)


@dataclass(frozen=True, slots=True)
class Fill:
    """Walk on through the first store. ``after``: where, in its own words (`Store.scan`); ``told``:
    how many documents differed so far. ``left``: the store followed no more when this was said, and
    ``first`` was the first then."""

    after: str = ""
    told: int = 0
    left: bool = False
    first: str = ""


def topics(settings: Settings) -> list[str]:
    """Return the topics of the stores that follow the first."""
    return [flows.follower(name).topic(settings) for name in settings.stores[1:]]


def tell(topic: str, changed: Changed) -> Outgoing:
    """Return the record that says so. Its key is that of the compaction."""
    whose = [changed.tenant, changed.collection, changed.id]
    value = {"tenant": changed.tenant, "collection": changed.collection, "id": changed.id}
    return Outgoing(topic, json.dumps(whose).encode(), json.dumps(value).encode())


def fill(topic: str, step: Fill) -> Outgoing:
    """Return the record that goes on from there."""
    value = {"after": step.after, "told": step.told, "left": step.left, "first": step.first}
    return Outgoing(topic, FILL, json.dumps(value).encode())


def tell_all(settings: Settings, changed: Changed) -> Sequence[Outgoing]:
    """Return what tells every store that follows."""
    return [tell(topic, changed) for topic in topics(settings)]


def read(record: Record) -> Changed | Fill:
    """Decode a record of such a topic.

    Raises:
        InvalidRecord: it is none.
    """
    tree = parse(record.value)
    match tree:
        case {"after": str(after), "told": int(told), "left": bool(left)} if record.key == FILL:
            return Fill(after, told, left, str(tree.get("first", "")))
        case {"id": str(id), "collection": str() | None as collection, "tenant": str(tenant)}:
            return Changed(id, collection, tenant)
    raise InvalidRecord("value", "what changed (id, collection, tenant)", str(tree)[:100])
