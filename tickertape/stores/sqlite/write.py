"""What changes the database. Every function runs in a transaction of its own on the writer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import apsw

from tickertape.documents import (
    Applied,
    Delete,
    DocumentKey,
    Operation,
    Pass,
    Put,
    StoredSummary,
    Touch,
)
from tickertape.editions import ANY, WHOLE, Deletes, Edition
from tickertape.errors import InvalidRecord, PermanentError, TransientError
from tickertape.stores.sqlite import bulk, ledger, values
from tickertape.stores.sqlite.ledger import OF_KEY, Id, LedgerEntry, bound
from tickertape.stores.sqlite.prepare import Prepared, Space, prepare
from tickertape.stores.sqlite.schema import transaction
from tickertape.stores.sqlite.signbits import pack
from tickertape.versions import Origin, Version, read_version

REMOVALS_MAX = 1_000_000  # rows of the log; a reader that is further behind loads anew

# What one operation can be at fault for; any other error ends the transaction.
OWN_FAULT = (
    PermanentError,
    apsw.ConstraintError,
    apsw.TooBigError,
    apsw.MismatchError,
    TypeError,
    ValueError,  # UnicodeError too
    OverflowError,
)
Ready = Prepared | Touch | Pass | Delete | Exception
OfOne = Prepared | Touch | Pass  # of one document


def apply(db: apsw.Connection, operations: Sequence[Operation]) -> list[Applied | Exception]:
    """Do the operations in order, all in one transaction; one result each.

    Most of them together (`bulk`); one by one, in a savepoint each, those of an id that comes
    twice, deletes, parts, and all of them where one is at fault or a model's vectors differ in
    size: the first of those in order is right.
    """
    ready = {number: _prepared(operation) for number, operation in enumerate(operations)}
    counts = Counter(_id_of(operation) for operation in ready.values())
    many = {
        number: operation
        for number, operation in ready.items()
        if isinstance(operation, OfOne)
        and (operation.edition.part == WHOLE or operation.edition.parts == 1)
        and counts[_id_of(operation)] == 1
    }
    if not _of_one_size(ready.values()):
        many = {}
    with transaction(db):
        results: dict[int, Applied | Exception] = dict(_together(db, many))
        alone = _Alone(db)
        for number, operation in ready.items():
            if number not in results:
                results[number] = alone.apply(operation)
        alone.finish()
        db.execute(
            "DELETE FROM removals WHERE id <= (SELECT max(id) FROM removals) - ?", (REMOVALS_MAX,)
        )
    return [results[number] for number in ready]


def _together(db: apsw.Connection, operations: Mapping[int, OfOne]) -> dict[int, Applied]:
    """Do all, or nothing where one of them is at fault."""
    if not operations:
        return {}
    db.execute("SAVEPOINT many")
    results: dict[int, Applied] = {}
    try:
        results = bulk.apply(db, operations, partial(_space, db))
    except (*OWN_FAULT, bulk.OneByOne):
        db.execute("ROLLBACK TO many")
    db.execute("RELEASE many")  # not where the disk failed: SQLite may have rolled all of it back
    return results


def expire(db: apsw.Connection, deleted_before: float) -> int:
    """Forget deletes, and what is remembered of documents without a text, of before this time."""
    with transaction(db):
        db.execute("DELETE FROM deletes WHERE updated_at < ?", (deleted_before,))
        db.execute("DELETE FROM documents WHERE deleted AND updated_at < ?", (deleted_before,))
        return db.changes()


def save_summaries(db: apsw.Connection, summaries: Iterable[StoredSummary]) -> None:
    """Write summaries, unless a newer one is there, or a newer event has replaced or deleted the
    document."""
    rows = [(summary, values.dump(summary.result)) for summary in summaries]
    with transaction(db):
        entries = ledger.entries(db, [summary.key for summary, _ in rows])
        for summary, result in rows:
            key = bound(summary.key)
            there = db.execute(
                f"SELECT version FROM summaries WHERE {OF_KEY}",  # noqa: S608 -- constants
                key,
            ).get
            if there is not None and summary.version < read_version(there, Origin("", 0, 0)):
                continue
            if entries[summary.key].editions.outdates(Edition(summary.version)):
                continue
            db.execute(
                "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?, ?)",
                (*key, str(summary.version), summary.content_hash, result),
            )


def _prepared(operation: Operation) -> Ready:
    if not isinstance(operation, Put):
        return operation
    try:
        return prepare(operation)
    except OWN_FAULT as error:
        return _permanent(error)


def _of_one_size(operations: Iterable[Ready]) -> bool:
    """True where no model has vectors of two sizes."""
    puts = (found for found in operations if isinstance(found, Prepared) and found.put.chunks)
    spaces = {found.space for found in puts}
    return len({space[:2] for space in spaces}) == len(spaces)


def _id_of(operation: Ready) -> Id | None:
    if isinstance(operation, Exception):
        return None
    what = operation if isinstance(operation, Delete) else operation.key
    return what.tenant, what.id


class _Alone:
    """Operations one by one, in a savepoint each. What is remembered of a document is read once
    and written once, at the end, however many of its parts come in a transaction."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._entries: dict[DocumentKey, LedgerEntry] = {}

    def apply(self, operation: Ready) -> Applied | Exception:
        """Do it, or say why it cannot be done."""
        if isinstance(operation, Delete):
            self.finish()  # it reads what was written before, which it must not take along
        self._db.execute("SAVEPOINT one")
        result: Applied | Exception
        try:
            result = self._apply(operation)
        except OWN_FAULT as error:
            self._db.execute("ROLLBACK TO one")
            result = _permanent(error)
        except TransientError as error:
            self._db.execute("ROLLBACK TO one")
            result = error
        self._db.execute("RELEASE one")
        return result

    def finish(self) -> None:
        """Write what is remembered."""
        for entry in self._entries.values():
            self._db.execute(
                "UPDATE documents SET editions = ?, chunk_count = ? WHERE id = ?",
                (entry.editions.dumps(), entry.chunk_count, entry.id),
            )
        self._entries = {}

    def _apply(self, operation: Ready) -> Applied:
        if isinstance(operation, Exception):
            raise operation
        if isinstance(operation, Delete):
            return self._delete(operation)
        entry, edition = self._entry(operation.key), operation.edition
        if not entry.editions.would_show(edition, operation.origin.topic):
            return self._pass(operation, entry)
        # Nothing is changed in memory before the database took it.
        if isinstance(operation, Prepared):
            if edition.part == WHOLE:
                _put(self._db, operation, entry)
            else:
                self._put_part(operation, entry)
        elif isinstance(operation, Touch) and entry.holds(operation):
            gone = _replaced(entry, edition, operation.origin.topic)
            _touch(self._db, operation, entry)
            if gone and entry.id is not None:
                entry.chunk_count -= bulk.clear(self._db, [entry.id], gone)
        elif not entry.editions.shows(edition):
            raise TransientError(f"store sqlite: {operation.key} was changed meanwhile")
        entry.editions.add(edition, operation.origin.topic)
        return Applied.APPLIED

    def _entry(self, key: DocumentKey) -> LedgerEntry:
        if key not in self._entries:
            self._entries[key] = ledger.entries(self._db, [key])[key]
        return self._entries[key]

    def _pass(self, operation: OfOne, entry: LedgerEntry) -> Applied:
        """Remember that it came. Its topic's deletes hold for the document from now on."""
        if entry.id is None:
            said = entry.editions.deleted_by(operation.origin.topic)
            version = said.version or operation.edition.version
            entry.id = _write_head(self._db, entry, operation.key, version, operation.origin)
            entry.version = version
        before = _shown(entry)
        entry.editions.add(operation.edition, operation.origin.topic)
        if self._settle(entry, before, operation.key):
            return Applied.UNCOVERED
        return Applied.SUPERSEDED

    def _delete(self, delete: Delete) -> Applied:
        """Remember the delete, and remove what it removes."""
        entries = ledger.of_id(self._db, delete.id, delete.tenant)
        ledger.remember(self._db, delete)
        said = Deletes.of(delete.version)
        topic = delete.origin.topic if delete.collection is None else ANY
        shown = uncovered = False
        for key, entry in entries.items():
            if delete.collection not in (None, key.collection):
                continue
            if topic != ANY and topic not in entry.editions.topics:
                continue
            self._entries[key] = entry
            before = _shown(entry)
            entry.editions.delete(topic, said)
            uncovered |= self._settle(entry, before, key, delete)
            shown |= not entry.deleted
        if uncovered:
            return Applied.UNCOVERED
        return Applied.SUPERSEDED if shown else Applied.APPLIED

    def _put_part(self, prepared: Prepared, entry: LedgerEntry) -> None:
        """Write one part, and remove those that it replaces."""
        db, put, document, edition = self._db, prepared.put, prepared.put.document, prepared.edition
        (chunk,) = put.chunks
        if chunk.ordinal != edition.part:
            raise InvalidRecord("chunk", str(edition.part), chunk.ordinal)
        gone = _replaced(entry, edition, document.origin.topic)
        anew = entry.id is None or entry.deleted or WHOLE in gone
        newest = anew or entry.version is None or entry.version < edition.version
        id, count = entry.id, 0 if anew else entry.chunk_count
        if anew:
            id = _write_head(db, entry, put.key, document.version, document.origin, prepared)
        elif newest:
            _move_head(db, entry, prepared)
        assert id is not None
        if not anew:
            count -= bulk.clear(db, [id], [*gone, edition.part])
        _insert_chunks(db, id, prepared)
        entry.id, entry.chunk_count, entry.deleted = id, count + 1, False
        if newest:
            entry.version, entry.content_hash = document.version, put.content_hash

    def _settle(
        self,
        entry: LedgerEntry,
        before: Mapping[int, Edition],
        key: DocumentKey,
        delete: Delete | None = None,
    ) -> bool:
        """Remove the text of what was shown and is not any more; return whether what is shown now
        has none."""
        after = _shown(entry)
        gone = [part for part, edition in before.items() if after.get(part) != edition]
        if not after and delete is not None and delete.version == entry.editions.deleted.version:
            self._clear(entry, key, delete.version, delete.origin, delete.batch_id)
        elif gone and not entry.deleted:
            assert entry.id is not None
            if WHOLE not in gone:
                entry.chunk_count -= bulk.clear(self._db, [entry.id], gone)
            if WHOLE in gone or not entry.chunk_count:
                version = entry.editions.deleted.version or entry.version
                assert version is not None  # what was shown had one
                self._clear(entry, key, version, version.stamp.place, None)
        return next(ledger.missing(self._db, entry), None) is not None

    def _clear(
        self,
        entry: LedgerEntry,
        key: DocumentKey,
        version: Version,
        origin: Origin,
        batch: str | None,
    ) -> None:
        """Leave a head that says deleted."""
        entry.id = _write_head(self._db, entry, key, version, origin, batch_id=batch)
        entry.version, entry.content_hash, entry.chunk_count = version, "", 0
        entry.deleted = True
        self._db.execute(f"DELETE FROM summaries WHERE {OF_KEY}", bound(key))  # noqa: S608


