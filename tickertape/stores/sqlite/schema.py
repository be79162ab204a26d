"""Opening a connection to tickertape.db, and bringing its tables up to date."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import apsw

from tickertape.stores.sqlite import bm25, reindex, relearn, tables, tenants

VERSION = 5  # PRAGMA user_version
# What brings a file of this version to the next one, in a transaction with all the others
MIGRATIONS: Mapping[int, Callable[[apsw.Connection], None]] = {
    1: lambda _: None,  # words were cut otherwise: a later step indexes them all anew
    2: relearn.editions,  # which event is newer went by one version a document
    3: tenants.separate,  # all was one tenant's
    4: reindex.all_documents,  # company, period and form were not read; figures had no one form
}
MIGRATION_SECONDS = 1800.0  # another worker may be at it: a million passages take some minutes
MIGRATION_STEP_SECONDS = 0.5


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
        connection.execute(tables.DDL)
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
