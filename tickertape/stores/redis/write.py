"""What changes Redis. What is read before is guarded: where somebody else has written meanwhile,
all is read and decided once more."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tickertape.documents import Applied, Delete, DocumentKey, StoredSummary
from tickertape.editions import WHOLE, Deletes
from tickertape.errors import InvalidRecord, PermanentError
from tickertape.stores import window
from tickertape.stores.metadata import dump
from tickertape.stores.prepare import Prepared
from tickertape.stores.redis import ledger, words
from tickertape.stores.redis.connections import NAME, Command, Connections, Guard, wait
from tickertape.stores.redis.fields import remembering, tag
from tickertape.stores.redis.keys import (
    Keys,
    decoded,
    document_name,
    dump_places,
    encoded,
    id_name,
    space_name,
)
from tickertape.stores.redis.ledger import DELETED, DOCUMENT, GUARD, Ledger, StoredModel
from tickertape.stores.summaries import latest, outdated
from tickertape.stores.texts import name
from tickertape.stores.vectors import normalised, other_size
from tickertape.stores.window import Change, Copied, Id, Ready, Window
from tickertape.versions import Version

DIMENSION_MAX = 32_768
EXPIRED_STEP = 1_000  # ids looked at at a time
ARGUMENTS_MAX = 1_000  # of one command in a script

Results = list[Applied | Exception]


async def apply(db: Connections, ready: Sequence[Ready]) -> Results:
    """Do the operations in order, all of them in one script."""
    keys, ids = window.concerned(ready)
    puts = [put for each in ready if (put := _text(each)) is not None]
    models = {put.space[:2] for put in puts}
    chunks = sum(len(put.put.chunks) for put in puts)
    for attempt in itertools.count():
        found = await ledger.read(db, keys, ids, models, chunks)
        writing = _Writing(db, found)
        results = await asyncio.to_thread(writing.work_out, ready)
        for space, (dimension, fresh) in writing.spaces.items():
            await db.index(space, dimension, fresh=fresh)
        if not writing.commands or await db.apply(writing.guards, writing.commands):
            return results
        await wait(attempt)
    raise AssertionError


async def save_summaries(db: Connections, summaries: Iterable[StoredSummary]) -> None:
    """Write summaries, unless a newer one is there, or a newer event has replaced or deleted the
    document."""
    given = latest(summaries)
    rows = {key: dump(summary.result) for key, summary in given.items()}
    names = {key: db.keys.summary(document_name(key)) for key in given}
    for attempt in itertools.count():
        found = await ledger.read(db, given)
        answers = await db.read([("HGET", names[key], "version") for key in given])
        guards, commands = found.guards(db), []
        for (key, summary), version in zip(given.items(), answers, strict=True):
            there = None if version is None else Version.parse(decoded(version))
            if not outdated(summary, there, found.entries[key]):
                guards.append((names[key], "version", version or b""))
                said = ("version", encoded(str(summary.version)), "content_hash")
                commands.append(
                    ("HSET", names[key], *said, encoded(summary.content_hash), "result", rows[key])
                )
        if not commands or await db.apply(guards, commands):
            return
        await wait(attempt)


async def expire(db: Connections, deleted_before: float) -> tuple[int, int]:
    """Forget some deletes, and what is remembered of documents without a text, of before this
    time; return how many heads, and of how many ids."""
    limit = ("LIMIT", 0, EXPIRED_STEP)
    score = f"({deleted_before!r}"
    ((due,),) = [await db.read([("ZRANGEBYSCORE", db.keys.expiry, "-inf", score, *limit)])]
    gone = 0
    for named in map(bytes.decode, due):
        gone += await _expire(db, named, deleted_before)
    return gone, len(due)


async def _expire(db: Connections, named: str, before: float) -> int:
    """Of one id; return how many heads."""
    key = db.keys.id(named)
    for attempt in itertools.count():
        (answer,) = await db.read([("HGETALL", key)])
        stored = ledger.read_id(answer)
        heads = await db.read(
            [
                ("HMGET", db.keys.document(one), "deleted", "updated_at", "tenant")
                for one in stored.documents
            ]
        )
        times = {by: at for by, (_, at) in stored.deletes.items()}
        documents = {
            one: float(at)
            for one, (deleted, at, _) in zip(stored.documents, heads, strict=True)
            if deleted == b"1"
        }
        old = [one for one, at in documents.items() if at < before]
        said = [by for by, at in times.items() if at < before]
        commands: list[Command] = [("DEL", db.keys.document(one)) for one in old]
        tenant = next((decoded(tenant) for *_, tenant in heads if tenant is not None), None)
        if old and tenant is not None:
            commands.append(("ZREM", db.keys.tenant(tenant), *old))
        fields = [DOCUMENT + one.encode() for one in old] + [_field(*by) for by in said]
        stays = [at for at in (*documents.values(), *times.values()) if at >= before]
        if fields:
            commands.append(("HDEL", key, *fields))
        if len(fields) == len(stored.documents) + len(stored.deletes):
            commands.append(("DEL", key))
        elif fields:
            commands.append(("HSET", key, GUARD, _guard()))
        rank = ("ZADD", db.keys.expiry, min(stays), named) if stays else None
        commands.append(rank or ("ZREM", db.keys.expiry, named))
        if await db.apply([(key, GUARD, stored.guard)], commands):
            return len(old)
        await wait(attempt)
    raise AssertionError


class _Writing:
    """A window of which all is known that it needs: what is to be done in Redis, and on what
    condition. ``spaces``: those that get chunks, with the size of their vectors, and whether they
    have none yet."""

    def __init__(self, db: Connections, found: Ledger) -> None:
        self.guards: list[Guard] = []
        self.commands: list[Command] = []
        self.spaces: dict[str, tuple[int, bool]] = {}
        self._db, self._found = db, found
        self._keys: Keys = db.keys
        self._window = Window(NAME, found.entries)
        self._sizes = {
            model: stored.dimension
            for model, stored in found.models.items()
            if stored.dimension is not None
        }
        self._more: defaultdict[ledger.Model, int] = defaultdict(int)  # chunks, or fewer
        self._dimensions: dict[ledger.Model, int] = {}  # of what comes

    def work_out(self, ready: Sequence[Ready]) -> Results:
        """Decide, and write down what is to be done."""
        results: Results = [self._decided(operation) for operation in ready]
        concerned: set[Id] = set()
        rows: list[_Row] = []
        for key, change in self._window.changes.items():
            rows += self._write_document(key, change)
            concerned.add((key.tenant, key.id))
        self._write_chunks(rows)
        heads = [each.head for each in self._window.changes.values() if each.head is not None]
        self.commands += remembering(self._keys, {leaf for head in heads for leaf in head.fields})
        self._remember(self._window.deletes)
        concerned.update((delete.tenant, delete.id) for delete in self._window.deletes)
        if not concerned:
            return results
        guard = _guard()
        for id in concerned:
            self.commands.append(("HSET", self._keys.id(id_name(id)), GUARD, guard))
        self.guards += self._found.guards(self._db)
        self._count()
        return results

    def _decided(self, operation: Ready) -> Applied | Exception:
        text = _text(operation)
        if text is not None and self._may_show(operation):
            wrong = self._of_another_size(text)
            if wrong is not None:
                return wrong
        return self._window.apply(operation)

    def _may_show(self, operation: Ready) -> bool:
        """Whether its text may come. Of a copy that is known only when it is done."""
        if not isinstance(operation, Prepared):
            return True
        editions = self._found.entries[operation.key].editions
        return editions.would_show(operation.edition, operation.origin.topic)

    def _of_another_size(self, prepared: Prepared) -> PermanentError | None:
        """What is wrong with the size of its vectors: a model's first vector fixes that for as long
        as the model has vectors."""
        tenant, model, dimension = prepared.space
        if dimension > DIMENSION_MAX:
            return InvalidRecord("vector", f"at most {DIMENSION_MAX} numbers", dimension)
        known = self._sizes.setdefault((tenant, model), dimension)
        if known == dimension:
            return None
        if self._living((tenant, model), prepared):
            return other_size(model, known, dimension)
        self._sizes[tenant, model] = dimension
        return None

    def _living(self, model: ledger.Model, put: Prepared) -> int:
        """How many vectors a model has, besides those that the Put replaces."""
        count = self._found.models[model].chunks
        for key, change in self._window.changes.items():
            before = self._found.places.get(key)
            if before is not None and before.model == model:
                count -= len(before.places) - len(self._kept(key, change))
            count += sum(one.space[:2] == model for one, _ in change.chunks.values())
        if put.edition.part == WHOLE:
            before = self._found.places.get(put.key)
            there = self._window.changes.get(put.key)
            if there is not None:
                count -= sum(one.space[:2] == model for one, _ in there.chunks.values())
            if before is not None and before.model == model:
                count -= len(before.places if there is None else self._kept(put.key, there))
        return count

    def _kept(self, key: DocumentKey, change: Change) -> dict[int, int]:
        """Of a document's chunks those that stay."""
        before = self._found.places.get(key)
        if before is None or change.cleared:
            return {}
        return {o: n for o, n in before.places.items() if o not in change.removed}

    def _write_document(self, key: DocumentKey, change: Change) -> list[_Row]:
        """A document's head; what goes of its chunks. Return those that come."""
        named = document_name(key)
        before = self._found.places.get(key) or ledger.StoredPlace()
        places = self._kept(key, change)
        gone = before.places.keys() - places.keys()
        self._unlink([self._keys.chunk(before.space, before.places[o]) for o in sorted(gone)])
        if before.model is not None:
            self._more[before.model] -= len(gone)
        rows = []
        stays, space = dict(places), before.space
        for ordinal, (prepared, place) in sorted(change.chunks.items()):
            space = space_name(prepared.space)
            places[ordinal] = next(self._found.numbers)
            rows.append(_Row(named, ordinal, places[ordinal], space, prepared, place))
            model, dimension = prepared.space[:2], prepared.space[2]
            self._more[model] += 1
            self._dimensions[model] = dimension
            self.spaces[space] = dimension, self._found.models[model].dimension != dimension
        if change.unsummarised:
            self._unlink([self._keys.summary(named)])
        self._write_head(key, named, change, places, space)
        if change.head is not None and stays:
            fields = tag(change.head.fields)
            self.commands += [
                ("HSET", self._keys.chunk(before.space, number), "fields", fields)
                for number in stays.values()
            ]
        return rows

    def _write_head(
        self, key: DocumentKey, named: str, change: Change, places: dict[int, int], space: str
    ) -> None:
        entry, head = change.entry, change.head
        fields: dict[str, Any] = {
            "version": str(entry.version),
            "chunk_count": len(entry.parts),
            "chunks": dump_places(places),
            "editions": entry.editions.dumps(),
            "space": space,
        }
        where = self._keys.document(named)
        if head is not None:
            self.commands.append(("DEL", where))
            tenant, collection = key.tenant, key.collection
            fields |= {"tenant": tenant, "collection": collection, "id": key.id}
            fields |= {"content_version": str(head.version), "content_hash": entry.content_hash}
            fields |= {"deleted": int(entry.deleted), "updated_at": repr(head.updated_at)}
            fields |= {"topic": head.origin.topic, "partition": head.origin.partition}
            fields |= {"offset": head.origin.offset, "batch_id": head.batch_id}
            fields |= {"source": head.source, "model": head.model, "metadata": head.metadata}
            if entry.deleted:
                self._expires(key.tenant, key.id, head.updated_at)
            else:
                fields |= {"tenant_key": name(tenant).hex, "place": name(tenant, collection).hex}
                fields["fields"] = tag(head.fields, names=True)
        elif change.moved is not None:
            origin, batch_id = change.moved
            fields |= {"topic": origin.topic, "partition": origin.partition}
            fields |= {"offset": origin.offset, "batch_id": batch_id}
            if batch_id is None:
                self.commands.append(("HDEL", where, "batch_id"))
        self.commands.append(_hash(where, fields))
        self.commands.append(("ZADD", self._keys.tenant(key.tenant), 0, named))
        id = self._keys.id(id_name((key.tenant, key.id)))
        self.commands.append(("HSET", id, DOCUMENT + named.encode(), ""))

    def _write_chunks(self, rows: Sequence[_Row]) -> None:
        if not rows:
            return
        of_space: defaultdict[str, list[_Row]] = defaultdict(list)
        for row in rows:
            of_space[row.space].append(row)
        for space, some in of_space.items():
            vectors = np.stack([row.prepared.vectors[row.place] for row in some])
            norms, units = normalised(vectors)
            for row, norm, unit in zip(some, norms, units, strict=True):
                where = self._keys.chunk(space, row.number)
                self.commands.append(_hash(where, row.fields(float(norm), unit.tobytes())))

    def _remember(self, deletes: Sequence[Delete]) -> None:
        """Keep deletes, whether documents of these ids are there or not."""
        said: dict[tuple[Id, ledger.SaidBy], Deletes] = {}
        for delete in deletes:
            id, by = (delete.tenant, delete.id), (delete.origin.topic, delete.collection)
            there, _ = self._found.ids[id].deletes.get(by, (Deletes(), 0.0))
            said[id, by] = said.get((id, by), there) | Deletes.of(delete.version)
        now = time.time()
        for (id, by), all_of_it in said.items():
            value = json.dumps([*by, all_of_it.dumps(), now])
            self.commands.append(("HSET", self._keys.id(id_name(id)), _field(*by), value))
            self._expires(*id, now)

    def _expires(self, tenant: str, id: str, at: float) -> None:
        """Something of this id is to be forgotten, reckoned from this time."""
        where = ("ZADD", self._keys.expiry, "LT", repr(at), id_name((tenant, id)))
        self.commands.append(where)

    def _count(self) -> None:
        """Count each model's vectors; where they are of a new size now, on condition."""
        for model, more in self._more.items():
            key = self._keys.model(*model)
            if more:
                self.commands.append(("HINCRBY", key, "chunks", more))
        for model, dimension in self._dimensions.items():
            key, stored = self._keys.model(*model), self._found.models[model]
            known = b"" if stored.dimension is None else str(stored.dimension).encode()
            self.guards.append((key, "dimension", known))
            if stored.dimension != dimension:
                self.commands.append(("HSET", key, "dimension", dimension))
                if stored != StoredModel():
                    self.guards.append((key, "chunks", str(stored.chunks).encode()))

    def _unlink(self, keys: Sequence[str]) -> None:
        for low in range(0, len(keys), ARGUMENTS_MAX):
            self.commands.append(("UNLINK", *keys[low : low + ARGUMENTS_MAX]))


