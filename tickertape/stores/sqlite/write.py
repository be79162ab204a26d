"""What changes the database. Every function runs in a transaction of its own on the writer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apsw

from tickertape.documents import Applied, Operation, StoredSummary
from tickertape.errors import PermanentError
from tickertape.stores import window
from tickertape.stores.metadata import dump
from tickertape.stores.sqlite import bulk, ledger
from tickertape.stores.sqlite.ledger import OF_KEY, bound
from tickertape.stores.sqlite.schema import transaction
from tickertape.stores.summaries import outdated
from tickertape.stores.window import OneByOne, Ready, Window
from tickertape.versions import Origin, read_version

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


def apply(
    db: apsw.Connection, operations: Sequence[Operation], store: str = "sqlite"
) -> list[Applied | Exception]:
    """Do the operations in order, all in one transaction; one result each.

    All of them together, or where one is at fault, each by itself.
    """
    ready = window.ready(store, operations)
    with transaction(db):
        results = _together(db, ready, store)
        db.execute(
            "DELETE FROM removals WHERE id <= (SELECT max(id) FROM removals) - ?", (REMOVALS_MAX,)
        )
    return results


def _together(db: apsw.Connection, ready: Sequence[Ready], store: str) -> list[Applied | Exception]:
    if len(ready) > 1:
        brought = window.spaces(ready)
        if not window.of_one_size(brought, bulk.spaces(db, brought)):
            return _one_by_one(db, ready, store)
    db.execute("SAVEPOINT many")
    try:
        found = Window(store, ledger.entries(db, *window.concerned(ready)))
        results = [found.apply(operation) for operation in ready]
        bulk.write(db, found, alone=len(ready) == 1)
    except (*OWN_FAULT, OneByOne) as error:
        db.execute("ROLLBACK TO many")
        db.execute("RELEASE many")
        if len(ready) > 1:
            return _one_by_one(db, ready, store)
        return [window.permanent(store, error)]
    db.execute("RELEASE many")  # not where the disk failed: SQLite may have rolled all of it back
    return results


def _one_by_one(
    db: apsw.Connection, ready: Sequence[Ready], store: str
) -> list[Applied | Exception]:
    return [result for operation in ready for result in _together(db, [operation], store)]


def expire(db: apsw.Connection, deleted_before: float) -> int:
    """Forget deletes, and what is remembered of documents without a text, of before this time."""
    with transaction(db):
        db.execute("DELETE FROM deletes WHERE updated_at < ?", (deleted_before,))
        db.execute("DELETE FROM documents WHERE deleted AND updated_at < ?", (deleted_before,))
        return db.changes()


def save_summaries(db: apsw.Connection, summaries: Iterable[StoredSummary]) -> None:
    """Write summaries, unless a newer one is there, or a newer event has replaced or deleted the
    document."""
    rows = [(summary, dump(summary.result)) for summary in summaries]
    with transaction(db):
        entries = ledger.entries(db, [summary.key for summary, _ in rows])
        for summary, result in rows:
            key = bound(summary.key)
            there = db.execute(
                f"SELECT version FROM summaries WHERE {OF_KEY}",  # noqa: S608 -- constants
                key,
            ).get
            stored = None if there is None else read_version(there, Origin("", 0, 0))
            if outdated(summary, stored, entries[summary.key]):
                continue
            db.execute(
                "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?, ?)",
                (*key, str(summary.version), summary.content_hash, result),
            )
