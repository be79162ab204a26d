"""The tables, in a schema of their own, and making them.

Names of any length are looked up by digests (`texts.name`): a B-tree's row holds 2,700 bytes.
Vectors are of length 1, so that no finite number overflows; ``norm`` is the length they had.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import asyncpg

from tickertape.errors import StoreError
from tickertape.stores.pgvector import renew
from tickertape.stores.texts import name

VERSION = 3
SERVER_MIN = 13  # PostgreSQL
EXTENSION_MIN = (0, 8)  # iterative scans: an index that goes on where a filter leaves too few
VECTOR_TYPES = {False: "vector", True: "halfvec"}  # by the setting

LEAVES = """
-- Leaves of the metadata, each once: what the digests in `documents.fields` stand for.
CREATE TABLE leaves (
    key uuid PRIMARY KEY,     -- name, value
    name_key uuid NOT NULL,
    name text NOT NULL,
    value text NOT NULL
);
CREATE INDEX leaves_name ON leaves (name_key);
"""

DDL = """
CREATE TABLE about (version int NOT NULL, vectors text NOT NULL);

-- What a window locks: every id of whose documents it decides.
CREATE TABLE ids (key uuid PRIMARY KEY);

-- The heads. Versions are text (`tickertape.versions`): a producer's number may be any integer.
CREATE TABLE documents (
    key uuid PRIMARY KEY,     -- tenant, collection, id
    id_key uuid NOT NULL,     -- tenant, id
    place uuid NOT NULL,      -- tenant, collection
    tenant_key uuid NOT NULL,
    tenant text NOT NULL,
    collection text NOT NULL,
    id text NOT NULL,
    version text NOT NULL,
    content_version text NOT NULL,
    content_hash text NOT NULL,
    chunk_count int NOT NULL,
    deleted boolean NOT NULL,
    topic text NOT NULL,
    "partition" int NOT NULL,
    "offset" bigint NOT NULL,
    batch_id text,
    updated_at float8 NOT NULL,
    source text,
    model text,
    metadata text NOT NULL,
    fields uuid[] NOT NULL,   -- leaves of the metadata, name and value: what filters look up
    editions text NOT NULL    -- `Editions`, less the deletes
);
CREATE INDEX documents_id ON documents (id_key);
CREATE INDEX documents_place ON documents (place);
CREATE INDEX documents_tenant ON documents (tenant_key);
CREATE INDEX documents_fields ON documents USING gin (fields);
CREATE INDEX documents_expiry ON documents (updated_at) WHERE deleted;

{leaves}
CREATE TABLE deletes (
    key uuid PRIMARY KEY,     -- tenant, id, topic, collection ('': of all)
    id_key uuid NOT NULL,
    topic text NOT NULL,
    collection text NOT NULL,
    said text NOT NULL,       -- `Deletes`
    updated_at float8 NOT NULL
);
CREATE INDEX deletes_id ON deletes (id_key);
CREATE INDEX deletes_expiry ON deletes (updated_at);

-- A tenant's model with its precision. Vectors of two spaces are never compared.
CREATE TABLE spaces (
    number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key uuid NOT NULL UNIQUE, -- tenant, model
    tenant_key uuid NOT NULL,
    model text NOT NULL,
    dimension int NOT NULL
);

CREATE TABLE chunks (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document uuid NOT NULL,
    ordinal int NOT NULL,
    space int NOT NULL,
    uuid uuid NOT NULL,
    start int NOT NULL,
    "end" int NOT NULL,
    norm float8 NOT NULL,
    vector {vector} NOT NULL,
    words tsvector NOT NULL,
    length int NOT NULL,      -- how many words, as often as they come
    text text NOT NULL,
    UNIQUE (document, ordinal)
);
ALTER TABLE chunks ALTER vector SET STORAGE main; -- beside its row: an exact search reads all
CREATE INDEX chunks_space ON chunks (space);
CREATE INDEX chunks_words ON chunks USING gin (words);

