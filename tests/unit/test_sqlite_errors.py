"""What the file or its disk does to us becomes the right error, and passes when it passes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from tests.contract.store_kit import MODEL, ids, keyword, put, vector_of, version
from tickertape.documents import Applied
from tickertape.errors import OutageError, PermanentError, SettingsError, StoreError
from tickertape.settings import Settings
from tickertape.stores import STORES, open_stores
from tickertape.stores.sqlite import SqliteStore, schema, threads


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(Settings(data_dir=tmp_path))
    await opened.start()
    yield opened
    await opened.stop()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process in the middle of its transaction."""
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


async def test_waits_for_another_writer(store: SqliteStore) -> None:
    with locked(store.path):
        writing = asyncio.create_task(store.apply([put("a", "one")]))
        await asyncio.sleep(0.05)
        assert not writing.done()
        assert await store.heads([]) == {}  # readers go on
    assert await writing == [Applied.APPLIED]


async def test_a_new_store_waits_while_another_worker_makes_it(tmp_path: Path) -> None:
    store = SqliteStore(Settings(data_dir=tmp_path))
    with locked(store.path):  # not yet in WAL mode: its switch is what has to wait
        starting = asyncio.create_task(store.start())
        await asyncio.sleep(0.05)
        assert not starting.done()
    await starting
    assert await store.apply([put("a", "one")]) == [Applied.APPLIED]
    await store.stop()


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_one_wait_for_whatever_lock_a_new_store_has(tmp_path: Path, lock: str) -> None:
    path, waits = tmp_path / "new.db", []

    def wait(calls: int) -> bool:
        waits.append(calls)
        return calls < 3

    other = apsw.Connection(str(path))
    other.execute(f"BEGIN {lock}")
    with pytest.raises(apsw.BusyError):
        schema.connect(path, wait)
    other.close()
    assert waits == [0, 1, 2, 3]


async def test_a_new_store_that_stays_locked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "BUSY_SECONDS", 0.02)
    store = SqliteStore(Settings(data_dir=tmp_path))
    with locked(store.path), pytest.raises(StoreError, match="database is locked"):
        await store.start()


async def test_locked_for_too_long_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "BUSY_SECONDS", 0.02)
    store = SqliteStore(Settings(data_dir=tmp_path))
    await store.start()
    with locked(store.path), pytest.raises(OutageError) as caught:
        await store.apply([put("a", "one")])
    assert caught.value.dependency == "store:sqlite"
    assert await store.apply([put("a", "one")]) == [Applied.APPLIED]
    await store.stop()


async def test_stop_does_not_wait_for_a_lock(store: SqliteStore) -> None:
    with locked(store.path):
        writing = asyncio.create_task(store.apply([put("a", "one")]))
        await asyncio.sleep(0.05)
        await store.stop()  # returns while the lock is still held
        with pytest.raises(OutageError):
            await writing


async def test_full_disk_is_an_outage_and_passes(store: SqliteStore) -> None:
    await store.apply([put("before", "small")])

    def limit(db: apsw.Connection, pages: int) -> None:
        db.pragma("max_page_count", pages)

    assert store._threads is not None
    await store._threads.write(limit, 60)
    large = [put(f"d{n}", f"word{n} " * 2000) for n in range(40)]
    with pytest.raises(OutageError, match="full"):
        await store.apply(large)
    assert (await store.count()).documents == 1
    assert ids(await keyword(store, "word1 small")) == ["before"]
    await store._threads.write(limit, 2**30)
    assert await store.apply(large) == [Applied.APPLIED] * 40


@pytest.mark.parametrize("other", [MODEL, "of another size"])
async def test_a_disk_that_ends_the_transaction_is_an_outage(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """SQLite rolls everything back by itself then, savepoints too; done together or one by one."""
    calls: list[bool] = []

    def fails(db: apsw.Connection, _: object, *, alone: bool) -> None:
        calls.append(alone)
        db.execute("ROLLBACK")
        raise apsw.FullError("the disk is full")

    size = 16 if other == MODEL else 8
    operations = [put("a", "one"), put("b", "two", vectors=[vector_of("two", size)])]
    with monkeypatch.context() as patch:
        patch.setattr("tickertape.stores.sqlite.bulk.write", fails)
        with pytest.raises(OutageError, match="Full"):
            await store.apply(operations)
    assert calls == [other != MODEL]
    assert await store.apply([put("a", "one")]) == [Applied.APPLIED]


async def test_damaged_file_is_an_outage(tmp_path: Path) -> None:
    store = SqliteStore(Settings(data_dir=tmp_path))
    await store.start()
    await store.apply([put(f"d{n}", "text " * 500) for n in range(50)])
    await store.stop()
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(store.path.stat().st_size - 4096))
    again = SqliteStore(Settings(data_dir=tmp_path))
    await again.start()
    for call in (again.apply([put("d1", "x", at=version(2))]), again.document("d1")):
        with pytest.raises(OutageError, match="Corrupt"):
            await call
    await again.stop()


