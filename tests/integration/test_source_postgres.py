"""A real PostgreSQL table as a source: introspection, pages, what is new, what is wrong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from testkit import postgres
from testkit.postgres import Postgres
from tickertape.errors import PermanentError, SettingsError, TransientError
from tickertape.settings import Settings
from tickertape.sources import Source, Wanted, of_request, open_source
from tickertape.sources.base import Bookmark, Page, Row, Unread

pytestmark = pytest.mark.skipif(postgres.shared() is None, reason=postgres.MISSING)


@pytest.fixture
def server() -> Postgres:
    found = postgres.shared()
    assert found is not None
    return found


@pytest.fixture
async def schema(server: Postgres) -> AsyncIterator[str]:
    name = postgres.new_schema()
    server.run(f"CREATE SCHEMA {name}")
    yield name
    server.run(f"DROP SCHEMA {name} CASCADE")


def settings(server: Postgres, table: str | None, **config: Any) -> Settings:
    tree = {"kind": "postgres", "url": server.url, "table": table, **config}
    if table is None:
        del tree["table"]
    return Settings(_env_file=None, sources={"desk": tree})  # type: ignore[call-arg]


def source(server: Postgres, table: str, **config: Any) -> Source:
    return open_source(settings(server, table, **config), "desk")


async def pages(made: Source, *marks: Bookmark | None) -> list[Page]:
    await made.start()
    try:
        return [page async for page in made.pages(*marks)]
    finally:
        await made.stop()


async def rows(made: Source, *marks: Bookmark | None) -> list[Row | Unread]:
    return [row for page in await pages(made, *marks) for row in page.rows]


async def test_a_table_is_understood_as_it_is(server: Postgres, schema: str):
    server.run(
        f"""CREATE TABLE {schema}."Notes" (id bigint PRIMARY KEY, title text, body text,
            price numeric(12, 4), at timestamptz, tags text[], extra jsonb, blob bytea)""",
        f"""COMMENT ON TABLE {schema}."Notes" IS 'what the desk wrote'""",
        f"""INSERT INTO {schema}."Notes" VALUES (7, 'Acme', 'Revenue rose.', 12.3400,
            '2024-01-31T10:00:00+02', '{{a,b}}', '{{"x": [1, null]}}', '\\x00ff'),
            (8, NULL, '  ', NULL, 'infinity', NULL, NULL, NULL)""",
    )
    made = source(server, f"{schema}.Notes")
    first, second = await rows(made)
    assert isinstance(first, Row)
    assert (first.id, first.text) == ("7", "title: Acme\nbody: Revenue rose.")
    assert first.metadata == {
        "id": 7,
        "price": 12.34,
        "at": "2024-01-31T08:00:00+00:00",
        "tags": ["a", "b"],
        "extra": {"x": [1, None]},
    }
    assert second == Unread("8", "no text in title, body")
    await made.start()
    described = dict((await made.describe()).facts)
    assert await made.count() == 2
    await made.stop()
    assert described["key"] == "id"
    assert described["comment"] == "what the desk wrote"
    assert described["cursor"] == "none: every ingest reads all"
    chosen = {"columns": ["title"], "text_fields": ["body", "price"], "where": "id < 8"}
    (only,) = await rows(source(server, f"{schema}.Notes", **chosen))
    assert isinstance(only, Row)
    assert (only.text, only.metadata) == ("body: Revenue rose.\nprice: 12.34", {"title": "Acme"})


async def test_every_row_comes_once_from_any_bookmark_in_the_order_of_a_wide_key(
    server: Postgres, schema: str
):
    server.run(
        f"""CREATE TABLE {schema}.t (day date, "the id" text, note text,
            PRIMARY KEY (day, "the id"))""",
        f"""INSERT INTO {schema}.t SELECT date '2024-01-01' + n % 7, 'a/' || n, 'note ' || n
            FROM generate_series(1, 1200) AS n""",
    )
    made = source(server, f"{schema}.t")
    whole = await pages(made)
    ids = [row.id for page in whole for row in page.rows]
    assert (len(whole) > 3, len(ids), len(set(ids))) == (True, 1200, 1200)
    assert ids[0] == "2024-01-01/a%2F1001"
    seen: list[str] = []
    for page in whole:
        seen += [row.id for row in page.rows]
        assert seen + [row.id for row in await rows(made, page.bookmark)] == ids


async def test_of_large_rows_few_are_in_memory(server: Postgres, schema: str):
    server.run(
        f"CREATE TABLE {schema}.t (id int PRIMARY KEY, note text)",
        f"INSERT INTO {schema}.t SELECT n, repeat('x', 300000) FROM generate_series(1, 120) n",
    )
    counts = [page.count for page in await pages(source(server, f"{schema}.t"))]
    assert sum(counts) == 120
    assert max(counts[1:]) < 20, counts


@pytest.mark.parametrize("kind", ["timestamptz", "bigint"])
async def test_what_is_new_since_the_last_run_is_read_and_what_came_late(
    server: Postgres, schema: str, kind: str
):
    def value(n: int) -> str:
        moment = f"timestamptz '2024-01-01' + interval '{n} hours'"
        return moment if kind == "timestamptz" else f"{n}::bigint * 2000"

    def put(*numbers: int) -> None:
        for n in numbers:
            server.run(
                f"INSERT INTO {schema}.t VALUES ({n}, 'note {n}', {value(n)}) "
                f"ON CONFLICT (id) DO UPDATE SET note = 'again', at = {value(n + 100)}"
            )

    server.run(f"CREATE TABLE {schema}.t (id int PRIMARY KEY, note text, at {kind})")
    put(1, 2, 3)
    made = source(server, f"{schema}.t", cursor="at")
    assert made.follows
    whole = await pages(made)
    last = whole[-1].bookmark
    put(9, 1)
    late = f"INSERT INTO {schema}.t VALUES (20, 'late', {value(3)}), (21, 'never', NULL)"
    server.run(late)
    found = await rows(made, None, last)
    assert [row.id for row in found] == ["1", "3", "9", "20", "21"]
    await made.start()
    assert await made.count(last) == 5
    await made.stop()


async def test_a_page_that_is_read_is_of_one_snapshot(server: Postgres, schema: str):
    server.run(
        f"CREATE TABLE {schema}.t (id int PRIMARY KEY, note text)",
        f"INSERT INTO {schema}.t SELECT n, 'note' FROM generate_series(1, 400) AS n",
    )
    made = source(server, f"{schema}.t")
    await made.start()
    found: list[str] = []
    async for page in made.pages():
        if not found:
            await asyncio.to_thread(
                server.run,
                f"DELETE FROM {schema}.t WHERE id > 300",
                f"INSERT INTO {schema}.t VALUES (401, 'new')",
            )
        found += [row.id for row in page.rows]
    await made.stop()
    assert found == [str(n) for n in range(1, 401)]
    assert len(await rows(made)) == 301


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"table": "no_such"}, "desk: there is no table no_such"),
        ({"columns": ["x"]}, "has no column x"),
        ({"cursor": "x"}, "has no column x"),
        ({"key": ["x"]}, "has no column x"),
        ({"table": "keyless"}, "keyless has no primary key: name the columns of `key`"),
        ({"where": "id <"}, "syntax error"),
        ({"guarded": True}, "permission denied"),
        ({"url": "postgresql://guarded:wrong@127.0.0.1:{port}/postgres"}, "password"),
        ({"url": "postgresql://postgres@127.0.0.1:{port}/nothing"}, "does not exist"),
    ],
)
async def test_what_is_configured_wrongly_is_wrong_for_ever_and_says_no_password(
    server: Postgres, schema: str, config: dict[str, Any], said: str
):
    server.run(
        f"CREATE TABLE {schema}.t (id int PRIMARY KEY, note text)",
        f"CREATE TABLE {schema}.keyless (note text)",
    )
    config = dict(config)
    table = config.pop("table", "t")
    if config.pop("guarded", False):
        server.run(f"GRANT USAGE ON SCHEMA {schema} TO guarded")
        config["url"] = server.guarded_url
    if "url" in config:
        config["url"] = config["url"].replace("{port}", str(server.port))
    name = table if table == "no_such" else f"{schema}.{table}"
    with pytest.raises(PermanentError, match=said) as error:
        await rows(source(server, name, **config))
    assert "wrong@" not in str(error.value)
    assert "secret" not in str(error.value)


async def test_a_server_that_is_not_there_and_a_cut_connection_may_be_tried_again(
    server: Postgres, schema: str
):
    with pytest.raises(TransientError, match="desk: no connection"):
        await rows(source(server, "t", url="postgresql://a:b@127.0.0.1:1/x"))
    server.run(
        f"CREATE TABLE {schema}.t (id int PRIMARY KEY, note text)",
        f"INSERT INTO {schema}.t SELECT n, 'note' FROM generate_series(1, 400) AS n",
    )
    made = source(server, f"{schema}.t")
    await made.start()
    reading = made.pages()
    first = await anext(reading)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
    await asyncio.to_thread(server.run, f"{kill}'tickertape'")
    with pytest.raises(TransientError):
        async for _ in reading:
            pass
    left = [row.id async for page in made.pages(first.bookmark) for row in page.rows]
    await made.stop()
    assert [row.id for row in first.rows] + left == [str(n) for n in range(1, 401)]


async def test_a_key_may_be_named_for_a_view_and_a_row_without_one_says_so(
    server: Postgres, schema: str
):
    server.run(
        f"CREATE VIEW {schema}.v AS SELECT * FROM (VALUES (1, 'a'), (NULL, 'b')) t(id, note)"
    )
    one, none = await rows(source(server, f"{schema}.v", key="id"))
    assert (one.id, none) == ("1", Unread("?", "a row without a value in id"))


async def test_a_database_is_a_source_whose_table_the_request_names(server: Postgres, schema: str):
    server.run(
        f"CREATE TABLE {schema}.t (id int PRIMARY KEY, a text, b text)",
        f"INSERT INTO {schema}.t VALUES (1, 'one', 'two')",
    )
    configured = settings(server, None)
    asked = Wanted("desk", "postgres", {}, f"{schema}.t", ("a",), ("b",))
    made = of_request(configured, asked)
    (row,) = await rows(made)
    assert isinstance(row, Row)
    assert (made.name, row.text, row.metadata) == (f"desk.{schema}.t", "two", {"a": "one"})
    with pytest.raises(PermanentError, match="table_or_collection: expected a table"):
        of_request(configured, Wanted("desk", None, {}, None))


async def test_a_request_brings_its_own_credentials_only_where_that_is_let_in(
    server: Postgres, schema: str
):
    server.run(
        f"CREATE TABLE {schema}.t (id int PRIMARY KEY, note text)",
        f"INSERT INTO {schema}.t VALUES (1, 'one')",
    )
    place = {"host": "127.0.0.1", "port": server.port, "database": "postgres", "user": "postgres"}
    asked = Wanted(None, "postgresql", {**place, "password": "x"}, f"{schema}.t", (), ("note",))
    with pytest.raises(PermanentError, match=r"sources\.allow_inline"):
        of_request(settings(server, "t"), asked)
    open_to_all = Settings(_env_file=None, sources={"allow_inline": True})  # type: ignore[call-arg]
    (row,) = await rows(of_request(open_to_all, asked))
    assert isinstance(row, Row)
    assert row.text == "one"
    with pytest.raises(PermanentError, match=r"connection_params\.prt: expected kind,"):
        of_request(open_to_all, Wanted(None, "pg", {"prt": 1, "password": "x"}, "t"))


def test_the_configuration_names_what_is_missing():
    tree = {"desk": {"kind": "postgres", "table": "t"}}
    configured = Settings(_env_file=None, sources=tree)  # type: ignore[call-arg]
    with pytest.raises(SettingsError, match=r"sources\.desk\.config: expected url, or database"):
        open_source(configured, "desk")
    assert os.environ.get("PGPASSWORD") is None
