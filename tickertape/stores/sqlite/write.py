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
    Origin,
    Put,
    StoredSummary,
    Touch,
    Version,
)
from tickertape.errors import InvalidRecord, PermanentError
from tickertape.stores.sqlite import bulk, values
from tickertape.stores.sqlite.prepare import Prepared, prepare
from tickertape.stores.sqlite.schema import transaction
from tickertape.stores.sqlite.signbits import pack

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
Head = tuple[int, Version, bool]  # row id, version, deleted


def apply(db: apsw.Connection, operations: Sequence[Operation]) -> list[Applied | Exception]:
    """Do the operations in order, all in one transaction; one result each.

    Most of them together (`bulk`); one by one, in a savepoint each, those of a key that comes
    twice, deletes, and all of them where one is at fault or a model's vectors differ in size:
    the first of those in order is right.
    """
    ready = {number: _prepared(operation) for number, operation in enumerate(operations)}
    counts = Counter(_key_of(operation) for operation in ready.values())
    many = {
        number: operation
        for number, operation in ready.items()
        if isinstance(operation, Prepared | Touch) and counts[_key_of(operation)] == 1
    }
    if not _of_one_size(ready.values()):
        many = {}
    with transaction(db):
        results: dict[int, Applied | Exception] = dict(_together(db, many))
        for number, operation in ready.items():
            if number not in results:
                results[number] = _alone(db, operation)
        db.execute(
            "DELETE FROM removals WHERE id <= (SELECT max(id) FROM removals) - ?", (REMOVALS_MAX,)
        )
    return [results[number] for number in ready]


def _together(
    db: apsw.Connection, operations: Mapping[int, Prepared | Touch]
) -> dict[int, Applied]:
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


def _alone(
    db: apsw.Connection, operation: Prepared | Touch | Delete | Exception
) -> Applied | Exception:
    db.execute("SAVEPOINT one")
    result: Applied | Exception
    try:
        result = _apply_one(db, operation)
    except OWN_FAULT as error:
        db.execute("ROLLBACK TO one")
        result = _permanent(error)
    db.execute("RELEASE one")
    return result


def expire(db: apsw.Connection, deleted_before: float) -> int:
    """Forget heads that were deleted before this time."""
    with transaction(db):
        db.execute("DELETE FROM documents WHERE deleted AND updated_at < ?", (deleted_before,))
        return db.changes()


def save_summaries(db: apsw.Connection, summaries: Iterable[StoredSummary]) -> None:
    """Write summaries, unless a newer one is there or a newer event deleted the document."""
    rows = [(summary, values.dump(summary.result)) for summary in summaries]
    with transaction(db):
        for summary, result in rows:
            key = _key(summary.key)
            there = db.execute(
                "SELECT version FROM summaries WHERE collection = ? AND key = ?", key
            ).get
            head = _head(db, summary.key)
            if there is not None and summary.version < Version.parse(there):
                continue
            if head is not None and head[2] and summary.version < head[1]:
                continue
            db.execute(
                "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?)",
                (*key, str(summary.version), summary.content_hash, result),
            )


def _prepared(operation: Operation) -> Prepared | Touch | Delete | Exception:
    if not isinstance(operation, Put):
        return operation
    try:
        return prepare(operation)
    except OWN_FAULT as error:
        return _permanent(error)


def _of_one_size(operations: Iterable[Prepared | Touch | Delete | Exception]) -> bool:
    """True where no model has vectors of two sizes."""
    puts = (found for found in operations if isinstance(found, Prepared) and found.put.chunks)
    spaces = {found.space for found in puts}
    return len({model for model, _ in spaces}) == len(spaces)


def _key_of(operation: Prepared | Touch | Delete | Exception) -> DocumentKey | None:
    if isinstance(operation, Exception):
        return None
    return operation.put.document.key if isinstance(operation, Prepared) else operation.key


def _apply_one(db: apsw.Connection, operation: Prepared | Touch | Delete | Exception) -> Applied:
    if isinstance(operation, Exception):
        raise operation
    target = operation.put.document if isinstance(operation, Prepared) else operation
    head = _head(db, target.key)
    if head is not None and target.version < head[1]:
        return Applied.SUPERSEDED
    if isinstance(operation, Prepared):
        _put(db, operation, head)
    elif isinstance(operation, Delete):
        _delete(db, operation, head)
    elif head is not None:
        _touch(db, operation, head)
    return Applied.APPLIED


