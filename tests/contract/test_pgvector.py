"""What is PostgreSQL's own: locks, faults of the server, what it was set up with, its index."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import numpy as np
import pytest

from testkit import postgres
from testkit.postgres import Postgres
from tests.contract.store_kit import (
    MODEL,
    clustered,
    delete,
    dense,
    ids,
    key,
    keyword,
    part,
    put,
    touch,
    vector_of,
    version,
)
from tickertape.documents import Applied
from tickertape.errors import (
    OutageError,
    PermanentError,
    SettingsError,
    StoreError,
    Timeout,
    TransientError,
)
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.pgvector import PgvectorStore, tables, write

APPLIED, SUPERSEDED = Applied.APPLIED, Applied.SUPERSEDED


def opened(url: str, schema: str, **more: Any) -> PgvectorStore:
    fields = {"database_url": url, "pgvector_schema": schema, **more}
    (store,) = open_stores(Settings(stores=("pgvector",), **fields))
    assert isinstance(store, PgvectorStore)
    return store


@pytest.fixture
def server() -> Postgres:
    """The server that tests share."""
    found = postgres.shared()
    if found is None:
        pytest.skip(postgres.MISSING)
    return found


@pytest.fixture
def own() -> Iterator[Postgres]:
    """A server for one test, which may end it."""
    try:
        made = Postgres()
    except ModuleNotFoundError:
        pytest.skip(postgres.MISSING)
    yield made
    made.close()


@pytest.fixture
async def store(server: Postgres) -> AsyncIterator[PgvectorStore]:
    schema = postgres.new_schema()
    made = opened(server.url, schema)
    await made.start()
    yield made
    await made.stop()
    server.run(f"DROP SCHEMA {schema} CASCADE")


async def another(store: PgvectorStore, **more: Any) -> PgvectorStore:
    """Another worker on the same schema."""
    connections = store._connections
    made = opened(connections._url, connections._schema, **more)
    await made.start()
    return made


# Two workers


@pytest.mark.parametrize("order", ["older first", "newer first"])
async def test_two_workers_at_one_document_at_one_moment_end_with_the_newest(
    store: PgvectorStore, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """The first has read what is stored, and is held before it writes; the second comes from
    another topic meanwhile."""
    other = await another(store)
    older = [put("a", "older one", "older two", at=version(1))]
    newer = [put("a", "newer", at=version(2), topic="vector-updates")]
    first, second = (older, newer) if order == "older first" else (newer, older)
    reached, go = asyncio.Event(), asyncio.Event()
    writing = write._write

    async def held(*args: Any, **more: Any) -> None:
        if not reached.is_set():
            reached.set()
            await go.wait()
        await writing(*args, **more)

    monkeypatch.setattr(write, "_write", held)
    one = asyncio.create_task(store.apply(first))
    await reached.wait()
    two = asyncio.create_task(other.apply(second))
    await waiting_for_locks(postgres.shared())
    assert not two.done()
    go.set()
    assert await one == [APPLIED]
    assert await two == [APPLIED if order == "older first" else SUPERSEDED]
    (found,) = await store.document("a")
    assert [chunk.text for chunk in found.chunks] == ["newer"]
    assert (await store.count()).chunks == 1
    assert found.head.editions.topics == {"text-messages", "vector-updates"}
    await other.stop()


async def waiting_for_locks(server: Postgres | None) -> None:
    """Return once somebody waits for a lock."""
    assert server is not None
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for _ in range(1000):
        if server.run(waits):
            return
        await asyncio.sleep(0.01)
    pytest.fail("nobody waits for a lock")


async def test_windows_over_the_same_documents_in_any_order_never_wait_for_each_other(
    store: PgvectorStore,
) -> None:
    """Puts, parts and deletes, new ids and old, of four workers: no deadlock, no error."""
    workers = [store, *[await another(store) for _ in range(3)]]

    async def work(number: int, worker: PgvectorStore) -> None:
        random = np.random.default_rng(number)
        for round in range(15):
            operations: list[Any] = []
            for n in random.permutation(40)[:25]:
                at = version(round, 4 * int(n) + number)
                kind = random.integers(0, 5)
                if kind == 0:
                    operations.append(delete(f"d{n}", at, None))
                elif kind == 1:
                    operations.append(part(f"d{n}", 0, 2, "part", at))
                else:
                    where = f"c{random.integers(0, 2)}"
                    operations.append(put(f"d{n}", "x", at=at, collection=where))
            for result in await worker.apply(operations):
                assert isinstance(result, Applied), result
            if round % 5 == 0:
                await worker.expire(0.0)

    await asyncio.gather(*(work(number, worker) for number, worker in enumerate(workers)))
    for worker in workers[1:]:
        await worker.stop()


async def test_an_id_that_expires_under_a_worker_is_locked_all_the_same(
    store: PgvectorStore,
) -> None:
    async def forget() -> None:
        for _ in range(30):
            await store.expire(2.0**40)

    async def fill() -> None:
        for n in range(30):
            results = await store.apply([delete(f"d{m}", version(2 * n)) for m in range(20)])
            assert results == [APPLIED] * 20
            results = await store.apply([put(f"d{m}", "x", at=version(2 * n + 1)) for m in (0, 1)])
            assert results == [APPLIED] * 2

    await asyncio.gather(forget(), fill())


async def test_a_lock_that_is_held_for_too_long_is_an_outage(
    store: PgvectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickertape.stores.pgvector.connections.LOCK_SECONDS", 0.2)
    other = await another(store)
    await store.apply([put("a", "x")])
    async with store._connections.use("BEGIN") as db:
        await db.execute("SELECT * FROM ids FOR UPDATE")
        with pytest.raises(OutageError) as caught:
            await other.apply([put("a", "y", at=version(2))])
    assert caught.value.dependency == "store:pgvector"
    assert await other.apply([put("a", "y", at=version(2))]) == [APPLIED]
    await other.stop()


# The server


async def test_a_server_that_crashes_is_an_outage_until_it_is_back(own: Postgres) -> None:
    store = opened(own.url, "s", store_timeout_seconds=5)
    await store.start()
    await store.apply([put("a", "acknowledged")])
    own.kill()
    with pytest.raises((OutageError, TransientError)):
        await store.apply([put("b", "x")])
    with pytest.raises(OutageError) as caught:
        await store.ping()
    assert caught.value.dependency == "store:pgvector"
    own.start()
    await store.ping()
    assert await store.apply([put("b", "x")]) == [APPLIED]
    assert ids(await keyword(store, "acknowledged")) == ["a"]
    await store.stop()


async def test_a_server_that_answers_after_the_time_out_costs_no_more_than_that(
    own: Postgres,
) -> None:
    """It is stopped in the middle, and goes on after we gave up: what it did then is done again."""
    store = opened(own.url, "s", store_timeout_seconds=1)
    await store.start()
    await store.apply([put("a", "one")])
    own.signal(signal.SIGSTOP)
    try:
        for call in (store.apply([put("a", "two", at=version(2))]), store.ping()):
            with pytest.raises((Timeout, OutageError)):
                await asyncio.wait_for(call, 10)
    finally:
        own.signal(signal.SIGCONT)
    for _ in range(2):
        assert await store.apply([put("a", "two", at=version(2))]) == [APPLIED]
    (found,) = await store.document("a")
    assert [chunk.text for chunk in found.chunks] == ["two"]
    await store.stop()


async def test_a_call_that_is_given_up_leaves_no_lock(store: PgvectorStore) -> None:
    other = await another(store)
    await store.apply([put("a", "x")])
    for _ in range(12):  # more often than the pool has connections
        call = asyncio.create_task(store.apply([put("a", "y" * 200_000, at=version(2))]))
        await asyncio.sleep(0.002)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
    assert await other.apply([put("a", "z", at=version(3))]) == [APPLIED]
    assert await store.apply([put("b", "z", at=version(3))]) == [APPLIED]
    await other.stop()


async def test_credentials_that_end_while_running_are_an_outage_without_the_password(
    own: Postgres,
) -> None:
    own.run("CREATE EXTENSION vector", "GRANT CREATE ON DATABASE postgres TO guarded")
    store = opened(own.guarded_url, "s")
    await store.start()
    await store.apply([put("a", "x")])
    own.run(
        "ALTER ROLE guarded PASSWORD 'other'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guarded'",
    )
    said = []
    for _ in range(2):
        with pytest.raises((OutageError, TransientError)) as caught:
            await store.apply([put("b", "x")])
        said.append(caught.value)
    assert isinstance(said[-1], OutageError)
    assert "password authentication failed" in str(said[-1])
    assert "secret" not in repr(said)
    own.run("ALTER ROLE guarded PASSWORD 'secret word'")
    assert await store.apply([put("b", "x")]) == [APPLIED]
    await store.stop()


# What it was set up with


async def test_a_store_that_cannot_be_opened_says_why_in_one_line(server: Postgres) -> None:
    wrong = server.guarded_url.replace("secret%20word", "hunter2")
    nobody = "postgresql://postgres@127.0.0.1:1/x"
    unknown = server.url.replace("/postgres", "/nothing")
    for url, why in ((wrong, "password"), (nobody, "Connect"), (unknown, "nothing")):
        with pytest.raises(StoreError, match=why) as caught:
            await opened(url, "s").start()
        assert "\n" not in str(caught.value)
        assert "DATABASE_URL" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


async def test_a_user_without_rights_is_told_what_is_missing(own: Postgres) -> None:
    with pytest.raises(StoreError, match="CREATE EXTENSION vector"):
        await opened(own.guarded_url, "s").start()
    own.run("CREATE EXTENSION vector")
    with pytest.raises(StoreError, match="permission denied"):
        await opened(own.guarded_url, "s").start()


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (("CREATE TABLE {}.orders (id int)",), "another program's"),
        (("CREATE TABLE {}.about (id int)",), "another program's"),
        (
            (
                "CREATE TABLE {}.about (version int, vectors text)",
                "INSERT INTO {}.about VALUES (9)",
            ),
            "of version 9",
        ),
    ],
)
async def test_a_schema_that_is_not_ours_is_left_alone(
    server: Postgres, statements: tuple[str, ...], why: str
) -> None:
    schema = postgres.new_schema()
    server.run(f"CREATE SCHEMA {schema}", *(text.format(schema) for text in statements))
    with pytest.raises(StoreError, match=why):
        await opened(server.url, schema).start()
    tables_there = f"SELECT 1 FROM pg_tables WHERE schemaname = '{schema}'"
    assert len(server.run(tables_there)) == 1
    server.run(f"DROP SCHEMA {schema} CASCADE")


def test_a_server_or_an_extension_that_is_too_old_is_refused() -> None:
    for check, old, least in (
        (tables.check_server, 12, 13),
        (tables.check_extension, "0.7.4", "0.8.0"),
        (tables.check_extension, "0.5", "1.0"),
    ):
        with pytest.raises(StoreError, match=r"expected (13|0\.8) or later"):
            check(old)  # type: ignore[operator]
        check(least)  # type: ignore[operator]


@pytest.mark.parametrize("url", [None, "mysql://user:hunter2@host/database"])
def test_the_store_needs_its_setting(url: str | None) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL: expected postgresql://") as caught:
        open_stores(Settings(stores=("pgvector",), database_url=url))  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)
    assert open_stores(Settings(database_url=url))  # type: ignore[arg-type]


async def test_a_schema_that_is_dropped_while_running_is_an_outage(server: Postgres) -> None:
    schema = postgres.new_schema()
    store = opened(server.url, schema)
    await store.start()
    server.run(f"DROP SCHEMA {schema} CASCADE")
    for call in (store.apply([put("a", "x")]), store.ping()):
        with pytest.raises(OutageError):
            await call
    await store.stop()


# Vectors


async def test_half_precision_is_a_choice_for_good(server: Postgres) -> None:
    schema = postgres.new_schema()
    store = opened(server.url, schema, pgvector_halfvec=True)
    await store.start()
    vectors = clustered(500, 10, 64)
    await store.apply([put(f"d{n}", f"t{n}", vectors=[vectors[n]]) for n in range(500)])
    await store.apply([put("long", "x", vectors=[vectors[0] * 1e30])])
    for indexed in (False, True):
        if indexed:
            await store.build_index(lambda _: None)
        hits = await dense(store, vectors[7], 5)
        assert hits[0].key == key("d7")
        assert hits[0].score == pytest.approx(1, abs=2e-3)
    (found,) = await store.document("d7")
    np.testing.assert_allclose(found.chunks[0].vector, vectors[7], atol=1e-3)
    await store.stop()
    with pytest.raises(StoreError, match=r"TICKERTAPE_PGVECTOR_HALFVEC.*halfvec"):
        await opened(server.url, schema).start()
    server.run(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.parametrize(
    "wrong",
    [
        put("wrong", "x", vectors=[np.ones(16_001, np.float32)], model="wide"),
        part("wrong", 2**40, 2**41, "x", version(1)),
        put("wrong", "x", vectors=[np.ones(8, np.float32)]),
    ],
    ids=["too many numbers", "a part of no such number", "another size"],
)
async def test_what_the_server_cannot_hold_fails_alone(store: PgvectorStore, wrong: Any) -> None:
    results = await store.apply([put("a", "x"), wrong, put("b", "x")])
    assert [results[0], results[2]] == [APPLIED, APPLIED]
    assert isinstance(results[1], PermanentError)
    assert (await store.count()).documents == 2
    assert await store.document("wrong") == []


async def test_a_long_text_of_long_words_is_found_by_its_first(store: PgvectorStore) -> None:
    words = " ".join(f"w{n}" for n in range(150_000))
    long = "x" * 5000
    assert await store.apply([put("a", f"{long} {words}"), put("b", "y" * 5000)]) == [APPLIED] * 2
    assert ids(await keyword(store, "w7")) == ["a"]
    assert ids(await keyword(store, long)) == ["a"]
    assert ids(await keyword(store, "x" * 4999)) == []


async def test_many_fields_are_all_filters(store: PgvectorStore) -> None:
    metadata = {f"field{n}": n for n in range(5000)}
    await store.apply([put("a", "x", metadata=metadata), put("b", "x")])
    assert ids(await dense(store, vector_of("x"), filters={"field4999": 4999})) == ["a"]


# The index


async def test_an_index_is_built_by_command_and_searches_stay_right(store: PgvectorStore) -> None:
    rows, size = 4000, 32
    vectors = clustered(rows, 40, size)
    puts = [
        put(f"d{n}", "x", vectors=[vectors[n]], metadata={"rare": n % 1000}) for n in range(rows)
    ]
    for low in range(0, rows, 1000):
        await store.apply(puts[low : low + 1000])
    told: list[str] = []
    assert await plan(store) == []
    await store.build_index(told.append)
    await store.build_index(told.append)
    assert told == [
        f"{MODEL}, {size} numbers: an index was built",
        f"{MODEL}, {size} numbers: there is an index",
    ]
    assert await plan(store) == ["chunks_hnsw_1"]
    recalls = []
    for vector in clustered(20, 40, size, seed=0):
        hits = await dense(store, vector, 10)
        best = set(np.argsort(-(vectors @ vector))[:10].tolist())
        recalls.append(len({int(hit.key.id[1:]) for hit in hits} & best) / 10)
    assert np.mean(recalls) >= 0.95
    far = -vectors[3]
    hits = await dense(store, far, 4, filters={"rare": 3})
    assert {hit.key.id for hit in hits} == {"d3", "d1003", "d2003", "d3003"}
    await store.apply([put("new", "x", vectors=[far]), delete("d1003", version(5))])
    assert ids(await dense(store, far, 1)) == ["new"]
    assert len(await dense(store, far, 4, filters={"rare": 3})) == 3


async def plan(store: PgvectorStore) -> list[str]:
    """The index by vectors that there is."""
    async with store._connections.use() as db:
        rows = await db.fetch(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
            " AND indexname LIKE 'chunks\\_hnsw\\_%'"
        )
    return [row["indexname"] for row in rows]


async def test_an_index_that_was_left_half_built_is_built_anew(store: PgvectorStore) -> None:
    await store.apply([put("a", "x"), touch("a", version(2))])
    told: list[str] = []
    await store.build_index(told.append)
    async with store._connections.use() as db:
        await db.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'chunks_hnsw_1'::regclass"
        )
    await store.build_index(told.append)
    assert [line.rpartition(": ")[2] for line in told] == ["an index was built"] * 2
    assert ids(await dense(store, vector_of("x"))) == ["a"]


async def test_a_schema_of_version_1_is_brought_up_to_date(server: Postgres) -> None:
    schema = postgres.new_schema()
    store = opened(server.url, schema)
    await store.start()
    await store.apply([put("a", "revenue of ON rose", metadata={"published": "2024-03-05"})])
    await store.stop()
    server.run(f"DROP TABLE {schema}.leaves")
    server.run(f"UPDATE {schema}.about SET version = 1")
    server.run(f"UPDATE {schema}.documents SET fields = '{{}}'")
    server.run(f"UPDATE {schema}.chunks SET words = ''::tsvector, length = 1")
    for worker in (store, opened(server.url, schema)):  # the second finds it done
        await worker.start()
        found = await keyword(worker, "revenue", filters={"published": {"gte": "2024"}})
        assert ids(found) == ids(await dense(worker, vector_of("x"))) == ["a"]
        assert "published" in await worker.field_names()
        await worker.stop()
    server.run(f"DROP SCHEMA {schema} CASCADE")
