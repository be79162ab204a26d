"""The changes of a window in a few statements, each of which SQLite works through without Python.

One by one a document is some ten statements, and all of them hold the interpreter that the event
loop and the tokeniser wait for. Here rows go in as JSON arrays and blobs, a statement a table; rows
with a text that JSON cannot carry, a lone surrogate, are bound one by one.
"""

# ruff: noqa: S608 -- statements are made of constants; values are bound

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apsw
import numpy as np
import orjson

from tickertape.documents import DocumentKey
from tickertape.stores.prepare import Prepared, Space
from tickertape.stores.sqlite import ledger, read, values
from tickertape.stores.sqlite.signbits import pack
from tickertape.stores.vectors import other_size
from tickertape.stores.window import Change, OneByOne, Window

HEAD_COLUMNS = 18


def write(db: apsw.Connection, window: Window, *, alone: bool) -> None:
    """Write all that has changed. Call it in a savepoint: an error leaves some of it done.

    Raises:
        InvalidRecord: vectors of another size than their model's.
        OneByOne: not ``alone``, and a model's size changes, which has to come in its turn.
    """
    for delete in window.deletes:
        ledger.remember(db, delete)
    _clear(db, window)
    _write_heads(db, window)
    _move_heads(db, window)
    _insert_chunks(db, window, alone)
    gone = [ledger.bound(k) for k, change in window.changes.items() if change.unsummarised]
    db.executemany(f"DELETE FROM summaries WHERE {ledger.OF_KEY}", gone)


def _clear(db: apsw.Connection, window: Window) -> None:
    """Remove chunks that go, and the fields of heads that are written anew."""
    whole: list[int] = []
    some: list[tuple[int, int]] = []
    fields: list[int] = []
    for change in window.changes.values():
        if (row := change.entry.row) is None:
            continue
        if change.cleared:
            whole.append(row)
        some += [(row, part) for part in change.removed]
        if change.head is not None:
            fields.append(row)
    of_parts = "(document, ordinal) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
    of_documents = "document IN (SELECT value FROM json_each(?))"
    for where, rows in ((of_documents, whole), (of_parts, some)):
        if not rows:
            continue
        chunks = f"SELECT id FROM chunks WHERE {where}"
        for statement in (
            f"INSERT INTO removals (chunk) {chunks}",
            f"DELETE FROM passages_fts WHERE rowid IN ({chunks})",
            f"DELETE FROM passages WHERE id IN ({chunks})",
            f"DELETE FROM chunks WHERE {where}",
        ):
            db.execute(statement, (_json(rows),))
    if fields:
        db.execute(f"DELETE FROM fields WHERE {of_documents}", (_json(fields),))


def _write_heads(db: apsw.Connection, window: Window) -> None:
    """Write heads anew, with the fields that filters look up."""
    next_row = int(db.execute("SELECT coalesce(max(id), 0) + 1 FROM documents").get)
    heads: list[list[Any]] = []
    fields: list[tuple[str, str, int]] = []
    for key, change in window.changes.items():
        if change.head is None:
            continue
        if change.entry.row is None:
            change.entry.row, next_row = next_row, next_row + 1
        heads.append(_head(key, change))
        fields += [(*leaf, change.entry.row) for leaf in change.head.fields]
    listed = ", ".join(f"value ->> {number}" for number in range(HEAD_COLUMNS))
    marks = ", ".join("?" * HEAD_COLUMNS)
    into = "INSERT OR REPLACE INTO documents"
    if not _from_json(db, f"{into} SELECT {listed} FROM json_each(?)", heads):
        db.executemany(f"{into} VALUES ({marks})", map(_bound, heads))
    if fields:
        db.execute(
            "INSERT INTO fields SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
            (_json(fields),),
        )


def _head(key: DocumentKey, change: Change) -> list[Any]:
    entry, head = change.entry, change.head
    assert head is not None
    return [
        *(entry.row, key.tenant, key.collection, key.id, str(entry.version), str(head.version)),
        *(entry.content_hash, len(entry.parts), int(entry.deleted), head.origin.topic),
        *(head.origin.partition, head.origin.offset, head.batch_id, head.updated_at, head.source),
        *(head.model, head.metadata, entry.editions.dumps()),
    ]


def _move_heads(db: apsw.Connection, window: Window) -> None:
    """Of the other heads write what has changed."""
    stay: list[list[Any]] = []
    move: list[list[Any]] = []
    for change in window.changes.values():
        entry = change.entry
        if change.head is not None or entry.row is None:
            continue
        row = [entry.row, str(entry.version), entry.editions.dumps(), len(entry.parts)]
        if change.moved is None:
            stay.append(row)
        else:
            origin, batch_id = change.moved
            move.append([*row, origin.topic, origin.partition, origin.offset, batch_id])
    columns = ["version", "editions", "chunk_count", "topic", '"partition"', '"offset"', "batch_id"]
    for rows, names in ((stay, columns[:3]), (move, columns)):
        several = ", ".join(f"{name} = j.value ->> {n}" for n, name in enumerate(names, 1))
        one = ", ".join(f"{name} = ?{n}" for n, name in enumerate(names, 2))
        update = f"UPDATE documents SET {several} FROM json_each(?) j"
        if not _from_json(db, f"{update} WHERE documents.id = j.value ->> 0", rows):
            db.executemany(f"UPDATE documents SET {one} WHERE id = ?1", map(_bound, rows))