def _touch(db: apsw.Connection, touch: Touch, head: Head) -> None:
    db.execute("UPDATE documents SET version = ? WHERE id = ?", (str(touch.version), head[0]))
    if touch.origin is not None:
        topic, batch_id = values.bind(touch.origin.topic), values.bind(touch.batch_id)
        db.execute(
            'UPDATE documents SET topic = ?, "partition" = ?, "offset" = ?, batch_id = ?'
            " WHERE id = ?",
            (topic, touch.origin.partition, touch.origin.offset, batch_id, head[0]),
        )


def _put(db: apsw.Connection, prepared: Prepared, head: Head | None) -> None:
    put, document = prepared.put, prepared.put.document
    row = _write_head(
        db,
        head,
        document.key,
        document.version,
        document.origin,
        batch_id=document.batch_id,
        content_hash=put.content_hash,
        chunk_count=len(put.chunks),
        source=document.source,
        model=put.model,
        metadata=prepared.metadata,
    )
    db.executemany(
        "INSERT INTO fields VALUES (?, ?, ?)", ((*field, row) for field in prepared.fields)
    )
    if not put.chunks:
        return
    space = _space(db, *prepared.space)
    rows = zip(put.chunks, prepared.vectors, pack(prepared.vectors), prepared.words, strict=True)
    for chunk, vector, bits, words in rows:
        db.execute(
            'INSERT INTO chunks (document, ordinal, space, uuid, start, "end", bits)'
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row, chunk.ordinal, space, chunk.id.bytes, chunk.start, chunk.end, bits.tobytes()),
        )
        id = db.last_insert_rowid()
        text = values.bind(chunk.text)
        db.execute("INSERT INTO passages VALUES (?, ?, ?)", (id, vector.tobytes(), text))
        db.execute(
            "INSERT INTO passages_fts (rowid, text, title) VALUES (?, ?, ?)",
            (id, words, prepared.title),
        )


def _delete(db: apsw.Connection, delete: Delete, head: Head | None) -> None:
    _write_head(db, head, delete.key, delete.version, delete.origin, batch_id=delete.batch_id)
    db.execute("DELETE FROM summaries WHERE collection = ? AND key = ?", _key(delete.key))


def _write_head(
    db: apsw.Connection,
    head: Head | None,
    key: DocumentKey,
    version: Version,
    origin: Origin,
    *,
    batch_id: str | None,
    content_hash: str = "",
    chunk_count: int = 0,
    source: str | None = None,
    model: str | None = None,
    metadata: str = "{}",
) -> int:
    """Write the head, less all that hung on the old one. Without a model it says deleted."""
    if head is not None:
        bulk.clear(db, [head[0]])
    return int(
        db.execute(
            "INSERT OR REPLACE INTO documents VALUES"
            " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (
                None if head is None else head[0],
                *_key(key),
                str(version),
                str(version),
                content_hash,
                chunk_count,
                model is None,
                values.bind(origin.topic),
                origin.partition,
                origin.offset,
                values.bind(batch_id),
                time.time(),
                values.bind(source),
                values.bind(model),
                metadata,
            ),
        ).get
    )


def _space(db: apsw.Connection, model: str, dimension: int) -> int:
    """The space of the model, made at its first vector, which fixes the dimension."""
    name = values.bind(model)
    found = db.execute("SELECT id, dimension FROM spaces WHERE model = ?", (name,)).fetchone()
    if found is not None:
        if found[1] == dimension:
            return int(found[0])
        if db.execute("SELECT 1 FROM chunks WHERE space = ? LIMIT 1", (found[0],)).fetchone():
            expected = f"{found[1]} numbers, as {model} has"
            raise InvalidRecord("vector", expected, dimension)
        db.execute("DELETE FROM spaces WHERE id = ?", (found[0],))
    db.execute("INSERT INTO spaces (model, dimension) VALUES (?, ?)", (name, dimension))
    return db.last_insert_rowid()


def _head(db: apsw.Connection, key: DocumentKey) -> Head | None:
    row = db.execute(
        "SELECT id, version, deleted FROM documents WHERE collection = ? AND key = ?", _key(key)
    ).fetchone()
    return None if row is None else (row[0], Version.parse(row[1]), bool(row[2]))


def _key(key: DocumentKey) -> tuple[str | bytes | None, str | bytes | None]:
    return values.bind(key.collection), values.bind(key.id)


def _permanent(error: Exception) -> PermanentError:
    if isinstance(error, PermanentError):
        return error
    permanent = PermanentError(f"store sqlite: {type(error).__name__}: {error}")
    permanent.__cause__ = error
    return permanent
