"""A store that fits on a page: the contract of `tickertape.stores.base`, in dictionaries.

The pipeline's tests run on it, and the contract tests compare every store with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tickertape.documents import (
    DEFAULT_TENANT,
    Applied,
    Copy,
    Delete,
    Document,
    DocumentKey,
    Head,
    Operation,
    Put,
    StoredChunk,
    Touch,
)
from tickertape.editions import ANY, WHOLE, Deletes, Edition, Editions
from tickertape.errors import TransientError
from tickertape.stores.base import Capability, Counts, StoredDocument
from tickertape.stores.conditions import matches
from tickertape.stores.prepare import fields
from tickertape.versions import Origin, Version


@dataclass
class Entry:
    """What is known of a document; ``texts``: of each part, whose text is stored, and the text."""

    editions: Editions
    version: Version
    content_version: Version
    origin: Origin
    batch_id: str | None = None
    texts: dict[int, tuple[Edition, Put]] = field(default_factory=dict)

    @property
    def put(self) -> Put | None:
        """What was written last of what is stored; None: nothing is."""
        puts = [put for _, put in self.texts.values()]
        return max(puts, key=lambda put: put.edition.version, default=None)

    @property
    def chunks(self) -> list[StoredChunk]:
        found = [chunk for _, put in self.texts.values() for chunk in put.chunks]
        return sorted(found, key=lambda chunk: chunk.ordinal)

    def missing(self) -> list[Version]:
        return [e.version for e in self.editions.shown if e.part not in self.texts]

    def settle(self) -> bool:
        """Drop the texts that are not shown any more; return whether the last of them went."""
        shown = self.editions.shown
        had = bool(self.texts)
        self.texts = {part: found for part, found in self.texts.items() if found[0] in shown}
        return had and not self.texts


def _text(head: Head) -> tuple[bool, str, int]:
    return head.deleted, head.content_hash, head.chunk_count


def _puts(head: Head, stored: StoredDocument) -> Iterator[tuple[int, tuple[Edition, Put]]]:
    """What would have written the parts that are stored, or the whole."""
    for edition in head.editions.shown:
        chunks = [c for c in stored.chunks if edition.part in (WHOLE, c.ordinal)]
        if chunks or edition.part == WHOLE:
            document = Document(head.key, "", edition.version, head.origin, stored.metadata)
            model = edition.model or stored.model or ""
            yield edition.part, (edition, Put(document, edition, head.content_hash, model, chunks))


def _metadata(entry: Entry) -> Mapping[str, Any]:
    put = entry.put
    return put.document.metadata if put else {}


@dataclass
class Memory:
    """``broken`` is raised by the next calls of `apply`; ids in ``refused`` fail alone."""

    name: str = "memory"
    capabilities: frozenset[Capability] = frozenset(
        (Capability.ATOMIC, Capability.KEYWORDS, Capability.COUNTS, Capability.FIELDS)
    )
    entries: dict[DocumentKey, Entry] = field(default_factory=dict)
    deletes: dict[tuple[str, str, str, str | None], Deletes] = field(default_factory=dict)
    broken: list[Exception] = field(default_factory=list)
    refused: dict[str, Exception] = field(default_factory=dict)

    async def heads(self, keys: Sequence[DocumentKey]) -> dict[DocumentKey, Head]:
        return {key: head for key in keys if (head := self.head(key)) is not None}

    def head(self, key: DocumentKey) -> Head | None:
        entry = self.entries.get(key)
        if entry is None:
            said = self._of(key)
            if not said:
                return None
            version = max(v for each in said.values() if (v := each.version) is not None)
            editions = Editions(deletes=said)
            origin = version.stamp.place
            return Head(key, version, version, "", 0, True, origin, editions=editions)
        put = entry.put
        return Head(
            *(key, entry.version, entry.content_version, put.content_hash if put else ""),
            *(len(entry.chunks), put is None, entry.origin, entry.batch_id),
            editions=entry.editions,
        )

    async def apply(self, operations: Sequence[Operation]) -> list[Applied | Exception]:
        if self.broken:
            raise self.broken.pop()
        return [self.apply_one(operation) for operation in operations]

    def apply_one(self, operation: Operation) -> Applied | Exception:
        if isinstance(operation, Delete):
            return self._delete(operation)
        if operation.key.id in self.refused:
            return self.refused[operation.key.id]
        if isinstance(operation, Copy):
            return self._copy(operation)
        key, edition = operation.key, operation.edition
        topic = operation.origin.topic
        known = self.entries.get(key)
        editions = known.editions if known else Editions(deletes=self._of(key))
        if not editions.would_show(edition, topic):
            if known is None:
                version = editions.deleted_by(topic).version or edition.version
                known = self.entries[key] = Entry(editions, version, version, operation.origin)
            editions.add(edition, topic)
            if known.settle():
                self._deleted(known)
            return Applied.UNCOVERED if known.missing() else Applied.SUPERSEDED
        if isinstance(operation, Put):
            document, version = operation.document, operation.edition.version
            if known is None:
                known = Entry(editions, version, version, document.origin)
                self.entries[key] = known
            editions.add(edition, topic)
            known.settle()
            if not known.texts or edition.part == WHOLE or known.version < version:
                known.version = known.content_version = version
                known.origin, known.batch_id = document.origin, document.batch_id
            known.texts[edition.part] = edition, operation
        elif known is not None and isinstance(operation, Touch) and self._same(known, operation):
            editions.add(edition, topic)
            known.texts[edition.part] = edition, known.texts[edition.part][1]
            known.settle()
            known.version = edition.version
            if operation.moves:
                known.origin, known.batch_id = operation.origin, operation.batch_id
        elif not editions.shows(edition):
            return TransientError("it was changed meanwhile")
        return Applied.APPLIED

    def _copy(self, copy: Copy) -> Applied | Exception:
        head, stored = copy.head, copy.stored
        entry = self.entries.get(copy.key)
        here = self.head(copy.key)
        topics = head.editions.topics
        if stored is None and topics and (here is None or _text(here) != _text(head)):
            return TransientError("it was changed meanwhile")
        for who, delete in copy.deletes:
            known = self._of(copy.key).get(who, Deletes())
            if known | Deletes.of(delete.version) != known:
                self._delete(delete)
        if not topics:
            return Applied.APPLIED
        if entry is None:
            editions = Editions(deletes=self._of(copy.key))
            entry = Entry(editions, head.version, head.version, head.origin)
            self.entries[copy.key] = entry
        entry.editions.join(head.editions)
        if stored is None:
            (whole,) = head.editions.shown
            entry.texts[WHOLE] = whole, entry.texts[WHOLE][1]
        entry.settle()
        shown = head.editions.shown
        if entry.editions.shown != shown:
            return Applied.UNCOVERED if entry.missing() else Applied.SUPERSEDED
        entry.version, entry.origin, entry.batch_id = head.version, head.origin, head.batch_id
        if stored is not None:
            entry.content_version = head.content_version
            entry.texts = {} if head.deleted else dict(_puts(head, stored))
        return Applied.APPLIED

    def _same(self, known: Entry, touch: Touch) -> bool:
        there = known.put is not None and known.put.content_hash == touch.content_hash
        return there and touch.edition.part in known.texts

    def _delete(self, delete: Delete) -> Applied:
        topic, said = delete.origin.topic, Deletes.of(delete.version)
        where = (delete.tenant, delete.id, topic, delete.collection)
        self.deletes[where] = self.deletes.get(where, Deletes()) | said
        missing = shown = False
        for key, entry in self.entries.items():
            if (key.tenant, key.id) != (delete.tenant, delete.id):
                continue
            if delete.collection not in (None, key.collection):
                continue
            who = topic if delete.collection is None else ANY
            entry.editions.delete(who, said)
            if who != ANY and topic not in entry.editions.topics:
                continue
            gone = entry.settle()
            latest = entry.editions.deleted.version
            if not entry.editions.shown and latest == delete.version:
                entry.version = entry.content_version = delete.version
                entry.origin, entry.batch_id = delete.origin, delete.batch_id
            elif gone:
                self._deleted(entry)
            missing |= bool(entry.missing())
            shown |= bool(entry.texts)
        return Applied.UNCOVERED if missing else Applied.SUPERSEDED if shown else Applied.APPLIED

    def _deleted(self, entry: Entry) -> None:
        version = entry.editions.deleted.version
        assert version is not None
        entry.version = entry.content_version = version
        entry.origin, entry.batch_id = version.stamp.place, None

    def _of(self, key: DocumentKey) -> dict[str, Deletes]:
        found: dict[str, Deletes] = {}
        for (tenant, id, topic, collection), said in self.deletes.items():
            whose = (tenant, id) == (key.tenant, key.id)
            if whose and collection in (None, key.collection):
                who = topic if collection is None else ANY
                found[who] = found.get(who, Deletes()) | said
        return found

    async def missing(
        self, id: str, tenant: str = DEFAULT_TENANT
    ) -> list[tuple[DocumentKey, Version]]:
        return [
            (key, version)
            for key, entry in self.entries.items()
            if (key.tenant, key.id) == (tenant, id)
            for version in entry.missing()
        ]

    async def document(
        self, id: str, collection: str | None = None, tenant: str = DEFAULT_TENANT
    ) -> list[StoredDocument]:
        found = []
        for key, entry in self.entries.items():
            head = self.head(key)
            whose = (key.tenant, key.id) == (tenant, id)
            if head is not None and whose and collection in (None, key.collection):
                put = entry.put
                metadata: Any = put.document.metadata if put else {}
                model = put.model if put else None
                found.append(StoredDocument(head, metadata, None, model, entry.chunks))
        return found

    async def scan(
        self, after: str = "", limit: int = 1000, tenant: str = DEFAULT_TENANT
    ) -> tuple[list[Head], str | None]:
        keys = [key for key in self.entries if key.tenant == tenant]  # in the order they came
        page = keys[int(after or 0) : int(after or 0) + limit]
        heads = [head for key in page if (head := self.head(key)) is not None]
        return heads, str(int(after or 0) + limit) if len(page) == limit else None

    async def count(
        self,
        collection: str | None = None,
        tenant: str = DEFAULT_TENANT,
        filters: Mapping[str, Any] | None = None,
    ) -> Counts:
        own = {k: e for k, e in self.entries.items() if k.tenant == tenant}
        entries = [
            e
            for k, e in own.items()
            if collection in (None, k.collection) and matches(_metadata(e), filters or {})
        ]
        return Counts(sum(bool(e.texts) for e in entries), sum(len(e.chunks) for e in entries))

    async def field_names(self, tenant: str = DEFAULT_TENANT) -> list[str]:
        return sorted({name for name, _ in self._leaves(tenant)})

    async def known_fields(
        self, leaves: Iterable[tuple[str, str]], tenant: str = DEFAULT_TENANT
    ) -> set[tuple[str, str]]:
        return set(leaves) & self._leaves(tenant)

    def _leaves(self, tenant: str) -> set[tuple[str, str]]:
        own = ((k, e) for k, e in self.entries.items() if k.tenant == tenant and e.texts)
        return {leaf for key, entry in own for leaf in fields(_metadata(entry), key.id)}

    def forget(self) -> int:
        """Forget deletes, and entries without a text."""
        self.deletes = {}
        gone = [key for key, entry in self.entries.items() if not entry.texts]
        for key in gone:
            del self.entries[key]
        for entry in self.entries.values():
            entry.editions.deletes = {}
        return len(gone)

    def text(self, id: str, collection: str) -> str | None:
        """The text of a document; None where it is deleted or was never there."""
        entry = self.entries.get(DocumentKey(collection, id))
        return " ".join(c.text for c in entry.chunks) if entry and entry.texts else None