def _insert_chunks(db: apsw.Connection, window: Window, alone: bool) -> None:
    of_space: dict[Space, list[tuple[int, int, Prepared, int]]] = {}
    for change in window.changes.values():
        row = change.entry.row
        for ordinal, (prepared, place) in change.chunks.items():
            assert row is not None
            of_space.setdefault(prepared.space, []).append((row, ordinal, prepared, place))
    for space, chunks in of_space.items():
        _insert_into(db, _space(db, space, alone), chunks)


def _insert_into(
    db: apsw.Connection, space: int, chunks: Sequence[tuple[int, int, Prepared, int]]
) -> None:
    """Insert chunks whose vectors are of one space."""
    first = read.last_id(db, "chunks")
    vectors = np.stack([prepared.vectors[place] for _, _, prepared, place in chunks])
    bits = pack(vectors)
    places: list[list[int]] = []
    uuids: list[bytes] = []
    texts: list[str] = []
    words: list[list[str]] = []
    for row, ordinal, prepared, place in chunks:
        chunk = prepared.put.chunks[place]
        places.append([row, ordinal, chunk.start, chunk.end])
        uuids.append(chunk.id.bytes)
        texts.append(chunk.text)
        words.append([prepared.words[place], prepared.title])
    db.execute(
        'INSERT INTO chunks (id, document, ordinal, space, uuid, start, "end", bits)'
        " SELECT ?1 + key + 1, value ->> 0, value ->> 1, ?2, substr(?3, key * 16 + 1, 16),"
        " value ->> 2, value ->> 3, substr(?4, key * ?5 + 1, ?5) FROM json_each(?6)",
        (first, space, b"".join(uuids), bits.tobytes(), bits[0].nbytes, _json(places)),
    )
    try:
        db.execute(
            "INSERT INTO passages SELECT ?1 + key + 1, substr(?2, key * ?3 + 1, ?3), value"
            " FROM json_each(?4)",
            (first, vectors.tobytes(), vectors[0].nbytes, _json(texts)),
        )
    except TypeError:
        numbered = enumerate(zip(vectors, texts, strict=True), first + 1)
        rows = ((id, vector.tobytes(), values.bind(text)) for id, (vector, text) in numbered)
        db.executemany("INSERT INTO passages VALUES (?, ?, ?)", rows)
    db.execute(
        "INSERT INTO passages_fts (rowid, text, title)"
        " SELECT ?1 + key + 1, value ->> 0, value ->> 1 FROM json_each(?2)",
        (first, _json(words)),
    )


def spaces(db: apsw.Connection, brought: Iterable[Space]) -> Iterator[Space]:
    """Yield those of the same models that there are."""
    for tenant, model, _ in brought:
        sql = "SELECT dimension FROM spaces WHERE tenant = ? AND model = ?"
        for (dimension,) in db.execute(sql, (values.bind(tenant), values.bind(model))):
            yield tenant, model, dimension


def _space(db: apsw.Connection, wanted: Space, alone: bool) -> int:
    """The space of the model, made at its first vector, which fixes the dimension."""
    tenant, model, dimension = wanted
    name = values.bind(tenant), values.bind(model)
    found = db.execute(
        "SELECT id, dimension FROM spaces WHERE tenant = ? AND model = ?", name
    ).fetchone()
    if found is not None:
        if found[1] == dimension:
            return int(found[0])
        if not alone:
            raise OneByOne
        if db.execute("SELECT 1 FROM chunks WHERE space = ? LIMIT 1", (found[0],)).fetchone():
            raise other_size(model, found[1], dimension)
        db.execute("DELETE FROM spaces WHERE id = ?", (found[0],))
    db.execute("INSERT INTO spaces (tenant, model, dimension) VALUES (?, ?, ?)", (*name, dimension))
    return db.last_insert_rowid()


def _from_json(db: apsw.Connection, sql: str, rows: Sequence[Any]) -> bool:
    """Run the statement with the rows as JSON; False where JSON cannot carry them."""
    if not rows:
        return True
    try:
        listed = _json(rows)
    except TypeError:
        return False
    db.execute(sql, (listed,))
    return True


def _bound(row: Sequence[Any]) -> list[Any]:
    return [values.bind(value) if isinstance(value, str) else value for value in row]


def _json(rows: Any) -> str:
    return orjson.dumps(rows).decode()
