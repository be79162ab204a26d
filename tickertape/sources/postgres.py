"""A table, or a query's rows, of PostgreSQL as a source.

All rows come by a cursor on the server, in the order of the key, in one snapshot. With a cursor
column an ingest reads what that column says is new since the last one.
"""

# ruff: noqa: S608 -- names are quoted, values are bound; `where` is the configuration's
from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg
from pydantic import Field, SecretStr, field_validator, model_validator

from tickertape import values
from tickertape.errors import PermanentError, Rejected, TransientError
from tickertape.sources.base import (
    PAGE_BYTES,
    PAGE_ROWS,
    Bookmark,
    Description,
    Page,
    Row,
    SourceConfig,
    Unread,
)
from tickertape.sources.fields import labelled, rest
from tickertape.text import blank

CONNECT_SECONDS_MAX = 15.0
COMMAND_SECONDS_MAX = 300.0
CLOSE_SECONDS_MAX = 3.0
SERVER_SETTINGS = {
    "application_name": "tickertape",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "0",  # an ingest waits for what is to be embedded
}
FETCH_ROWS = 50  # at first: they may be large
TEXT_TYPES = frozenset({"text", "character varying", "character", "name", "citext"})
NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric"})
OVERLAP_NUMBERS = 1000  # of a counter: some are committed after greater ones
# Nothing that passes: what is configured is wrong, or the table has changed
FOR_EVER = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
)

ABOUT = """
SELECT format('%I.%I', n.nspname, c.relname) AS name, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1
"""
COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
KEY = """
SELECT a.attname FROM pg_index i JOIN pg_attribute a
    ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])
WHERE i.indrelid = $1 AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)
"""


