"""Two workers share the partitions, and either answers for any batch."""

from __future__ import annotations

import asyncio
import signal

from testkit.system import System, documents, until


async def test_two_workers_share_and_both_answer(system: System):
    first = await system.worker()
    second = await system.worker()

    async def shared() -> bool:
        flows = await asyncio.gather(first.flow("documents"), second.flow("documents"))
        return all(flow["partitions"] for flow in flows)

    await until(shared, "both to have partitions")
    count = 120
    batches = [await system.declare(count) for _ in range(4)]
    for number, batch in enumerate(batches):
        await system.send(
            system.settings.topic_financial_documents, documents(count, batch, f"b{number}")
        )
    for batch in batches:
        states = await asyncio.gather(*(system.finished(w, batch) for w in (first, second)))
        assert states[0] == states[1]
        assert (states[0]["status"], states[0]["done"]) == ("completed", count)
    done = [(await worker.flow("documents"))["processed"] for worker in (first, second)]
    assert all(done), f"one of them did all the work: {done}"
    async with system.store() as store:
        assert (await store.count()).documents == 4 * count


async def test_what_a_killed_worker_had_goes_to_the_other(system: System):
    system.configure(TICKERTAPE_WINDOW_RECORDS="16")
    first = await system.worker()
    second = await system.worker()
    topic = system.settings.topic_financial_documents

    async def shared() -> bool:
        flows = await asyncio.gather(first.flow("documents"), second.flow("documents"))
        return all(flow["partitions"] for flow in flows)

    await until(shared, "both to have partitions")
    count = 400
    batch = await system.declare(count)
    await system.send(topic, documents(count, batch))

    async def working() -> bool:
        return bool((await first.flow("documents"))["records_in_flight"] >= 32)

    await until(working, "the first to have records in flight")
    first.send_signal(signal.SIGSTOP)  # what it has now, it never gives back
    committed, ends = await system.offsets(topic), await system.ends(topic)
    await first.kill()
    left = {tp: ends[tp] - committed.get(tp, 0) for tp in ends}
    assert max(left.values()) >= 16, f"nothing was in flight: {left}"
    state = await system.finished(second, batch)
    assert (state["status"], state["done"], state["dead"]) == ("completed", count, 0)
    async with system.store() as store:
        assert (await store.count()).documents == count
