"""What decides which event is newer, learnt from a database that had one version a document."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import apsw

from tickertape.editions import Deletes, Edition, Editions
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
    """Make room for editions and deletes, and learn what stands: of most documents only when they
    are next looked at, from their version (`ledger.editions`)."""
    db.execute("ALTER TABLE documents ADD COLUMN editions TEXT NOT NULL DEFAULT ''")
    db.execute("DROP INDEX documents_key; CREATE INDEX documents_key ON documents (key)")
    db.execute(DELETES)
    columns = 'id, collection, key, version, content_version, topic, "partition", "offset", model'
    found: list[Any] = db.execute(
        f"SELECT {columns}, deleted, updated_at FROM documents"  # noqa: S608 -- constants
    ).fetchall()
    parts = _in_parts(db)
    for id, collection, key, text, content, topic, partition, offset, model, deleted, at in found:
        origin = Origin(values.unbind(topic), partition, offset)
        version = _timed(read_version(text, origin), at)
        if deleted:
            # It counted on the producer's scale: now by the time when it was done.
            version = Version((), version.stamp)
            row = (key, topic, collection, Deletes.of(version).dumps(), at)
            db.execute("INSERT OR REPLACE INTO deletes VALUES (?, ?, ?, ?, ?)", row)
            known = Editions({origin.topic})
        elif id in parts:
            known = Editions()
            for part in parts[id]:
                edition = Edition(version, part, max(parts[id]) + 1, values.unbind(model))
                known.add(edition, origin.topic)
        elif version.numbers:
            known = Editions()
            known.add(Edition(version), origin.topic)
        else:
            continue
        wrote = version if deleted else _timed(read_version(content, origin), at)
        db.execute(
            "UPDATE documents SET version = ?, content_version = ?, editions = ? WHERE id = ?",
            (str(version), str(wrote), known.dumps(), id),
        )


def _timed(version: Version, updated_at: float) -> Version:
    """A producer's number with the time when it was written, which it did not tell."""
    if not version.numbers:
        return version
    return replace(version, stamp=replace(version.stamp, ms=round(updated_at * 1000)))


def _in_parts(db: apsw.Connection) -> dict[int, list[int]]:
    """Documents whose vectors were made elsewhere, in parts: each begins its own text at 0."""
    found = db.execute(
        "SELECT document, json_group_array(ordinal) FROM chunks GROUP BY document"
        " HAVING max(ordinal) > 0 AND max(start) = 0"
    )
    return {document: sorted(json.loads(ordinals)) for document, ordinals in found}
