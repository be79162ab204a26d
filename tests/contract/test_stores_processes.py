"""Several workers on one store, and workers that are killed. Real processes, real kills."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from multiprocessing.connection import Connection

import pytest

from tests.contract.store_kit import Adapter, delete, dense, ids, keyword, put, vector_of, version
from tickertape.documents import Applied
from tickertape.stores.base import Store

DOCUMENTS = 40
ROUNDS = 6
CHUNKS = 12  # of a document that a killed writer may leave half-written

processes = multiprocessing.get_context("spawn")


def write_rounds(adapter: Adapter, writer: int, ready: Connection) -> None:
    """Write documents of our own and, version against version, documents that all write."""

    async def work() -> None:
        store = adapter.store()
        await store.start()
        ready.send("started")
        ready.recv()
        for round in range(ROUNDS):
            at = version(round, writer)
            own = [put(f"w{writer}-{n}", f"own{writer}", at=at) for n in range(DOCUMENTS)]
            shared = [put(f"s{n}", f"shared{round}x{writer}", at=at) for n in range(DOCUMENTS)]
            for operation in (*own, *shared):
                (result,) = await store.apply([operation])
                assert isinstance(result, Applied), result
        await store.stop()

    asyncio.run(work())
    ready.send("done")


def write_for_ever(adapter: Adapter, acknowledged: Connection) -> None:
    """Rewrite documents of many chunks, newer version each time, saying what was acknowledged."""

    async def work() -> None:
        store = adapter.store()
        await store.start()
        number = 0
        while True:
            number += 1
            texts = [f"v{number} c{chunk}" for chunk in range(CHUNKS)]
            operations = [put(f"k{n}", *texts, at=version(number)) for n in range(8)]
            results = await store.apply(operations)
            assert results == [Applied.APPLIED] * 8
            acknowledged.send(number)

    asyncio.run(work())


async def test_two_workers_write_while_a_third_searches(store: Store, adapter: Adapter) -> None:
    pipes, children = [], []
    for writer in (1, 2):
        ours, theirs = processes.Pipe()
        child = processes.Process(target=write_rounds, args=(adapter, writer, theirs))
        child.start()
        theirs.close()  # a child that dies is an end of file here, not a wait
        pipes.append(ours)
        children.append(child)
    for pipe in pipes:
        assert await asyncio.to_thread(pipe.recv) == "started"
    for pipe in pipes:
        pipe.send("go")
    while any(child.is_alive() for child in children):
        for hit in await dense(store, vector_of("own1"), 50, model="tests/model@fp32"):
            assert hit.text.startswith(("own", "shared"))
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert (await store.count()).documents == 3 * DOCUMENTS
    assert (await store.count()).chunks == 3 * DOCUMENTS
    newest = f"shared{ROUNDS - 1}x2"
    assert len(await keyword(store, newest, 1000)) == DOCUMENTS
    assert len(await keyword(store, f"shared{ROUNDS - 1}x1", 1000)) == 0
    hits = await dense(store, vector_of(newest), DOCUMENTS)
    assert {hit.text for hit in hits} == {newest}
    assert len(set(ids(hits))) == DOCUMENTS


@pytest.mark.parametrize("after", [1, 4, 9])
async def test_killed_writer_leaves_whole_documents(adapter: Adapter, after: int) -> None:
    ours, theirs = processes.Pipe()
    child = processes.Process(target=write_for_ever, args=(adapter, theirs))
    child.start()
    theirs.close()
    last = 0
    while last < after:
        last = await asyncio.to_thread(ours.recv)
    child.kill()
    child.join()
    assert child.exitcode == -9
    while True:
        try:
            last = ours.recv()
        except EOFError:
            break
    store = adapter.store()
    await store.start()
    found = [entry for n in range(8) for entry in await store.document(f"k{n}")]
    assert len(found) == 8
    for entry in found:
        number = entry.head.version.stamp.ms
        assert number in (last, last + 1)  # all acknowledged; perhaps one more
        assert [chunk.text for chunk in entry.chunks] == [f"v{number} c{c}" for c in range(CHUNKS)]
    assert (await store.count()).chunks == 8 * CHUNKS
    assert len(await keyword(store, f"v{last} v{last + 1}", 1000)) == 8 * CHUNKS
    assert len(await dense(store, vector_of("x"), 1000)) == 8 * CHUNKS
    assert await store.apply([delete("k0", version(10**6))]) == [Applied.APPLIED]
    await store.stop()


async def test_store_opened_by_many_at_once(adapter: Adapter) -> None:
    stores = [adapter.store() for _ in range(6)]
    await asyncio.gather(*(store.start() for store in stores))
    results = await asyncio.gather(
        *(store.apply([put(f"d{n}", f"{os.getpid()}")]) for n, store in enumerate(stores))
    )
    assert results == [[Applied.APPLIED]] * 6
    for store in stores:
        assert (await store.count()).documents == 6
        await store.stop()
