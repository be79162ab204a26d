"""What is FAISS's own: its file, which is whole or not used, and what is in memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.contract.store_kit import MODEL, clustered, delete, dense, ids, put, vector_of, version
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.base import Store
from tickertape.stores.capabilities import with_files
from tickertape.stores.sqlite import neighbours
from tickertape.stores.sqlite.neighbours import Neighbours

ROWS, SIZE = 3000, 32
processes = multiprocessing.get_context("spawn")


def opened(folder: Path, **more: bool) -> Store:
    (store,) = open_stores(Settings(stores=("faiss",), data_dir=folder, **more))
    return store


def saved(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.vectors-*"))


async def filled(folder: Path, **more: bool) -> np.ndarray:
    """A store that was searched and stopped."""
    vectors = clustered(ROWS, 40, SIZE)
    store = opened(folder, **more)
    await store.start()
    await store.apply([put(f"d{n}", "x", vectors=[vectors[n]]) for n in range(ROWS)])
    assert await nearest(store, vectors) == [7]
    await store.stop()
    return vectors


async def nearest(store: Store, vectors: np.ndarray, to: int = 7) -> list[int]:
    return [int(id[1:]) for id in ids(await dense(store, vectors[to], 1))]


@pytest.mark.parametrize("half", [False, True])
async def test_what_was_saved_is_read_and_no_vector_again(
    tmp_path: Path, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = await filled(tmp_path, faiss_half=half)
    (file,) = saved(tmp_path)
    assert file.stat().st_size < ROWS * (SIZE * (2 if half else 4) + 8 + 8) + 1000
    added: list[int] = []
    adding = Neighbours.add

    def counted(self: Neighbours, rows: np.ndarray, given: np.ndarray) -> None:
        added.append(len(rows))
        adding(self, rows, given)

    monkeypatch.setattr(Neighbours, "add", counted)
    store = opened(tmp_path, faiss_half=half)
    await store.start()
    assert await nearest(store, vectors) == [7]
    assert added == []
    await store.apply(
        [put("d7", "y", at=version(2), vectors=[-vectors[7]]), delete("d8", version(2))]
    )
    assert await nearest(store, vectors) != [7]
    assert ids(await dense(store, -vectors[7], 1)) == ["d7"]
    assert added == [1]
    await store.stop()
    assert len(saved(tmp_path)) == 1
    files = with_files(store)
    assert files is not None
    assert set(saved(tmp_path)) < set(files.files()), "`reset` deletes them"


@pytest.mark.parametrize("damage", ["cut off", "empty", "other bytes", "of another kind"])
async def test_a_file_that_is_none_is_passed_over_and_made_anew(
    tmp_path: Path, damage: str
) -> None:
    vectors = await filled(tmp_path)
    (file,) = saved(tmp_path)
    data = file.read_bytes()
    more = {"faiss_half": True} if damage == "of another kind" else {}
    if not more:
        file.write_bytes({"cut off": data[:-1000], "empty": b""}.get(damage, b"x" * len(data)))
    store = opened(tmp_path, **more)
    await store.start()
    with capture_logs() as logs:
        assert await nearest(store, vectors) == [7]
    assert [entry["event"] for entry in logs] == ["faiss_passed_over"]
    await store.apply([delete("d7", version(2))])
    assert await nearest(store, vectors) != [7]
    await store.stop()
    (anew,) = saved(tmp_path)
    assert anew != file


async def test_a_file_of_another_database_is_passed_over(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    vectors = await filled(one)
    store = opened(other)
    await store.start()
    await store.apply([put("d1", "x", vectors=[vectors[1]])])
    await store.stop()
    shutil.copy(saved(one)[0], other)
    store = opened(other)
    await store.start()
    assert await nearest(store, vectors) == [1]
    await store.apply([put("d7", "x", vectors=[vectors[7]])])
    assert await nearest(store, vectors) == [7]
    await store.stop()


def save_for_ever(folder: Path, said: Connection) -> None:
    """Write, search and save, each time with other vectors."""

    async def work() -> None:
        round = 0
        while True:
            round += 1
            store = opened(folder)
            await store.start()
            operations = [put(f"k{n}", f"{round} {n}", at=version(round)) for n in range(300)]
            await store.apply(operations)
            await dense(store, vector_of("x"))
            said.send(round)
            await store.stop()

    asyncio.run(work())


@pytest.mark.parametrize("after", [1, 3, 6])
async def test_a_worker_that_is_killed_as_it_saves_leaves_a_whole_file_or_none(
    tmp_path: Path, after: int
) -> None:
    ours, theirs = processes.Pipe()
    child = processes.Process(target=save_for_ever, args=(tmp_path, theirs))
    child.start()
    theirs.close()
    while await asyncio.to_thread(ours.recv) < after:
        pass
    await asyncio.sleep(0.001 * after)
    child.kill()
    child.join()
    store = opened(tmp_path)
    await store.start()
    with capture_logs() as logs:
        hits = await dense(store, vector_of("x"), 1000)
    assert logs == []
    (number,) = {hit.text.split()[0] for hit in hits}
    assert len(hits) == 300
    exact = await dense(store, vector_of(f"{number} 17"), 1)
    assert (ids(exact), exact[0].score) == (["k17"], pytest.approx(1, abs=1e-6))
    await store.stop()
    assert len(saved(tmp_path)) == 1, "what a killed worker had begun is gone too"


async def test_what_is_gone_hides_nothing_before_and_after_it_is_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "DEAD_MIN", 100)
    store = opened(tmp_path)
    await store.start()
    vector = vector_of("hot")
    await store.apply([put("quiet", "quiet", vectors=[vector])])
    for n in range(40):
        await store.apply([put(f"hot{m}", "x", at=version(n), vectors=[vector]) for m in range(20)])
        assert len(await dense(store, vector, 99)) == 21
    await store.apply([delete(f"hot{m}", version(99)) for m in range(20)])
    assert ids(await dense(store, vector, 5)) == ["quiet"]
    assert len(await dense(store, vector, 5, model=MODEL)) == 1
    await store.stop()