def _shown(entry: LedgerEntry) -> dict[int, Edition]:
    return {edition.part: edition for edition in entry.editions.shown}


def _replaced(entry: LedgerEntry, edition: Edition, topic: str) -> list[int]:
    """The other parts that go when this edition comes."""
    if entry.editions.concerns_no_other(edition, topic):
        return []
    after = entry.editions.copy()
    after.add(edition, topic)
    left = {one.part: one for one in after.shown}
    before = _shown(entry)
    return [part for part in before if part != edition.part and left.get(part) != before[part]]


def _touch(db: apsw.Connection, touch: Touch, entry: LedgerEntry) -> None:
    version = touch.edition.version
    db.execute("UPDATE documents SET version = ? WHERE id = ?", (str(version), entry.id))
    if touch.moves:
        topic, batch_id = values.bind(touch.origin.topic), values.bind(touch.batch_id)
        db.execute(
            'UPDATE documents SET topic = ?, "partition" = ?, "offset" = ?, batch_id = ?'
            " WHERE id = ?",
            (topic, touch.origin.partition, touch.origin.offset, batch_id, entry.id),
        )
    entry.version = version


def _put(db: apsw.Connection, prepared: Prepared, entry: LedgerEntry) -> None:
    put, document = prepared.put, prepared.put.document
    id = _write_head(db, entry, put.key, document.version, document.origin, prepared)
    _insert_chunks(db, id, prepared)
    entry.id, entry.version, entry.deleted = id, document.version, False
    entry.content_hash, entry.chunk_count = put.content_hash, len(put.chunks)


