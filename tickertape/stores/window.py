"""What a call of `Store.apply` comes to, worked out before anything is written.

A store reads the entries of all documents that its operations concern, gives the operations to a
`Window` in their order, and writes what has changed: chunks that go, heads, chunks that come. What
is decided here depends on nothing of one store's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tickertape.documents import (
    Applied,
    Copy,
    Delete,
    Document,
    DocumentKey,
    Head,
    Operation,
    Pass,
    Put,
    Touch,
)
from tickertape.editions import ANY, WHOLE, Deletes, Edition, Editions
from tickertape.errors import InvalidRecord, PermanentError, TransientError
from tickertape.stores.prepare import Prepared, Space, prepare
from tickertape.versions import Origin, Version

Id = tuple[str, str]  # of a document: its tenant and its id
# Deletes of an id by topic; of all collections (None) or of one.
IdDeletes = Mapping[Id, Sequence[tuple[str, str | None, Deletes]]]


@dataclass(frozen=True, slots=True)
class Copied:
    """A Copy, its text checked and encoded where it has one."""

    copy: Copy
    prepared: Prepared | None

    @property
    def key(self) -> DocumentKey:
        """The document's."""
        return self.copy.key


Ready = Prepared | Touch | Pass | Delete | Copied | PermanentError


@dataclass(slots=True)
class LedgerEntry:
    """One document as a store knows it. ``version`` is that of the event whose text is stored,
    ``deleted`` says that none is, ``parts`` are the ordinals of its chunks. ``there``: it has a
    head; ``row`` is the store's own number of that, where it has one."""

    there: bool = False
    row: int | None = None
    version: Version | None = None
    content_hash: str = ""
    parts: set[int] = field(default_factory=set)
    deleted: bool = True
    editions: Editions = field(default_factory=Editions)

    def holds(self, touch: Touch) -> bool:
        """Whether what is stored is the content that the touch leaves as it is."""
        stored = not self.deleted and self.content_hash == touch.content_hash
        return stored and any(one.part == touch.edition.part for one in self.editions.shown)

    def missing(self) -> Iterator[Edition]:
        """Yield the editions that are shown and whose text is not stored."""
        for edition in self.editions.shown:
            if self.deleted or (edition.part != WHOLE and edition.part not in self.parts):
                yield edition

    @property
    def in_parts(self) -> bool:
        """Whether its chunks come one by one, so that which are there has to be looked up."""
        return not self.deleted and any(one.part != WHOLE for one in self.editions.shown)


@dataclass(slots=True)
class Written:
    """What an event says that a document is; without a model it says that it is deleted."""

    version: Version
    origin: Origin
    batch_id: str | None = None
    source: str | None = None
    model: str | None = None
    metadata: str = "{}"
    fields: Sequence[tuple[str, str]] = ()
    updated_at: float = field(default_factory=time.time)

    @classmethod
    def by(cls, prepared: Prepared) -> Written:
        """Return what a Put says."""
        put, document = prepared.put, prepared.put.document
        said = document.batch_id, document.source, put.model, prepared.metadata, prepared.fields
        return cls(document.version, document.origin, *said)


@dataclass(slots=True)
class Change:
    """What is to be written of one document; ``entry`` is how it ends.

    First what is stored goes: all chunks (``cleared``) or some ordinals (``removed``); then the
    head is written, anew from ``head`` or else its version, editions and count alone, and who was
    there last (``moved``: origin and batch); then chunks come, each with the Put it is of, and its
    place in that."""

    entry: LedgerEntry
    head: Written | None = None
    moved: tuple[Origin, str | None] | None = None
    cleared: bool = False
    removed: set[int] = field(default_factory=set)
    chunks: dict[int, tuple[Prepared, int]] = field(default_factory=dict)
    unsummarised: bool = False  # its summary goes

    def clear(self) -> None:
        """All chunks go."""
        self.cleared = True
        self.removed.clear()
        self.chunks.clear()
        self.entry.parts.clear()

    def remove(self, parts: Iterable[int]) -> None:
        """Some go."""
        for part in parts:
            self.removed.add(part)
            self.chunks.pop(part, None)
            self.entry.parts.discard(part)

    def insert(self, prepared: Prepared) -> None:
        """The chunks of a Put come."""
        for place, chunk in enumerate(prepared.put.chunks):
            self.chunks[chunk.ordinal] = prepared, place
            self.entry.parts.add(chunk.ordinal)


