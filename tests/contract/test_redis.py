"""What is Redis's own: guards, faults of the server, what it was set up with, its index."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testkit import redis as server_of
from testkit.redis import Redis
from tests.contract.store_kit import (
    MODEL,
    clustered,
    delete,
    dense,
    ids,
    keyword,
    part,
    put,
    vector_of,
    version,
)
from tickertape.documents import Applied
from tickertape.errors import OutageError, PermanentError, SettingsError, StoreError, Timeout
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.base import Mode, Query
from tickertape.stores.redis import RedisStore, indexes, query
from tickertape.stores.redis.connections import Connections

APPLIED, SUPERSEDED = Applied.APPLIED, Applied.SUPERSEDED


def opened(url: str, prefix: str = "desk", **more: Any) -> RedisStore:
    fields = {"redis_url": url, "redis_prefix": prefix, **more}
    (store,) = open_stores(Settings(stores=("redis",), **fields))
    assert isinstance(store, RedisStore)
    return store


@pytest.fixture
def server() -> Redis:
    """The server that tests share."""
    found = server_of.shared()
    if found is None:
        pytest.skip(server_of.MISSING)
    return found


def started(*options: str, **more: Any) -> Redis:
    try:
        return Redis(*options, **more)
    except ModuleNotFoundError:
        pytest.skip(server_of.MISSING)


@pytest.fixture
def own() -> Iterator[Redis]:
    """A server for one test, which may end it."""
    made = started("--appendfsync", "always")
    yield made
    made.close()


@pytest.fixture
async def store(server: Redis) -> AsyncIterator[RedisStore]:
    prefix = server_of.new_prefix()
    made = opened(server.url, prefix)
    await made.start()
    yield made
    await made.stop()
    server_of.drop(server, prefix)


async def another(store: RedisStore, **more: Any) -> RedisStore:
    """Another worker under the same prefix."""
    connections = store._connections
    made = opened(connections._url, connections.keys.prefix, **more)
    await made.start()
    return made


async def ready(store: RedisStore) -> None:
    """Return once the server has looked through its indexes, as it does after a start."""
    async with asyncio.timeout(60):
        while True:
            try:
                await store.ping()
                return
            except OutageError:
                await asyncio.sleep(0.02)


# Two workers


@pytest.mark.parametrize("order", ["older first", "newer first"])
async def test_two_workers_at_one_document_at_one_moment_end_with_the_newest(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """The first has read what is stored, and is held before it writes; the second comes from
    another topic meanwhile, and is done before it."""
    other = await another(store)
    older = [put("a", "older one", "older two", at=version(1))]
    newer = [put("a", "newer", at=version(2), topic="vector-updates")]
    first, second = (older, newer) if order == "older first" else (newer, older)
    reached, go = asyncio.Event(), asyncio.Event()
    applying, done = Connections.apply, []

    async def held(*args: Any) -> bool:
        if not reached.is_set():
            reached.set()
            await go.wait()
        done.append(await applying(*args))
        return done[-1]

    monkeypatch.setattr(Connections, "apply", held)
    one = asyncio.create_task(store.apply(first))
    await reached.wait()
    assert await other.apply(second) == [APPLIED]
    go.set()
    assert await one == [SUPERSEDED if order == "older first" else APPLIED]
    assert done == [True, False, True], "the first was refused, and done again"
    (found,) = await store.document("a")
    assert [chunk.text for chunk in found.chunks] == ["newer"]
    assert (await store.count()).chunks == 1
    assert found.head.editions.topics == {"text-messages", "vector-updates"}
    await other.stop()


async def test_windows_over_the_same_documents_in_any_order_all_end(store: RedisStore) -> None:
    """Puts, parts and deletes, new ids and old, of four workers, while others are forgotten."""
    workers = [store, *[await another(store) for _ in range(3)]]

    async def work(number: int, worker: RedisStore) -> None:
        random = np.random.default_rng(number)
        for round in range(10):
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
            await worker.expire(2.0**40 if round % 5 == 0 else 0.0)

    await asyncio.gather(*(work(number, worker) for number, worker in enumerate(workers)))
    counts = await store.count()
    documents = [each for n in range(40) for each in await store.document(f"d{n}")]
    living = [each for each in documents if not each.head.deleted]
    assert counts.documents == len(living)
    assert counts.chunks == sum(len(each.chunks) for each in living)
    assert all(len(each.chunks) == each.head.chunk_count for each in documents)
    for worker in workers[1:]:
        await worker.stop()


async def test_a_models_vectors_are_counted_whatever_comes_and_goes(store: RedisStore) -> None:
    """So that the model may have another size once there are none; and not before."""
    eight = [np.ones(8, np.float32)]
    await store.apply([put("a", "x", "y"), part("b", 0, 1, "x", version(1)), put("c", "z")])
    await store.apply([put("a", "x", at=version(2)), delete("c", version(2))])
    (wrong,) = await store.apply([put("n", "n", vectors=eight)])
    assert isinstance(wrong, PermanentError)
    results = await store.apply(
        [delete("a", version(3)), delete("b", version(3)), put("n", "n", vectors=eight)]
    )
    assert results == [APPLIED] * 3
    assert ids(await dense(store, eight[0])) == ["n"]
    (wrong,) = await store.apply([put("o", "o")])
    assert isinstance(wrong, PermanentError)
    assert await store.apply([put("n", "sixteen", at=version(9))]) == [APPLIED]
    assert ids(await dense(store, vector_of("sixteen"))) == ["n"]


# The server


async def test_a_server_that_is_killed_has_all_that_was_acknowledged(own: Redis) -> None:
    """In the middle of writes of many chunks; each document is whole, and found at once."""
    store = opened(own.url, store_timeout_seconds=5)
    await store.start()
    acknowledged = 0

    async def write() -> None:
        nonlocal acknowledged
        for n in range(1, 10_000):
            texts = [f"v{n} c{chunk}" for chunk in range(12)]
            puts = [put(f"k{m}", *texts, at=version(n)) for m in range(8)]
            assert await store.apply(puts) == [APPLIED] * 8
            acknowledged = n

    for after in (3, 20):
        writing = asyncio.create_task(write())
        while acknowledged < after:  # noqa: ASYNC110 -- a number to be reached
            await asyncio.sleep(0.001)
        own.kill()
        with pytest.raises(OutageError):
            await writing
        with pytest.raises(OutageError) as caught:
            await store.ping()
        assert caught.value.dependency == "store:redis"
        own.start()
        await ready(store)
        for m in range(8):
            (found,) = await store.document(f"k{m}")
            number = found.head.version.stamp.ms
            assert number in (acknowledged, acknowledged + 1)
            assert [c.text for c in found.chunks] == [f"v{number} c{c}" for c in range(12)]
        assert len(await keyword(store, f"v{number}", 1000)) == 8 * 12
        assert len(await dense(store, vector_of("x"), 1000)) == 8 * 12
        acknowledged = 0
        await store.apply([delete(f"k{m}", version(20_000)) for m in range(8)])
        await store.expire(2.0**40)
    await store.stop()


async def test_a_server_that_answers_after_the_time_out_costs_no_more_than_that(
    own: Redis,
) -> None:
    """It is stopped in the middle, and goes on after we gave up: what it did then is done again."""
    store = opened(own.url, store_timeout_seconds=1)
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


async def test_a_call_that_is_given_up_leaves_the_store_to_others(store: RedisStore) -> None:
    await store.apply([put("a", "x")])
    for _ in range(12):  # more often than the pool has connections
        call = asyncio.create_task(store.apply([put("a", "y" * 200_000, at=version(2))]))
        await asyncio.sleep(0.002)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
    assert await store.apply([put("a", "z", at=version(3))]) == [APPLIED]
    assert ids(await keyword(store, "z")) == ["a"]


async def test_credentials_that_end_while_running_are_an_outage_without_the_password(
    own: Redis,
) -> None:
    own.guard()
    store = opened(own.guarded_url)
    await store.start()
    await store.apply([put("a", "x")])
    own.guard("other")
    for _ in range(2):
        with pytest.raises(OutageError) as caught:
            await store.apply([put("b", "x")])
        assert "secret" not in repr(caught.value)
    assert "invalid username-password pair" in str(caught.value)
    own.guard()
    assert await store.apply([put("b", "x")]) == [APPLIED]
    own.guard("secret word", "~*", "+@read", "+@connection", "+eval", "+evalsha")
    with pytest.raises(OutageError, match="no permissions"):
        await store.apply([put("c", "x")])
    own.guard()
    assert (await store.count()).documents == 2
    await store.stop()


async def test_a_server_without_room_is_an_outage_and_nothing_is_half_written(own: Redis) -> None:
    store = opened(own.url)
    await store.start()
    await store.apply([put("a", "x")])
    own.run("CONFIG", "SET", "maxmemory", "1mb")
    for call in (store.apply([put(f"d{n}", "y" * 1000) for n in range(50)]),):
        with pytest.raises(OutageError, match="maxmemory"):
            await call
    assert (await store.count()).documents == 1
    own.run("CONFIG", "SET", "maxmemory", "0")
    assert await store.apply([put("b", "x")]) == [APPLIED]
    await store.stop()


async def test_a_server_that_became_a_replica_is_an_outage(own: Redis) -> None:
    store = opened(own.url)
    await store.start()
    own.run("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(OutageError):
        await store.apply([put("a", "x")])
    own.run("REPLICAOF", "NO", "ONE")
    assert await store.apply([put("a", "x")]) == [APPLIED]
    await store.stop()


async def test_what_is_removed_while_running_is_an_outage_and_nothing_is_written_beside_it(
    own: Redis,
) -> None:
    store = opened(own.url)
    await store.start()
    await store.apply([put("a", "x")])
    own.run("FT.DROPINDEX", "desk:words")
    for asked in (keyword(store, "x"), store.ping()):
        with pytest.raises(OutageError):
            await asked
    own.run("FLUSHALL")
    for call in (store.apply([put("b", "x")]), store.ping()):
        with pytest.raises(OutageError, match="is gone"):
            await call
    assert own.run("KEYS", "desk:d:*") == []
    await store.stop()


async def test_an_index_that_was_removed_is_made_again_at_the_next_start(own: Redis) -> None:
    store = opened(own.url)
    await store.start()
    await store.apply([put(f"d{n}", "word") for n in range(200)])
    await store.stop()
    for index in own.run("FT._LIST"):
        own.run("FT.DROPINDEX", index)
    await store.start()
    with contextlib.suppress(OutageError):  # or it is built already
        assert len(await dense(store, vector_of("word"), 999)) == 200
    await ready(store)
    assert len(await dense(store, vector_of("word"), 999)) == 200
    assert len(await keyword(store, "word", 999)) == 200
    assert (await store.count()).documents == 200
    await store.stop()


# What it was set up with


async def test_a_store_that_cannot_be_opened_says_why_in_one_line(own: Redis) -> None:
    own.guard()
    wrong = own.guarded_url.replace("secret%20word", "hunter2")
    for url, why in (
        (wrong, "invalid username-password pair"),
        ("redis://:hunter2@127.0.0.1:1", "Connect"),
        (f"{own.url}/1", "db != 0"),
        ("redis://127.0.0.1:port", "port"),
    ):
        with pytest.raises(StoreError, match=why) as caught:
            await opened(url).start()
        assert "\n" not in str(caught.value)
        assert "REDIS_URL" in str(caught.value)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


async def test_a_user_with_the_rights_that_the_page_names_can_do_all_of_it(own: Redis) -> None:
    own.guard("secret word", "~desk:*", "+@all", "-@dangerous", "+info")
    store = opened(own.guarded_url)
    await store.start()
    assert await store.apply([put("a", "x"), delete("b", version(2))]) == [APPLIED] * 2
    assert ids(await dense(store, vector_of("x"))) == ids(await keyword(store, "x")) == ["a"]
    assert len(await store.document("a")) == (await store.count()).documents == 1
    assert await store.expire(2.0**40) == 0
    await store.ping()
    await store.stop()


async def test_a_server_without_search_is_told_so() -> None:
    bare = started(search=False)
    try:
        with pytest.raises(StoreError, match="no search: take Redis 8, or load"):
            await opened(bare.url).start()
    finally:
        bare.close()


async def test_a_server_that_throws_keys_away_is_refused(own: Redis) -> None:
    own.run("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    own.run("CONFIG", "SET", "maxmemory", "1gb")
    with pytest.raises(StoreError, match="allkeys-lru, expected noeviction"):
        await opened(own.url).start()
    own.run("CONFIG", "SET", "maxmemory", "0")
    store = opened(own.url)
    await store.start()
    await store.stop()


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        (["SET desk:about x"], "another program's"),
        (["HSET desk:about version 9"], "of version 9"),
        (["FT.CREATE desk:words PREFIX 1 x SCHEMA words TEXT"], "another program's"),
        (
            [
                "HSET desk:about version 1",
                "FT.CREATE desk:words PREFIX 1 x SCHEMA words NUMERIC",
            ],
            "another program's",
        ),
    ],
)
async def test_what_is_not_ours_is_left_alone(own: Redis, commands: list[str], why: str) -> None:
    for command in commands:
        own.run(*command.split())
    keys = sorted(own.run("KEYS", "*"))
    with pytest.raises(StoreError, match=why):
        await opened(own.url).start()
    assert sorted(own.run("KEYS", "*")) == keys


def test_a_search_that_is_too_old_is_refused() -> None:
    with pytest.raises(StoreError, match=r"2\.8, expected 2\.10 or later"):
        indexes.check_search([{"name": "search", "ver": 20809}])
    for ver in (21005, 80200):
        indexes.check_search([{"name": "search", "ver": ver}])


@pytest.mark.parametrize("url", [None, "mysql://user:hunter2@host/database"])
def test_the_store_needs_its_setting(url: str | None) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL: expected redis://") as caught:
        open_stores(Settings(stores=("redis",), redis_url=url))  # type: ignore[arg-type]
    assert "hunter2" not in str(caught.value)
    assert open_stores(Settings(redis_url=url))  # type: ignore[arg-type]


async def test_tls_is_used_where_the_url_says_so(own: Redis, tmp_path: Path) -> None:
    """The server of the package has no TLS: what ends it stands before it."""
    certificate, private = tmp_path / "certificate", tmp_path / "key"
    if (program := shutil.which("openssl")) is None:
        pytest.skip("openssl, which makes a certificate, is not here: apt-get install openssl")
    made = await asyncio.create_subprocess_exec(
        *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", private, "-out", certificate),
        stderr=subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, private)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain_reader, plain_writer = await asyncio.open_connection("127.0.0.1", own.port)
        await asyncio.gather(pump(reader, plain_writer), pump(plain_reader, writer))

    listening = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    with pytest.raises(StoreError, match="certificate"):
        await opened(f"rediss://127.0.0.1:{port}").start()
    store = opened(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}")
    await store.start()
    assert await store.apply([put("a", "x")]) == [APPLIED]
    await store.stop()
    listening.close()


# Vectors and words


@pytest.mark.parametrize(
    "wrong",
    [
        put("wrong", "x", vectors=[np.ones(32_769, np.float32)], model="wide"),
        put("wrong", "x", vectors=[np.ones(8, np.float32)]),
    ],
    ids=["too many numbers", "another size"],
)
async def test_what_the_server_would_not_index_fails_alone(
    store: RedisStore, server: Redis, wrong: Any
) -> None:
    results = await store.apply([put("a", "x"), wrong, put("b", "x")])
    assert [results[0], results[2]] == [APPLIED, APPLIED]
    assert isinstance(results[1], PermanentError)
    assert (await store.count()).documents == 2
    assert await store.document("wrong") == []


async def test_a_long_text_of_long_words_is_found_by_its_first_and_last(store: RedisStore) -> None:
    words = " ".join(f"w{n}" for n in range(150_000))
    long = "x" * 5000
    assert await store.apply([put("a", f"{long} {words}"), put("b", "y" * 5000)]) == [APPLIED] * 2
    assert ids(await keyword(store, "w7")) == ids(await keyword(store, "w149999")) == ["a"]
    assert ids(await keyword(store, long)) == ["a"]
    assert ids(await keyword(store, "x" * 4999)) == []


async def test_a_score_is_the_sum_over_all_words_whatever_else_is_asked(store: RedisStore) -> None:
    """RediSearch leaves words out where another condition leads, and adds that condition's score;
    so what is asked of a document changes which are found, and no score."""
    random = np.random.default_rng(1)
    texts = [" ".join(f"q{n}q" for n in random.zipf(1.3, 60) % 300) for _ in range(600)]
    puts = [put(f"d{n}", text, metadata={"third": n % 3}) for n, text in enumerate(texts)]
    await store.apply([*puts, put("hers", "other", tenant="hers")])
    for asked in ("q1q q7q q50q", "q3q q2q q250q q8q", " ".join(f"q{n}q" for n in range(30))):
        whole = {hit.key: hit.score for hit in await keyword(store, asked, 999)}
        third = await keyword(store, asked, 999, filters={"third": 1}, collection="news")
        assert {hit.key for hit in third} == {k for k in whole if int(k.id[1:]) % 3 == 1}
        for hit in third:
            assert hit.score == pytest.approx(whole[hit.key])
        few = [hit.key for hit in await keyword(store, asked, 5, filters={"third": 1})]
        assert few == [hit.key for hit in third[:5]]


async def test_many_fields_are_all_filters(store: RedisStore) -> None:
    metadata = {f"field{n}": n for n in range(5000)}
    await store.apply([put("a", "x", metadata=metadata), put("b", "x")])
    assert ids(await dense(store, vector_of("x"), filters={"field4999": 4999})) == ["a"]
    assert (await store.count(filters={"field4999": 4999})).documents == 1


async def test_a_newer_parts_metadata_are_those_of_all_parts(store: RedisStore) -> None:
    await store.apply([part("a", 0, 2, "one", version(1), metadata={"year": 2023})])
    await store.apply([part("a", 1, 2, "two", version(2), metadata={"year": 2024})])
    hits = await dense(store, vector_of("one"), filters={"year": 2024})
    assert sorted(hit.text for hit in hits) == ["one", "two"]
    assert await dense(store, vector_of("one"), filters={"year": 2023}) == []


async def test_searches_by_the_index_of_vectors_stay_right(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "EXACT_MAX", 100)
    rows, size = 4000, 32
    vectors = clustered(rows, 40, size)
    puts = [
        put(f"d{n}", "x", vectors=[vectors[n]], metadata={"rare": n % 1000}) for n in range(rows)
    ]
    for low in range(0, rows, 500):
        await store.apply(puts[low : low + 500])
    for limit in (10, 200):
        recalls = []
        for vector in clustered(20, 40, size, seed=0):
            found = await store.candidates(Query(Mode.DENSE, limit, vector=vector, model=MODEL))
            hits = await store.hits(found)
            best = set(np.argsort(-(vectors @ vector))[:limit].tolist())
            assert len(hits) == limit
            recalls.append(len({int(hit.key.id[1:]) for hit in hits.values()} & best) / limit)
        assert np.mean(recalls) >= 0.97, limit
    far = -vectors[3]
    hits = await dense(store, far, 4, filters={"rare": 3})
    assert {hit.key.id for hit in hits} == {"d3", "d1003", "d2003", "d3003"}
    await store.apply([put("new", "x", vectors=[far]), delete("d1003", version(5))])
    assert ids(await dense(store, far, 1)) == ["new"]
    assert len(await dense(store, far, 4, filters={"rare": 3})) == 3
    assert len(await dense(store, far, 9999)) == rows