def _insert_chunks(db: apsw.Connection, document: int, prepared: Prepared) -> None:
    put = prepared.put
    if not put.chunks:
        return
    space = _space(db, prepared.space)
    rows = zip(put.chunks, prepared.vectors, pack(prepared.vectors), prepared.words, strict=True)
    for chunk, vector, bits, words in rows:
        place = (document, chunk.ordinal, space, chunk.id.bytes, chunk.start, chunk.end)
        db.execute(
            'INSERT INTO chunks (document, ordinal, space, uuid, start, "end", bits)'
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*place, bits.tobytes()),
        )
        id = db.last_insert_rowid()
        text = values.bind(chunk.text)
        db.execute("INSERT INTO passages VALUES (?, ?, ?)", (id, vector.tobytes(), text))
        db.execute(
            "INSERT INTO passages_fts (rowid, text, title) VALUES (?, ?, ?)",
            (id, words, prepared.title),
        )


def _write_head(
    db: apsw.Connection,
    entry: LedgerEntry,
    key: DocumentKey,
    version: Version,
    origin: Origin,
    prepared: Prepared | None = None,
    batch_id: str | None = None,
) -> int:
    """Write the head anew, less all that hung on the old one; return its row. Without a text it
    says deleted. What is remembered is written at the end."""
    if entry.id is not None:
        bulk.clear(db, [entry.id])
    put = prepared.put if prepared is not None else None
    id = int(
        db.execute(
            "INSERT OR REPLACE INTO documents VALUES"
            " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '') RETURNING id",
            (
                entry.id,
                *bound(key),
                str(version),
                str(version),
                put.content_hash if put else "",
                len(put.chunks) if put else 0,
                put is None,
                values.bind(origin.topic),
                origin.partition,
                origin.offset,
                values.bind(put.document.batch_id if put else batch_id),
                time.time(),
                values.bind(put.document.source if put else None),
                values.bind(put.model if put else None),
                prepared.metadata if prepared else "{}",
            ),
        ).get
    )
    _insert_fields(db, id, prepared)
    return id


