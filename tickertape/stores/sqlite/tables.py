"""The tables of tickertape.db.

Narrow tables stand beside wide ones so that what is scanned is small: `chunks` (sign bits, read
whole when a worker first searches) beside `passages` (vectors and text, read by id).
"""

from __future__ import annotations

# What has a tenant, by the table's name: its columns, then its indexes.
OF_TENANTS: dict[str, tuple[str, str]] = {
    # The heads. Versions are text (`tickertape.versions`): a producer's number may be any integer.
    "documents": (
        """(
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
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
    UNIQUE (tenant, collection, key)
)""",
        """
CREATE INDEX documents_key ON documents (tenant, key);
CREATE INDEX documents_counts ON documents (deleted, tenant, collection, chunk_count);
CREATE INDEX documents_expiry ON documents (updated_at) WHERE deleted;
""",
    ),
    # What topics deleted: an id in one collection, or in all ('').
    "deletes": (
        """(
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    topic TEXT NOT NULL,
    collection TEXT NOT NULL,
    said TEXT NOT NULL, -- `Deletes`
    updated_at REAL NOT NULL,
    PRIMARY KEY (tenant, key, topic, collection)
) WITHOUT ROWID""",
        "CREATE INDEX deletes_expiry ON deletes (updated_at);",
    ),
    # A model with its precision. Vectors of two spaces are never compared.
    "spaces": (
        """(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    model TEXT NOT NULL,
    dimension INTEGER NOT NULL,
    UNIQUE (tenant, model)
)""",
        "",
    ),
    "summaries": (
        """(
    tenant TEXT NOT NULL,
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (tenant, collection, key)
)""",
        "",
    ),
}

OTHERS = """
-- Metadata leaf by leaf (see `metadata.leaves`): what filters look up.
CREATE TABLE fields (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    document INTEGER NOT NULL,
    PRIMARY KEY (name, value, document)
) WITHOUT ROWID;
CREATE INDEX fields_document ON fields (document);

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
"""

DDL = OTHERS + "".join(
    f"CREATE TABLE {name} {columns};\n{indexes}\n"
    for name, (columns, indexes) in OF_TENANTS.items()
)