CREATE TABLE summaries (
    key uuid PRIMARY KEY,     -- tenant, collection, id
    version text NOT NULL,
    content_hash text NOT NULL,
    result text NOT NULL
);
"""


async def create(
    db: asyncpg.Connection, schema: str, vectors: str, patient: Callable[[], None]
) -> str:
    """Create what is missing, or bring an older schema up to date, one worker at a time; return the
    schema of the extension. ``patient`` is called where that may take long.

    Raises:
        StoreError: the server or the extension is too old or not there, or the schema is another
            program's, of a newer Tickertape, or of another kind of vectors.
    """
    await _check_server(db)
    if await _version(db, schema) in MIGRATIONS:
        patient()
    lock = name("tickertape", schema).int & (2**63 - 1)
    async with db.transaction():
        await db.execute("SELECT pg_advisory_xact_lock($1)", lock)
        where = await _extension(db)
        await db.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        await db.execute(f'SET LOCAL search_path TO "{schema}", "{where}"')
        if await db.fetchval("SELECT to_regclass($1)", f'"{schema}".about') is None:
            await _make(db, schema, vectors)
        else:
            await _check(db, schema, vectors)
    return where


async def _version(db: asyncpg.Connection, schema: str) -> int | None:
    """The schema's, None where it is none of ours."""
    try:
        found: int | None = await db.fetchval(f'SELECT version FROM "{schema}".about')  # noqa: S608
    except asyncpg.PostgresError:  # it is not there, or another program's
        return None
    return found


async def _add_leaves(db: asyncpg.Connection) -> None:
    await db.execute(LEAVES)  # filled by the next step


# What brings a schema of this version to the next one, in a transaction with all the others
MIGRATIONS: Mapping[int, Callable[[asyncpg.Connection], Awaitable[None]]] = {
    1: _add_leaves,  # values of fields were digests alone
    2: renew.all_documents,  # company, period and form were not read; figures had no one form
}


async def _make(db: asyncpg.Connection, schema: str, vectors: str) -> None:
    there = "SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace"
    if await db.fetchval(there, f'"{schema}"'):
        raise StoreError(f"the schema {schema} is another program's")
    await db.execute(DDL.format(vector=vectors, leaves=LEAVES))
    await db.execute("INSERT INTO about VALUES ($1, $2)", VERSION, vectors)


async def _check(db: asyncpg.Connection, schema: str, vectors: str) -> None:
    try:
        async with db.transaction():
            row = await db.fetchrow("SELECT version, vectors FROM about")
    except asyncpg.UndefinedColumnError:
        row = None
    if row is None:
        raise StoreError(f"the schema {schema} is another program's")
    if row["version"] in MIGRATIONS:
        for step in range(row["version"], VERSION):
            await MIGRATIONS[step](db)
        await db.execute("UPDATE about SET version = $1", VERSION)
    elif row["version"] != VERSION:
        raise StoreError(
            f"the schema {schema} is of version {row['version']}, this Tickertape reads {VERSION}"
        )
    if row["vectors"] != vectors:
        raise StoreError(
            f"TICKERTAPE_PGVECTOR_HALFVEC: the schema {schema} keeps {row['vectors']}, expected "
            f"{vectors}: leave it as it was, or name another TICKERTAPE_PGVECTOR_SCHEMA"
        )


async def _check_server(db: asyncpg.Connection) -> None:
    check_server(db.get_server_version().major)
    encoding = await db.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreError(f"the database's encoding is {encoding}, expected UTF8")


def check_server(major: int) -> None:
    """Raise `StoreError` where the server is too old."""
    if major < SERVER_MIN:
        raise StoreError(f"the server is PostgreSQL {major}, expected {SERVER_MIN} or later")


def check_extension(version: str) -> None:
    """Raise `StoreError` where pgvector is too old."""
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < EXTENSION_MIN:
        least = ".".join(map(str, EXTENSION_MIN))
        raise StoreError(
            f"the extension vector is {version}, expected {least} or later: install it, then "
            "ALTER EXTENSION vector UPDATE"
        )


async def _extension(db: asyncpg.Connection) -> str:
    """Find or create the extension; return the schema that it is in."""
    found = (
        "SELECT e.extversion, n.nspname FROM pg_extension e"
        " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"
    )
    row = await db.fetchrow(found)
    if row is None:
        try:
            async with db.transaction():
                await db.execute("CREATE EXTENSION vector")
        except asyncpg.InsufficientPrivilegeError:
            raise StoreError(
                "the extension vector is not in this database, and this user may not create it: "
                "let an administrator run CREATE EXTENSION vector"
            ) from None
        except (asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFileError):
            raise StoreError("the server has no pgvector: install its package there") from None
        row = await db.fetchrow(found)
        assert row is not None
    check_extension(row["extversion"])
    return str(row["nspname"])