class OneByOne(Exception):
    """These cannot be written together: which came first decides."""


class Window:
    """Operations in their order. ``entries`` has one for each key that they name, and for each
    document there is of an id that they delete; ``changes`` and ``deletes`` are to be written."""

    def __init__(self, store: str, entries: Mapping[DocumentKey, LedgerEntry]) -> None:
        self.entries = entries
        self.changes: dict[DocumentKey, Change] = {}
        self.deletes: list[Delete] = []
        self._store = store
        self._of_id: dict[Id, list[DocumentKey]] = {}
        for key in entries:
            self._of_id.setdefault((key.tenant, key.id), []).append(key)

    def apply(self, operation: Ready) -> Applied | Exception:
        """Do one more, or say why it cannot be done: then nothing of it is."""
        if isinstance(operation, PermanentError):
            return operation
        if isinstance(operation, Delete):
            return self._delete(operation)
        if isinstance(operation, Copied):
            return self._copy(operation)
        entry, edition = self.entries[operation.key], operation.edition
        topic = operation.origin.topic
        if not entry.editions.would_show(edition, topic):
            return self._pass(operation, entry)
        if isinstance(operation, Prepared):
            if edition.part == WHOLE:
                self._put(operation)
            elif (wrong := _not_its_part(operation)) is not None:
                return wrong
            else:
                self._put_part(operation, entry)
        elif isinstance(operation, Touch) and entry.holds(operation):
            self._touch(operation, entry)
        elif not entry.editions.shows(edition):
            return self._changed(operation.key)
        entry.editions.add(edition, topic)
        self._change(operation.key)
        return Applied.APPLIED

    def _change(self, key: DocumentKey) -> Change:
        if key not in self.changes:
            self.changes[key] = Change(self.entries[key])
        return self.changes[key]

    def _put(self, prepared: Prepared) -> None:
        change = self._change(prepared.key)
        change.clear()
        self._write(change, prepared)
        change.insert(prepared)

    def _put_part(self, prepared: Prepared, entry: LedgerEntry) -> None:
        """Write one part, and remove those that it replaces."""
        edition, change = prepared.edition, self._change(prepared.key)
        gone = _replaced(entry, edition, prepared.origin.topic)
        if entry.deleted or WHOLE in gone:
            change.clear()
            self._write(change, prepared)
        else:
            if entry.version is None or entry.version < edition.version:
                self._write(change, prepared)
            change.remove([*gone, edition.part])
        change.insert(prepared)

    def _write(self, change: Change, prepared: Prepared) -> None:
        change.head, change.moved = Written.by(prepared), None
        entry = change.entry
        entry.there, entry.deleted = True, False
        entry.version, entry.content_hash = prepared.edition.version, prepared.put.content_hash

    def _touch(self, touch: Touch, entry: LedgerEntry) -> None:
        change = self._change(touch.key)
        change.remove(_replaced(entry, touch.edition, touch.origin.topic))
        entry.version = touch.edition.version
        if touch.moves:
            self._move(change, touch.origin, touch.batch_id)

    def _move(self, change: Change, origin: Origin, batch_id: str | None) -> None:
        if change.head is not None:
            change.head.origin, change.head.batch_id = origin, batch_id
        else:
            change.moved = origin, batch_id

    def _pass(self, operation: Prepared | Touch | Pass, entry: LedgerEntry) -> Applied:
        """Remember that it came. Its topic's deletes hold for the document from now on."""
        change, topic = self._change(operation.key), operation.origin.topic
        if not entry.there:
            version = entry.editions.deleted_by(topic).version or operation.edition.version
            change.head = Written(version, operation.origin)
            entry.there, entry.version = True, version
        before = _shown(entry)
        entry.editions.add(operation.edition, topic)
        missing = self._settle(change, before)
        return Applied.UNCOVERED if missing else Applied.SUPERSEDED

    def _delete(self, delete: Delete) -> Applied:
        """Remember the delete, and remove what it removes."""
        self.deletes.append(delete)
        said = Deletes.of(delete.version)
        topic = delete.origin.topic if delete.collection is None else ANY
        shown = uncovered = False
        for key in self._of_id.get((delete.tenant, delete.id), ()):
            if delete.collection not in (None, key.collection):
                continue
            entry = self.entries[key]
            before = _shown(entry)
            entry.editions.delete(topic, said)
            if entry.there and (topic == ANY or topic in entry.editions.topics):
                uncovered |= self._settle(self._change(key), before, delete)
                shown |= not entry.deleted
        if uncovered:
            return Applied.UNCOVERED
        return Applied.SUPERSEDED if shown else Applied.APPLIED

    def _copy(self, copied: Copied) -> Applied | TransientError:
        """Know what another store knows; hold its text where that is what is shown here."""
        copy, head, entry = copied.copy, copied.copy.head, self.entries[copied.key]
        if copy.stored is None and head.editions.topics and not _has_text(entry, head):
            return self._changed(copied.key)
        for who, delete in copy.deletes:
            known = entry.editions.deletes.get(who, Deletes())
            if known | Deletes.of(delete.version) != known:
                self._delete(delete)
        if not head.editions.topics:  # only deletes are known
            return Applied.APPLIED
        before, change = _shown(entry), self._change(copied.key)
        entry.editions.join(head.editions)
        if entry.editions.shown == head.editions.shown:
            self._take_over(change, copied)
            return Applied.APPLIED
        if not entry.there:
            change.head = Written(head.version, head.origin)
            entry.there, entry.version = True, head.version
        missing = self._settle(change, before)
        return Applied.UNCOVERED if missing else Applied.SUPERSEDED

    def _take_over(self, change: Change, copied: Copied) -> None:
        head, entry, prepared = copied.copy.head, change.entry, copied.prepared
        entry.version = head.version
        if copied.copy.stored is None:
            self._move(change, head.origin, head.batch_id)
            return
        entry.there, entry.deleted, entry.content_hash = True, head.deleted, head.content_hash
        change.clear()
        if prepared is None:
            change.head = Written(head.content_version, head.origin, head.batch_id)
            change.unsummarised = True
        else:
            change.head = Written.by(prepared)
            change.insert(prepared)
        change.moved, change.head.updated_at = None, head.updated_at

    def _changed(self, key: DocumentKey) -> TransientError:
        return TransientError(f"store {self._store}: {key} was changed meanwhile")

    def _settle(
        self, change: Change, before: Mapping[int, Edition], delete: Delete | None = None
    ) -> bool:
        """Remove the text of what was shown and is not any more; return whether what is shown now
        has none."""
        entry, after = change.entry, _shown(change.entry)
        gone = [part for part, edition in before.items() if after.get(part) != edition]
        deleted = entry.editions.deleted.version
        if not after and delete is not None and delete.version == deleted:
            _empty(change, Written(delete.version, delete.origin, delete.batch_id))
        elif gone and not entry.deleted:
            if WHOLE not in gone:
                change.remove(gone)
            if WHOLE in gone or not entry.parts:
                version = deleted or entry.version
                assert version is not None  # what was shown had one
                _empty(change, Written(version, version.stamp.place))
        return next(entry.missing(), None) is not None


