"""Many operations in a few statements, each of which SQLite works through without Python.

One by one a document is some ten statements, and all of them hold the interpreter that the event
loop and the tokeniser wait for. Here rows go in as JSON arrays and blobs, a statement a table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import apsw
import numpy as np
import orjson

from tickertape.documents import Applied, Pass, Touch
from tickertape.stores.sqlite import ledger, read
from tickertape.stores.sqlite.ledger import LedgerEntry
from tickertape.stores.sqlite.prepare import Prepared, Space
from tickertape.stores.sqlite.signbits import pack

Operation = Prepared | Touch | Pass
FindSpace = Callable[[Space], int]  # its id, made where it is new


class OneByOne(Exception):
    """These cannot be done together: JSON cannot carry one of their texts, or more than a row
    has to change for one."""


def apply(
    db: apsw.Connection, operations: Mapping[int, Operation], space: FindSpace
) -> dict[int, Applied]:
    """Do the operations, of a key each, on documents of one part, and with vectors of one size a
    model; return what became of them, by the same numbers.

    Call it in a savepoint: an error leaves some of it done.

    Raises:
        OneByOne: they have to be done one by one.
    """
    entries = ledger.entries(db, [operation.key for operation in operations.values()])
    results = dict.fromkeys(operations, Applied.APPLIED)
    touches: list[tuple[Touch, LedgerEntry]] = []
    puts: list[tuple[Prepared, LedgerEntry]] = []
    passed: list[LedgerEntry] = []
    for number, operation in operations.items():
        entry, edition = entries[operation.key], operation.edition
        held = isinstance(operation, Touch) and entry.holds(operation)
        before = entry.editions.shown
        entry.editions.add(edition, operation.origin.topic)
        after = entry.editions.shown
        if edition not in after and after == before and entry.id and bool(after) != entry.deleted:
            results[number] = Applied.SUPERSEDED
            passed.append(entry)
        elif isinstance(operation, Prepared) and after == [edition]:
            puts.append((operation, entry))
        elif held and isinstance(operation, Touch) and after == [edition] and len(before) == 1:
            touches.append((operation, entry))
        else:
            raise OneByOne("more than its own row changes, or what is stored is not what was seen")
    _pass(db, passed)
    _touch(db, touches)
    _put(db, puts, space)
    return results


def clear(db: apsw.Connection, documents: Sequence[int], parts: Sequence[int] | None = None) -> int:
    """Remove chunks and fields of documents from every table; of some parts, only these chunks.
    Return how many chunks there were."""
    where, bindings = "document IN (SELECT value FROM json_each(?1))", [_json(documents)]
    if parts is not None:
        where += " AND ordinal IN (SELECT value FROM json_each(?2))"
        bindings.append(_json(parts))
    chunks = f"SELECT id FROM chunks WHERE {where}"  # noqa: S608 -- constants
    for statement in (
        f"INSERT INTO removals (chunk) {chunks}",
        f"DELETE FROM passages_fts WHERE rowid IN ({chunks})",  # noqa: S608 -- constants
        f"DELETE FROM passages WHERE id IN ({chunks})",  # noqa: S608 -- constants
        f"DELETE FROM chunks WHERE {where}",  # noqa: S608 -- constants
    ):
        db.execute(statement, bindings)
    count = db.changes()
    if parts is None:
        ids = _json(documents)
        db.execute("DELETE FROM fields WHERE document IN (SELECT value FROM json_each(?))", (ids,))
    return count


def _pass(db: apsw.Connection, entries: Iterable[LedgerEntry]) -> None:
    rows = [[entry.id, entry.editions.dumps()] for entry in entries]
    if rows:
        db.execute(
            "UPDATE documents SET editions = j.value ->> 1 FROM json_each(?) j"
            " WHERE documents.id = j.value ->> 0",
            (_json(rows),),
        )


def _touch(db: apsw.Connection, touches: Iterable[tuple[Touch, LedgerEntry]]) -> None:
    bare: list[Any] = []
    moved: list[Any] = []
    for touch, entry in touches:
        row = [entry.id, str(touch.edition.version), entry.editions.dumps()]
        origin = touch.origin
        if not touch.moves:
            bare.append(row)
        else:
            place = [origin.topic, origin.partition, origin.offset, touch.batch_id]
            moved.append([*row, *place])
    if bare:
        db.execute(
            "UPDATE documents SET version = j.value ->> 1, editions = j.value ->> 2"
            " FROM json_each(?) j WHERE documents.id = j.value ->> 0",
            (_json(bare),),
        )
    if moved:
        db.execute(
            "UPDATE documents SET version = j.value ->> 1, editions = j.value ->> 2,"
            ' topic = j.value ->> 3, "partition" = j.value ->> 4, "offset" = j.value ->> 5,'
            " batch_id = j.value ->> 6 FROM json_each(?) j WHERE documents.id = j.value ->> 0",
            (_json(moved),),
        )


def _put(
    db: apsw.Connection, puts: Sequence[tuple[Prepared, LedgerEntry]], space: FindSpace
) -> None:
    if not puts:
        return
    # First, as a model whose dimension changed is refused while others' chunks are there.
    wanted = {prepared.space for prepared, _ in puts if prepared.put.chunks}
    ids = {where: space(where) for where in sorted(wanted)}
    old = [entry.id for _, entry in puts if entry.id is not None]
    if old:
        clear(db, old)
    next_row = int(db.execute("SELECT coalesce(max(id), 0) + 1 FROM documents").get)
    now = time.time()
    heads: list[Any] = []
    fields: list[Any] = []
    spaces: dict[Space, list[tuple[Prepared, int]]] = {}
    for prepared, entry in puts:
        row = entry.id
        if row is None:
            row, next_row = next_row, next_row + 1
        put, document = prepared.put, prepared.put.document
        version = str(document.version)
        heads.append(
            [
                *(row, document.key.tenant, document.key.collection, document.key.id),
                *(version, version, put.content_hash, len(put.chunks), 0, document.origin.topic),
                *(document.origin.partition, document.origin.offset, document.batch_id, now),
                *(document.source, put.model, prepared.metadata, entry.editions.dumps()),
            ]
        )
        fields += [[*field, row] for field in prepared.fields]
        if put.chunks:
            spaces.setdefault(prepared.space, []).append((prepared, row))
    columns = ", ".join(f"value ->> {number}" for number in range(18))
    db.execute(
        f"INSERT OR REPLACE INTO documents SELECT {columns} FROM json_each(?)",  # noqa: S608
        (_json(heads),),
    )
    if fields:
        db.execute(
            "INSERT INTO fields SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
            (_json(fields),),
        )
    for where, members in spaces.items():
        _insert_chunks(db, ids[where], members)


def _insert_chunks(
    db: apsw.Connection, space: int, members: Sequence[tuple[Prepared, int]]
) -> None:
    """Insert the chunks of documents whose vectors are of one space."""
    first = read.last_id(db, "chunks")
    vectors = np.concatenate([prepared.vectors for prepared, _ in members])
    bits = pack(vectors)
    places: list[Any] = []
    uuids: list[bytes] = []
    texts: list[str] = []
    words: list[Any] = []
    for prepared, row in members:
        for chunk, plain in zip(prepared.put.chunks, prepared.words, strict=True):
            places.append([row, chunk.ordinal, chunk.start, chunk.end])
            uuids.append(chunk.id.bytes)
            texts.append(chunk.text)
            words.append([plain, prepared.title])
    db.execute(
        'INSERT INTO chunks (id, document, ordinal, space, uuid, start, "end", bits)'
        " SELECT ?1 + key + 1, value ->> 0, value ->> 1, ?2, substr(?3, key * 16 + 1, 16),"
        " value ->> 2, value ->> 3, substr(?4, key * ?5 + 1, ?5) FROM json_each(?6)",
        (first, space, b"".join(uuids), bits.tobytes(), bits[0].nbytes, _json(places)),
    )
    db.execute(
        "INSERT INTO passages SELECT ?1 + key + 1, substr(?2, key * ?3 + 1, ?3), value"
        " FROM json_each(?4)",
        (first, vectors.tobytes(), vectors[0].nbytes, _json(texts)),
    )
    db.execute(
        "INSERT INTO passages_fts (rowid, text, title)"
        " SELECT ?1 + key + 1, value ->> 0, value ->> 1 FROM json_each(?2)",
        (first, _json(words)),
    )


def _json(rows: Any) -> str:
    try:
        return orjson.dumps(rows).decode()
    except TypeError as error:
        raise OneByOne(str(error)) from None