class _Row:
    """A chunk that comes."""

    __slots__ = ("named", "number", "ordinal", "place", "prepared", "space")

    def __init__(
        self, named: str, ordinal: int, number: int, space: str, prepared: Prepared, place: int
    ) -> None:
        self.named, self.ordinal, self.number = named, ordinal, number
        self.space, self.prepared, self.place = space, prepared, place

    def fields(self, norm: float, unit: bytes) -> dict[str, Any]:
        """Return what is stored of it."""
        prepared, key = self.prepared, self.prepared.key
        chunk = prepared.put.chunks[self.place]
        return {
            "document": self.named,
            "ordinal": self.ordinal,
            "uuid": chunk.id.bytes,
            "start": chunk.start,
            "end": chunk.end,
            "norm": repr(norm),
            "vector": unit,
            "text": chunk.text,
            "fields": tag(prepared.fields),
            "words": words.told(prepared.title, prepared.words[self.place]),
            "tenant_key": name(key.tenant).hex,
            "place": name(key.tenant, key.collection).hex,
        }


def _hash(key: str, fields: dict[str, Any]) -> Command:
    """All fields that have a value."""
    command: list[Any] = ["HSET", key]
    for field, value in fields.items():
        if value is not None:
            command += (field, encoded(value) if isinstance(value, str) else value)
    return command


def _text(operation: Ready) -> Prepared | None:
    """The text with vectors that an operation brings."""
    found = operation.prepared if isinstance(operation, Copied) else operation
    return found if isinstance(found, Prepared) and found.put.chunks else None


def _field(topic: str, collection: str | None) -> bytes:
    """The field of an id that keeps what a topic deleted."""
    which = ("all",) if collection is None else ("one", collection)
    return DELETED + name(topic, *which).hex.encode()


def _guard() -> bytes:
    return uuid.uuid4().bytes