class PostgresConfig(SourceConfig):
    """``url``, or its parts. ``key`` is the table's primary key where it has one."""

    url: SecretStr | None = None
    host: str = "localhost"
    port: int = Field(5432, ge=1, le=65535)
    database: str | None = None
    user: str | None = None
    password: SecretStr | None = None
    ssl: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    table: str | None = Field(None, min_length=1)  # or schema.table; a view's too
    columns: tuple[str, ...] = ()
    text_fields: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    cursor: str | None = None
    # What was committed so late that the cursor had passed it is read again.
    overlap_seconds: float = Field(300.0, ge=0)
    where: str | None = None  # a condition, as SQL has it

    @field_validator("columns", "text_fields", "key", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("url")
    @classmethod
    def _url(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("expected postgresql://user:password@host/database")
        return value

    @model_validator(mode="after")
    def _known(self) -> PostgresConfig:
        if self.url is None and self.database is None:
            raise ValueError("expected url, or database with host, user and password")
        if self.watch_seconds is not None and self.cursor is None:
            raise ValueError("watch_seconds goes with a cursor: nothing else tells what is new")
        return self


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as the server describes it, and what of it is wanted."""

    name: str  # quoted, with its schema
    types: Mapping[str, str]  # of every column, in order
    columns: tuple[str, ...]
    key: tuple[str, ...]
    text_fields: tuple[str, ...]
    comment: str | None


class PostgresSource:
    """A table or a view."""

    Config = PostgresConfig
    whole = False

    def __init__(self, name: str, config: PostgresConfig) -> None:
        self.name = name
        self.config = config
        self.follows = config.cursor is not None
        self._pool: Any = None
        self._found: _Table | None = None

    async def start(self) -> None:
        """Connect, and look at the table.

        Raises:
            TransientError: the server does not answer.
            Rejected: it lets us not in, or has no such table.
        """
        config = self.config
        given: dict[str, Any] = {
            "host": config.host,
            "port": config.port,
            "database": config.database,
            "user": config.user,
            "password": config.password.get_secret_value() if config.password else None,
        }
        if config.url is not None:
            given = {"dsn": config.url.get_secret_value()}
        if config.url is None or "sslmode=" not in config.url.get_secret_value():
            given["ssl"] = config.ssl
        try:
            async with self._said():
                self._pool = await asyncpg.create_pool(
                    **given,
                    min_size=1,
                    max_size=2,
                    timeout=CONNECT_SECONDS_MAX,
                    command_timeout=COMMAND_SECONDS_MAX,
                    server_settings=SERVER_SETTINGS,
                )
                async with self._pool.acquire() as db:
                    self._found = await self._look(db)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close. Safe to call twice."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS_MAX):
                    await pool.close()
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                pool.terminate()

    async def describe(self) -> Description:
        """What the table is."""
        table = self._table
        config = self.config
        where = f"{config.host}:{config.port}/{config.database}"
        facts = [
            ("table", table.name),
            ("key", ", ".join(table.key)),
            ("text", ", ".join(table.text_fields)),
            ("columns", ", ".join(f"{name} {table.types[name]}" for name in table.columns)),
            ("cursor", config.cursor or "none: every ingest reads all"),
        ]
        if table.comment:
            facts.append(("comment", table.comment))
        if config.url is not None:
            where = values.clean(config.url.get_secret_value().rpartition("@")[2].partition("?")[0])
        return Description("postgres", where, facts)

    async def fingerprint(self) -> str:
        """The greatest value of the cursor column."""
        if self.config.cursor is None:
            raise Rejected(f"{self.name}: watch_seconds: only a source with `cursor` is watched")
        async with self._said(), self._pool.acquire() as db:
            return str(await self._newest(db))

    async def count(self, since: Bookmark | None = None) -> int | None:
        """Ask the server; rows that come or go meanwhile are another matter."""
        async with self._said(), self._pool.acquire() as db:
            conditions, given = self._conditions(since, None)
            sql = f"SELECT count(*) FROM {self._table.name} AS t{_where(conditions)}"
            found: int = await db.fetchval(sql, *given)
            return found

    async def pages(
        self, bookmark: Bookmark | None = None, since: Bookmark | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield the rows by their key, in one snapshot."""
        async with self._said(), self._pool.acquire() as db:
            start = await self._newest(db) if bookmark is None else bookmark["start"]
            conditions, given = self._conditions(since, bookmark)
            async with db.transaction(isolation="repeatable_read", readonly=True):
                cursor = await db.cursor(self._query(conditions), *given)
                at_once = FETCH_ROWS
                while records := await cursor.fetch(at_once):
                    size = sum(len(v) for r in records for v in r if isinstance(v, str | bytes))
                    after = list(records[-1])[: len(self._table.key)]
                    yield Page(
                        [self._row(record) for record in records],
                        {"after": after, "start": start},
                    )
                    # Of large rows fewer are in memory
                    fits = PAGE_BYTES * len(records) // max(size, 1)
                    at_once = min(PAGE_ROWS, max(1, fits), 2 * at_once)

    # Statements

    @property
    def _table(self) -> _Table:
        assert self._found is not None, "start() comes first"
        return self._found

    def _query(self, conditions: Sequence[str]) -> str:
        """The rows in the key's order: the key's columns as text, then all that is wanted."""
        table = self._table
        key = ", ".join(f"t.{_quoted(name)}::text" for name in table.key)
        wanted = ", ".join(f"t.{_quoted(name)}" for name in table.columns)
        order = ", ".join(f"t.{_quoted(name)}" for name in table.key)
        return f"SELECT {key}, {wanted} FROM {table.name} AS t{_where(conditions)} ORDER BY {order}"

    def _conditions(
        self, since: Bookmark | None, bookmark: Bookmark | None
    ) -> tuple[list[str], list[str]]:
        """What rows have to be, and the texts of its parameters."""
        table, config = self._table, self.config
        conditions: list[str] = [f"({config.where})"] if config.where else []
        given: list[str] = []

        def parameter(value: str, kind: str) -> str:
            given.append(value)
            return f"${len(given)}::text::{kind}"

        newest = since["start"] if since is not None else None
        if config.cursor is not None and newest is not None:
            column, kind = f"t.{_quoted(config.cursor)}", self._cursor_type
            from_there = parameter(newest, kind)
            if kind.startswith(("timestamp", "date")):
                back = f"{from_there} - interval '{config.overlap_seconds:f} seconds'"
            elif kind in NUMBERS:
                back = f"{from_there} - {OVERLAP_NUMBERS}"
            else:
                back = from_there
            conditions.append(f"({column} >= {back} OR {column} IS NULL)")
        if bookmark is not None:
            columns = ", ".join(f"t.{_quoted(name)}" for name in table.key)
            texts = zip(table.key, bookmark["after"], strict=True)
            values_ = ", ".join(parameter(text, table.types[name]) for name, text in texts)
            conditions.append(f"({columns}) > ({values_})")
        return conditions, given

    @property
    def _cursor_type(self) -> str:
        assert self.config.cursor is not None
        return self._table.types[self.config.cursor]

    async def _newest(self, db: Any) -> str | None:
        """The greatest value of the cursor column, from which the next ingest will go on."""
        if self.config.cursor is None:
            return None
        column = _quoted(self.config.cursor)
        found: str | None = await db.fetchval(
            f"SELECT max(t.{column})::text FROM {self._table.name} AS t"
        )
        return found

    async def _look(self, db: Any) -> _Table:
        """Ask the server what the table is.

        Raises:
            Rejected: it is not there, or not as the configuration says.
        """
        config = self.config
        if config.table is None:
            raise Rejected(f"{self.name}: table: the source, or the request, must name one")
        quoted = ".".join(_quoted(part) for part in config.table.split("."))
        oid = await db.fetchval(
            "SELECT coalesce(to_regclass($1), to_regclass($2))::oid", quoted, config.table
        )
        if oid is None:
            raise Rejected(f"{self.name}: there is no table {config.table}")
        about = await db.fetchrow(ABOUT, oid)
        types: dict[str, str] = dict(await db.fetch(COLUMNS, oid))
        key = config.key or tuple(name for (name,) in await db.fetch(KEY, oid))
        if not key:
            raise Rejected(
                f"{self.name}: {config.table} has no primary key: name the columns of `key`"
            )
        text = config.text_fields
        columns = config.columns or tuple(n for n, kind in types.items() if kind != "bytea")
        named = (*columns, *text, *key, *([config.cursor] if config.cursor else []))
        if missing := [name for name in named if name not in types]:
            raise Rejected(f"{self.name}: {config.table} has no column {missing[0]}")
        columns = tuple(dict.fromkeys((*columns, *text)))
        if not text:
            text = tuple(n for n in columns if types[n] in TEXT_TYPES and n not in key) or columns
        return _Table(about["name"], types, columns, key, text, about["comment"])

    def _row(self, record: Any) -> Row | Unread:
        table = self._table
        cells = list(record)
        key, cells = cells[: len(table.key)], cells[len(table.key) :]
        if any(part is None for part in key):
            return Unread("?", f"a row without a value in {', '.join(table.key)}")
        # Of several columns each is told apart
        id = key[0] if len(key) == 1 else "/".join(part.replace("/", "%2F") for part in key)
        fields = {
            name: _read(value, table.types[name])
            for name, value in zip(table.columns, cells, strict=True)
        }
        try:
            metadata = values.tree("row", rest(fields, table.text_fields))
        except PermanentError as error:
            return Unread(id, str(error))
        text = labelled(fields, table.text_fields)
        if blank(text):
            return Unread(id, f"no text in {', '.join(table.text_fields[:5])}")
        moment = fields.get(self.config.cursor or "")
        return Row(id, text, metadata, moment.timestamp() if isinstance(moment, datetime) else None)

    @asynccontextmanager
    async def _said(self) -> AsyncIterator[None]:
        """The client's errors as ours, without what they may hold of a row."""
        try:
            yield
        except (TimeoutError, OSError, asyncpg.InterfaceError) as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise TransientError(f"{self.name}: no connection: {said}") from None
        except asyncpg.PostgresError as error:
            said = f"{self.name}: {' '.join(str(error).split())[:300]} ({error.sqlstate})"
            if isinstance(error, FOR_EVER):
                raise Rejected(said) from None
            raise TransientError(said) from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _read(value: Any, kind: str) -> Any:
    if kind in {"json", "jsonb"} and isinstance(value, str):
        return json.loads(value)
    return value