def ready(store: str, operations: Iterable[Operation]) -> list[Ready]:
    """Return the operations checked and encoded, or what is wrong with one."""
    return [_ready(store, operation) for operation in operations]


def permanent(store: str, error: Exception) -> PermanentError:
    """Return the error of an operation that will fail for ever."""
    if isinstance(error, PermanentError):
        return error
    found = PermanentError(f"store {store}: {type(error).__name__}: {error}")
    found.__cause__ = error
    return found


def concerned(operations: Iterable[Ready]) -> tuple[set[DocumentKey], set[Id]]:
    """Return the documents that operations name, and the ids that they delete."""
    keys, ids = set(), set()
    for operation in operations:
        if isinstance(operation, Delete):
            ids.add((operation.tenant, operation.id))
        elif not isinstance(operation, PermanentError):
            keys.add(operation.key)
            if isinstance(operation, Copied):
                ids.add((operation.key.tenant, operation.key.id))
    return keys, ids


def spaces(operations: Iterable[Ready]) -> set[Space]:
    """Return those of which operations bring vectors, though others may take these away again."""
    texts = (found.prepared if isinstance(found, Copied) else found for found in operations)
    return {found.space for found in texts if isinstance(found, Prepared) and found.put.chunks}


def of_one_size(brought: set[Space], stored: Iterable[Space]) -> bool:
    """Whether no model has vectors of two sizes, nor of another than is stored: else the first of
    those in order is right, and they are done one by one."""
    every = brought | set(stored)
    return len({space[:2] for space in every}) == len(every)