def _move_head(db: apsw.Connection, entry: LedgerEntry, prepared: Prepared) -> None:
    """A newer part says what the document's batch, source and metadata are."""
    put, document = prepared.put, prepared.put.document
    old = db.execute("SELECT metadata FROM documents WHERE id = ?", (entry.id,)).get
    db.execute(
        "UPDATE documents SET version = ?, content_version = ?, content_hash = ?, topic = ?,"
        ' "partition" = ?, "offset" = ?, batch_id = ?, updated_at = ?, source = ?, model = ?,'
        " metadata = ? WHERE id = ?",
        (
            str(document.version),
            str(document.version),
            put.content_hash,
            values.bind(document.origin.topic),
            document.origin.partition,
            document.origin.offset,
            values.bind(document.batch_id),
            time.time(),
            values.bind(document.source),
            values.bind(put.model),
            prepared.metadata,
            entry.id,
        ),
    )
    if old != prepared.metadata:
        assert entry.id is not None
        db.execute("DELETE FROM fields WHERE document = ?", (entry.id,))
        _insert_fields(db, entry.id, prepared)


def _insert_fields(db: apsw.Connection, document: int, prepared: Prepared | None) -> None:
    rows = ((*field, document) for field in prepared.fields) if prepared else ()
    db.executemany("INSERT INTO fields VALUES (?, ?, ?)", rows)


def _space(db: apsw.Connection, wanted: Space) -> int:
    """The space of the model, made at its first vector, which fixes the dimension."""
    tenant, model, dimension = wanted
    name = values.bind(tenant), values.bind(model)
    found = db.execute(
        "SELECT id, dimension FROM spaces WHERE tenant = ? AND model = ?", name
    ).fetchone()
    if found is not None:
        if found[1] == dimension:
            return int(found[0])
        if db.execute("SELECT 1 FROM chunks WHERE space = ? LIMIT 1", (found[0],)).fetchone():
            expected = (
                f"{found[1]} numbers, as {model} has (one of another model has another model_name)"
            )
            raise InvalidRecord("vector", expected, dimension)
        db.execute("DELETE FROM spaces WHERE id = ?", (found[0],))
    db.execute("INSERT INTO spaces (tenant, model, dimension) VALUES (?, ?, ?)", (*name, dimension))
    return db.last_insert_rowid()


def _permanent(error: Exception) -> PermanentError:
    if isinstance(error, PermanentError):
        return error
    permanent = PermanentError(f"store sqlite: {type(error).__name__}: {error}")
    permanent.__cause__ = error
    return permanent
