"""What Redis remembers of documents to tell which event is newer, and what guards that."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tickertape.documents import DocumentKey, Head
from tickertape.editions import Deletes, Editions
from tickertape.stores.redis.connections import Connections, Guard
from tickertape.stores.redis.keys import (
    decoded,
    document_name,
    id_name,
    load_places,
)
from tickertape.stores.window import Id, IdDeletes, LedgerEntry, of_document
from tickertape.versions import Origin, Version

GUARD = "guard"  # of an id: changes with every write
DOCUMENT, DELETED = b"d:", b"x:"  # fields of an id begin so
Model = tuple[str, str]  # a tenant's
SaidBy = tuple[str, str | None]  # deletes: their topic, their collection
IDENTITY = ("tenant", "collection", "id")
HEAD = (
    *IDENTITY,
    *("version", "content_version", "content_hash", "chunk_count", "deleted"),
    *("topic", "partition", "offset", "batch_id", "updated_at", "editions"),
)
ENTRY = (
    *(*IDENTITY, "version", "content_hash", "deleted", "editions"),
    *("model", "space", "chunks", "updated_at"),
)
Fields = Mapping[str, bytes]


@dataclass(slots=True)
class StoredId:
    """An id of a tenant's. ``documents`` are their names, ``deletes`` what was said, and when."""

    guard: bytes = b""
    documents: list[str] = field(default_factory=list)
    deletes: dict[SaidBy, tuple[Deletes, float]] = field(default_factory=dict)


@dataclass(slots=True)
class StoredPlace:
    """Where a document's chunks are."""

    model: Model | None = None
    space: str = ""
    places: dict[int, int] = field(default_factory=dict)
    updated_at: float = 0.0


@dataclass(slots=True)
class StoredModel:
    """A tenant's model: how many numbers its vectors have (None: there was never one), and how many
    vectors there are."""

    dimension: int | None = None
    chunks: int = 0


@dataclass
class Ledger:
    """All that is read before a window is written. ``numbers`` are for its chunks."""

    ids: dict[Id, StoredId]
    entries: dict[DocumentKey, LedgerEntry] = field(default_factory=dict)
    places: dict[DocumentKey, StoredPlace] = field(default_factory=dict)
    models: dict[Model, StoredModel] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def guards(self, connections: Connections) -> list[Guard]:
        """Return what must not have changed when the window is written."""
        keys = connections.keys
        return [(keys.id(id_name(id)), GUARD, stored.guard) for id, stored in self.ids.items()]


async def read(
    db: Connections,
    keys: Collection[DocumentKey],
    ids: Collection[Id] = (),
    models: Collection[Model] = (),
    chunks: int = 0,
) -> Ledger:
    """Read an entry for each key, and for each document there is of the ids; set so many numbers of
    chunks apart."""
    whose = list({*((key.tenant, key.id) for key in keys), *ids})
    named = [document_name(key) for key in keys]
    commands: list[Sequence[Any]] = [("HGETALL", db.keys.id(id_name(id))) for id in whose]
    commands += [("HMGET", db.keys.document(name), *ENTRY) for name in named]
    commands += [("HMGET", db.keys.model(*model), "dimension", "chunks") for model in models]
    if chunks:
        commands.append(("INCRBY", db.keys.numbers, chunks))
    answers = iter(await db.read(commands))
    found = Ledger({id: read_id(next(answers)) for id in whose})
    rows = [next(answers) for _ in named]
    for model in models:
        dimension, count = next(answers)
        found.models[model] = StoredModel(dimension and int(dimension), int(count or 0))
    if chunks:
        found.numbers = itertools.count(int(next(answers)) - chunks + 1)
    others = {name for id in ids for name in found.ids[id].documents}.difference(named)
    rows += await db.read([("HMGET", db.keys.document(name), *ENTRY) for name in others])
    deletes = said_of(found.ids)
    for key in keys:
        found.entries[key] = LedgerEntry(editions=Editions(deletes=of_document(deletes, key)))
    for row in rows:
        fields = dict(zip(ENTRY, row, strict=True))
        if fields["version"] is not None:
            key = key_of(fields)
            found.entries[key] = _entry(fields, of_document(deletes, key))
            found.places[key] = _place(fields)
    return found


def read_id(answer: Mapping[bytes, bytes] | Sequence[bytes]) -> StoredId:
    """Return what ``HGETALL`` of an id tells."""
    stored = StoredId()
    for name, value in pairs(answer).items():
        if name == GUARD.encode():
            stored.guard = value
        elif name.startswith(DOCUMENT):
            stored.documents.append(name.removeprefix(DOCUMENT).decode())
        elif name.startswith(DELETED):
            topic, collection, said, at = json.loads(value)
            stored.deletes[topic, collection] = Deletes.loads(said), at
    return stored


def said_of(ids: Mapping[Id, StoredId]) -> IdDeletes:
    """Return what topics said of these ids, where they said something."""
    return {
        id: [(*by, said) for by, (said, _) in stored.deletes.items()]
        for id, stored in ids.items()
        if stored.deletes
    }


async def ids(db: Connections, wanted: Iterable[Id]) -> dict[Id, StoredId]:
    """Read ids."""
    listed = list(wanted)
    answers = await db.read([("HGETALL", db.keys.id(id_name(id))) for id in listed])
    return {id: read_id(answer) for id, answer in zip(listed, answers, strict=True)}


def pairs(answer: Mapping[bytes, bytes] | Sequence[bytes]) -> Mapping[bytes, bytes]:
    """Return what ``HGETALL`` answers, which in a script is a list."""
    if isinstance(answer, Mapping):
        return answer
    return dict(zip(answer[::2], answer[1::2], strict=True))


def key_of(fields: Mapping[str, Any]) -> DocumentKey:
    """Return the key that a document's fields tell."""
    tenant, collection, id = (decoded(fields[part]) for part in IDENTITY)
    return DocumentKey(collection, id, tenant)


def head_of(fields: Mapping[str, Any], deletes: IdDeletes) -> Head:
    """Return the head that they tell."""
    key = key_of(fields)
    return Head(
        key=key,
        version=Version.parse(decoded(fields["version"])),
        content_version=Version.parse(decoded(fields["content_version"])),
        content_hash=decoded(fields["content_hash"]),
        chunk_count=int(fields["chunk_count"]),
        deleted=fields["deleted"] == b"1",
        origin=Origin(decoded(fields["topic"]), int(fields["partition"]), int(fields["offset"])),
        batch_id=maybe(fields["batch_id"]),
        updated_at=float(fields["updated_at"]),
        editions=Editions.loads(decoded(fields["editions"]), of_document(deletes, key)),
    )


def maybe(data: bytes | None) -> str | None:
    """Return a text that may be absent."""
    return None if data is None else decoded(data)


def _entry(fields: Mapping[str, Any], deletes: Mapping[str, Deletes]) -> LedgerEntry:
    return LedgerEntry(
        there=True,
        version=Version.parse(decoded(fields["version"])),
        content_hash=decoded(fields["content_hash"]),
        parts=set(load_places(fields["chunks"])),
        deleted=fields["deleted"] == b"1",
        editions=Editions.loads(decoded(fields["editions"]), deletes),
    )


def _place(fields: Mapping[str, Any]) -> StoredPlace:
    model = maybe(fields["model"])
    return StoredPlace(
        None if model is None else (decoded(fields["tenant"]), model),
        (fields["space"] or b"").decode(),
        load_places(fields["chunks"]),
        float(fields["updated_at"]),
    )