def of_document(deletes: IdDeletes, key: DocumentKey) -> dict[str, Deletes]:
    """Return those that may concern one document, by topic or `ANY`."""
    found: dict[str, Deletes] = {}
    for topic, collection, said in deletes.get((key.tenant, key.id), ()):
        if collection in (None, key.collection):
            who = topic if collection is None else ANY
            found[who] = found.get(who, Deletes()) | said
    return found


def deleted_heads(keys: Iterable[DocumentKey], deletes: IdDeletes) -> Iterator[Head]:
    """Yield the heads of documents of which only deletes are known."""
    for key in keys:
        if said := of_document(deletes, key):
            version = max(v for each in said.values() if (v := each.version) is not None)
            editions = Editions(deletes=said)
            yield Head(key, version, version, "", 0, True, version.stamp.place, editions=editions)


def _ready(store: str, operation: Operation) -> Ready:
    try:
        if isinstance(operation, Put):
            return prepare(operation)
        if isinstance(operation, Copy):
            put = _put_of(operation)
            return Copied(operation, prepare(put) if put is not None else None)
        return operation
    except (PermanentError, TypeError, ValueError, OverflowError) as error:
        return permanent(store, error)


def _put_of(copy: Copy) -> Put | None:
    """What would write the text that another store holds."""
    head, stored = copy.head, copy.stored
    if stored is None or head.deleted:
        return None
    document = Document(
        *(head.key, "", head.content_version, head.origin, stored.metadata),
        source=stored.source,
        batch_id=head.batch_id,
    )
    edition = Edition(head.content_version)
    return Put(document, edition, head.content_hash, stored.model or "", stored.chunks)


def _has_text(entry: LedgerEntry, head: Head) -> bool:
    """Whether what is stored here is the text that this head is of."""
    alike = entry.content_hash == head.content_hash and len(entry.parts) == head.chunk_count
    return entry.there and not entry.deleted and not head.deleted and alike


def _empty(change: Change, said: Written) -> None:
    """Leave a head that says deleted."""
    change.clear()
    change.head, change.moved, change.unsummarised = said, None, True
    entry = change.entry
    entry.version, entry.content_hash, entry.deleted = said.version, "", True


def _shown(entry: LedgerEntry) -> dict[int, Edition]:
    return {edition.part: edition for edition in entry.editions.shown}


def _replaced(entry: LedgerEntry, edition: Edition, topic: str) -> list[int]:
    """The other parts that go when this edition comes."""
    if entry.editions.concerns_no_other(edition, topic):
        return []
    others = {one.part: one for one in entry.editions.shown if one.part != edition.part}
    if not others:
        return []
    after = entry.editions.copy()
    after.add(edition, topic)
    left = {one.part: one for one in after.shown}
    return [part for part, before in others.items() if left.get(part) != before]


def _not_its_part(prepared: Prepared) -> InvalidRecord | None:
    ordinals = [chunk.ordinal for chunk in prepared.put.chunks]
    if ordinals == [prepared.edition.part]:
        return None
    return InvalidRecord("chunk", str(prepared.edition.part), ordinals)
