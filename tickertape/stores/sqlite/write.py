"""What changes the database. Every function runs in a transaction of its own on the writer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import apsw
import numpy as np

from tickertape.documents import (
    Applied,
    Delete,
    DocumentKey,
    Operation,
    Origin,
    Put,
    StoredChunk,
    StoredSummary,
    Touch,
    Version,
)
from tickertape.errors import InvalidRecord, PermanentError
from tickertape.stores.sqlite import values
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
TITLE = ("title", "company", "ticker")

Head = tuple[int, Version, bool]  # row id, version, deleted


@dataclass(frozen=True, slots=True)
class Row:
    """A chunk, ready to be inserted."""

    chunk: StoredChunk
    bits: bytes
    vector: bytes
    words: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A Put, checked and encoded before the database is locked."""

    put: Put
    rows: Sequence[Row]
    dimension: int
    metadata: str
    fields: Sequence[tuple[str, str]]
    title: str


def apply(db: apsw.Connection, operations: Sequence[Operation]) -> list[Applied | Exception]:
    """Do the operations in order, all in one transaction, each in a savepoint."""
    ready = [_prepared(operation) for operation in operations]
    results: list[Applied | Exception] = []
    with transaction(db):
        for operation in ready:
            db.execute("SAVEPOINT one")
            try:
                results.append(_apply_one(db, operation))
            except OWN_FAULT as error:
                db.execute("ROLLBACK TO one")
                results.append(_permanent(error))
            db.execute("RELEASE one")
        db.execute(
            "DELETE FROM removals WHERE id <= (SELECT max(id) FROM removals) - ?", (REMOVALS_MAX,)
        )
    return results


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
        return _prepare(operation)
    except OWN_FAULT as error:
        return _permanent(error)


def _prepare(put: Put) -> Prepared:
    metadata = put.document.metadata
    rows: list[Row] = []
    dimension = 0
    if put.chunks:
        dimension = len(put.chunks[0].vector)
        for chunk in put.chunks:
            _check_vector(chunk, dimension)
        vectors = np.stack([chunk.vector for chunk in put.chunks]).astype(np.float32)
        for chunk, vector, bits in zip(put.chunks, vectors, pack(vectors), strict=True):
            rows.append(Row(chunk, bits.tobytes(), vector.tobytes(), values.words(chunk.text)))
    title = " ".join(value for name in TITLE if isinstance(value := metadata.get(name), str))
    fields = sorted(set(values.leaves(metadata)))
    return Prepared(put, rows, dimension, values.dump(metadata), fields, values.words(title))


def _check_vector(chunk: StoredChunk, dimension: int) -> None:
    name = f"vector of chunk {chunk.ordinal}"
    if chunk.vector.shape != (dimension,) or not dimension:
        raise InvalidRecord(name, f"{dimension or 'some'} numbers", f"shape {chunk.vector.shape}")
    if not np.isfinite(chunk.vector).all():
        raise InvalidRecord(name, "finite numbers", "NaN or infinity")


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
        chunk_count=len(prepared.rows),
        source=document.source,
        model=put.model,
        metadata=prepared.metadata,
    )
    db.executemany(
        "INSERT INTO fields VALUES (?, ?, ?)", ((*field, row) for field in prepared.fields)
    )
    if not prepared.rows:
        return
    space = _space(db, put.model, prepared.dimension)
    for chunk in prepared.rows:
        _insert_chunk(db, row, space, chunk, prepared.title)


def _insert_chunk(db: apsw.Connection, document: int, space: int, row: Row, title: str) -> None:
    chunk = row.chunk
    db.execute(
        'INSERT INTO chunks (document, ordinal, space, uuid, start, "end", bits)'
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (document, chunk.ordinal, space, chunk.id.bytes, chunk.start, chunk.end, row.bits),
    )
    id = db.last_insert_rowid()
    db.execute("INSERT INTO passages VALUES (?, ?, ?)", (id, row.vector, values.bind(chunk.text)))
    db.execute(
        "INSERT INTO passages_fts (rowid, text, title) VALUES (?, ?, ?)", (id, row.words, title)
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
        _clear(db, head[0])
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


def _clear(db: apsw.Connection, document: int) -> None:
    """Remove a document's chunks and fields from every table."""
    for statement in (
        "INSERT INTO removals (chunk) SELECT id FROM chunks WHERE document = ?",
        "DELETE FROM passages_fts WHERE rowid IN (SELECT id FROM chunks WHERE document = ?)",
        "DELETE FROM passages WHERE id IN (SELECT id FROM chunks WHERE document = ?)",
        "DELETE FROM chunks WHERE document = ?",
        "DELETE FROM fields WHERE document = ?",
    ):
        db.execute(statement, (document,))


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
