"""What decides which event is newer, learnt from a database that had one version a document."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import apsw

from tickertape.editions import Deletes, Editions
from tickertape.stores.sqlite import values
from tickertape.versions import Origin, Version, read_version

DELETES = """
-- What topics deleted: an id in one collection, or in all ('').
CREATE TABLE deletes (
    key TEXT NOT NULL,
    topic TEXT NOT NULL,
    collection TEXT NOT NULL,
    said TEXT NOT NULL, -- `Deletes`
    updated_at REAL NOT NULL,
    PRIMARY KEY (key, topic, collection)
) WITHOUT ROWID;
CREATE INDEX deletes_expiry ON deletes (updated_at);
"""


def editions(db: apsw.Connection) -> None:
    """Make room for editions and deletes. A document's own editions are read from its version when
    it is next looked at (`ledger.editions`); what was deleted is remembered here."""
    db.execute("ALTER TABLE documents ADD COLUMN editions TEXT NOT NULL DEFAULT ''")
    db.execute("DROP INDEX documents_key; CREATE INDEX documents_key ON documents (key)")
    db.execute(DELETES)
    deleted: list[Any] = db.execute(
        'SELECT collection, key, version, topic, "partition", "offset", updated_at FROM documents'
        " WHERE deleted"
    ).fetchall()
    for collection, key, text, topic, partition, offset, updated_at in deleted:
        origin = Origin(values.unbind(topic), partition, offset)
        version = read_version(text, origin)
        if version.numbers:  # it counted on the producer's scale: by the time when it was done
            version = Version((), replace(version.stamp, ms=round(updated_at * 1000)))
        said = Deletes.of(version).dumps()
        row = (key, topic, collection, said, updated_at)
        db.execute("INSERT OR REPLACE INTO deletes VALUES (?, ?, ?, ?, ?)", row)
        db.execute(
            "UPDATE documents SET version = ?, content_version = ?, editions = ?"
            " WHERE collection = ? AND key = ?",
            (str(version), str(version), Editions({origin.topic}).dumps(), collection, key),
        )