async def test_stop_fails_what_is_queued_and_leaves_one_file(store: SqliteStore) -> None:
    calls = [asyncio.create_task(store.apply([put(f"d{n}", "x")])) for n in range(50)]
    reads = [asyncio.create_task(store.count()) for _ in range(50)]
    await asyncio.sleep(0)
    await store.stop()
    for result in await asyncio.gather(*calls, *reads, return_exceptions=True):
        assert not isinstance(result, BaseException) or isinstance(result, OutageError)
    done = sum(not call.exception() for call in calls)
    assert [path.name for path in store.path.parent.iterdir()] == ["tickertape.db"]
    again = SqliteStore(Settings(data_dir=store.path.parent))
    await again.start()
    assert (await again.count()).documents == done
    await again.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is no database at all" * 200, "not a database"),
        ("CREATE TABLE t (a)", "another program's"),
        (f"PRAGMA user_version = {schema.VERSION + 1}", "schema"),
    ],
)
async def test_foreign_file_stops_the_start(
    tmp_path: Path, content: bytes | str, message: str
) -> None:
    path = tmp_path / "tickertape.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        connection = apsw.Connection(str(path))
        connection.execute(content)
        connection.close()
    store = SqliteStore(Settings(data_dir=tmp_path))
    with pytest.raises(StoreError, match=message) as caught:
        await store.start()
    assert str(path) in str(caught.value)


async def test_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        await SqliteStore(Settings(data_dir=tmp_path / "file" / "below")).start()


@pytest.mark.parametrize("how", ["removed", "replaced"])
async def test_a_file_that_is_gone_is_noticed(store: SqliteStore, how: str) -> None:
    await store.ping()
    await store.apply([put("a", "x")])
    store.path.rename(store.path.with_suffix(".away"))
    if how == "replaced":
        store.path.write_bytes(b"")
    with pytest.raises(OutageError):
        await store.ping()
    with pytest.raises(OutageError):
        await store.apply([put("b", "x")])  # acknowledged, it would be lost


@pytest.mark.parametrize("how", ["removed", "replaced"])
@pytest.mark.parametrize("end", ["-wal", "-shm"])
async def test_a_log_that_is_gone_is_noticed_and_a_stop_saves_what_was_confirmed(
    store: SqliteStore, end: str, how: str
) -> None:
    """A process that starts now would write a log of its own, and neither see the other's."""
    await store.apply([put("a", "x")])
    log = store.path.with_name(store.path.name + end)
    log.unlink()
    if how == "replaced":
        log.touch()
    with pytest.raises(OutageError, match=f"{end}.*start them again"):
        await store.apply([put("b", "x")])
    with pytest.raises(OutageError, match=f"{end}"):
        await store.ping()
    if how == "removed":
        await store.stop()
        await store.start()
        assert (await store.count()).documents == 1
        assert await store.apply([put("b", "x")]) == [Applied.APPLIED]


async def test_not_started_is_an_outage(tmp_path: Path) -> None:
    store = SqliteStore(Settings(data_dir=tmp_path))
    for call in (store.ping(), store.heads([]), store.count(), store.apply([put("a", "x")])):
        with pytest.raises(OutageError):
            await call


async def test_summary_that_json_has_not_is_permanent(store: SqliteStore) -> None:
    from tests.contract.test_stores import summary

    bad = summary("a", 1)
    bad.result["x"] = object()  # type: ignore[index]
    with pytest.raises(PermanentError):
        await store.save_summaries([bad])


def test_registry_opens_what_is_named(tmp_path: Path) -> None:
    assert [s.name for s in open_stores(Settings(stores=("sqlite",), data_dir=tmp_path))] == [
        "sqlite"
    ]


@pytest.mark.parametrize("names", [("nonsense",), (), ("sqlite", "sqlite")])
def test_registry_names_the_setting_and_what_is_known(names: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="TICKERTAPE_STORES") as caught:
        open_stores(Settings(stores=names))
    assert "sqlite" in str(caught.value)


def test_registry_names_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STORES, "other", "package_that_is_not_there.client:Store")
    with pytest.raises(SettingsError, match="other needs the package package_that_is_not_there"):
        open_stores(Settings(stores=("other",)))
