"""The tables of tickertape.db, and opening a connection to it.

Narrow tables stand beside wide ones so that what is scanned is small: `chunks` (sign bits, read
whole when a worker first searches) beside `passages` (vectors and text, read by id).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw

from tickertape.stores.sqlite import bm25, reindex, relearn

VERSION = 3  # PRAGMA user_version
# What brings a file of this version to the next one, in a transaction with all the others
MIGRATIONS: Mapping[int, Callable[[apsw.Connection], None]] = {
    1: reindex.words,  # words were cut otherwise: accents, ligatures, AT&T, ON, Chinese
    2: relearn.editions,  # which event is newer went by one version a document
}
MIGRATION_SECONDS = 1800.0  # another worker may be at it: a million passages take some minutes
MIGRATION_STEP_SECONDS = 0.5

DDL = f"""
-- The heads. Versions are text (`tickertape.versions`): a producer's number may be any integer.
CREATE TABLE documents (
    id INTEGER PRIMARY KEY,
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    content_version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    chunk_count INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    topic TEXT NOT NULL,
    "partition" INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    batch_id TEXT,
    updated_at REAL NOT NULL,
    source TEXT,
    model TEXT,
    metadata TEXT NOT NULL,
    editions TEXT NOT NULL DEFAULT '', -- `Editions`, less the deletes
    UNIQUE (collection, key)
);
CREATE INDEX documents_key ON documents (key);
CREATE INDEX documents_counts ON documents (deleted, collection, chunk_count);
CREATE INDEX documents_expiry ON documents (updated_at) WHERE deleted;

{relearn.DELETES}
-- Metadata leaf by leaf (see `values.leaves`): what filters look up.
CREATE TABLE fields (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    document INTEGER NOT NULL,
    PRIMARY KEY (name, value, document)
) WITHOUT ROWID;
CREATE INDEX fields_document ON fields (document);

-- A model with its precision. Vectors of two spaces are never compared.
CREATE TABLE spaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL UNIQUE,
    dimension INTEGER NOT NULL
);

-- AUTOINCREMENT: a changed chunk gets a new, greater id, so readers follow by "id > last seen".
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    space INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    bits BLOB NOT NULL,
    UNIQUE (document, ordinal)
);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY,
    vector BLOB NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE removals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk INTEGER NOT NULL
);

CREATE TABLE summaries (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (collection, key)
);
"""


def connect(path: Path, wait: Callable[[int], bool]) -> apsw.Connection:
    """Open the file, made if missing. ``wait`` is SQLite's busy handler: it gets how often it was
    called for this lock, waits, and returns False to give up (`apsw.BusyError`).

    synchronous=FULL: a commit that was confirmed survives a power cut, since a Kafka offset is
    committed on the strength of it.
    """
    connection = apsw.Connection(str(path))
    _write_ahead(connection, wait)
    connection.set_busy_handler(wait)
    for pragma in ("synchronous=FULL", "cache_size=-8000"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    bm25.register(connection)
    return connection


def _write_ahead(connection: apsw.Connection, wait: Callable[[int], bool]) -> None:
    """Turn WAL on, which is kept in the file.

    The first time needs the file for itself. Where another worker is at the same thing SQLite calls
    no busy handler: it raises at once, because two who wait for each other would wait for ever.
    So the wait is here, and the handler, which counts from 0 for itself, is set afterwards.
    """
    for calls in itertools.count():
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
        except apsw.BusyError:
            if not wait(calls):
                raise
        else:
            return


def create(connection: apsw.Connection) -> None:
    """Create what is missing, or bring an older file up to date; several workers may do this at the
    same time: one does it, the others wait.

    Raises:
        ValueError: the file was written by a newer Tickertape, or is some other database.
    """
    deadline = time.monotonic() + MIGRATION_SECONDS
    while True:
        try:
            with transaction(connection):
                _create(connection)
            return
        except apsw.BusyError:
            # Not where the file is up to date and its writer only busy: that is an outage.
            old = connection.pragma("user_version") in MIGRATIONS
            if not old or time.monotonic() > deadline:
                raise
            time.sleep(MIGRATION_STEP_SECONDS)


def _create(connection: apsw.Connection) -> None:
    version = connection.pragma("user_version")
    if version == 0:
        if connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall():
            raise ValueError("it is another program's database")
        connection.execute(DDL)
        reindex.create(connection)
    elif version > VERSION or version < 0:
        raise ValueError(f"its schema is {version}, this Tickertape reads {VERSION}")
    else:
        for step in range(version, VERSION):
            MIGRATIONS[step](connection)
    if version != VERSION:
        connection.pragma("user_version", VERSION)


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE, so that what is read inside is not overtaken by another writer."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # some errors, disk full among them, have rolled back already
            db.execute("ROLLBACK")
        raise
