"""A worker that was stopped past its session wakes: its stale counts are shown nowhere."""

from __future__ import annotations

import asyncio
import signal

from testkit.system import System, Worker, until
from tickertape.delivery import progress
from tickertape.delivery.outcome import State
from tickertape.delivery.progress import Delta, Entry
from tickertape.ranges import Ranges

ITEMS, BATCHES = 500, [f"batch-{n}" for n in range(4)]


async def test_batch_counts_survive_a_zombie_and_the_recovery_after_it(system: System):
    system.configure(TICKERTAPE_ROLES="progress", TICKERTAPE_SESSION_TIMEOUT="6")
    first, second = await system.worker(), await system.worker()

    async def shared() -> bool:
        flows = await asyncio.gather(first.flow("progress"), second.flow("progress"))
        return all(flow["partitions"] for flow in flows)

    await until(shared, "both to own batches")
    for batch in BATCHES:
        await tell(system, Delta(batch, total=ITEMS, declared=True))
    for item in range(ITEMS):
        await asyncio.gather(*(tell(system, done(batch, item), wait=False) for batch in BATCHES))

    async def under_way() -> bool:
        return all([(await state(second, batch))["done"] > 20 for batch in BATCHES])

    await until(under_way, "the counting to begin")
    first.send_signal(signal.SIGSTOP)

    async def completed() -> bool:
        return all([(await state(second, b))["status"] == "completed" for b in BATCHES])

    await until(completed, "the second worker to take over and complete")
    first.send_signal(signal.SIGCONT)

    async def back() -> bool:
        return bool((await first.flow("progress"))["partitions"])

    await until(back, "the first to be a member again")
    for worker in (first, second):
        assert [(await state(worker, b))["done"] for b in BATCHES] == [ITEMS] * len(BATCHES)
    await first.kill()
    await second.kill()

    third = await system.worker()
    for batch in BATCHES:
        await tell(system, done(batch, 0))  # again: what the recovered table says comes out
    await tell(system, Delta("marker", total=1, declared=True))
    await until(lambda: known(third, "marker"), "the deltas to be folded")
    states = [await state(third, batch) for batch in BATCHES]
    assert [(s["status"], s["done"]) for s in states] == [("completed", ITEMS)] * len(BATCHES)


def done(batch: str, item: int) -> Delta:
    entry = Entry("t", 0, "store", ("store",), State.DONE, 0, Ranges.of([item]))
    return Delta(batch, (entry,))


async def tell(system: System, delta: Delta, wait: bool = True) -> None:
    record = progress.encode(system.settings.topic_batch_progress, delta)
    future = await (await system.producer()).send(record.topic, record.value, key=record.key)
    if wait:
        await future


async def known(worker: Worker, batch: str) -> bool:
    return (await worker.get(f"/ingest-status/{batch}")).status_code == 200


async def state(worker: Worker, batch: str) -> dict[str, object]:
    response = await worker.get(f"/ingest-status/{batch}")
    return {"done": 0, "status": "unknown", **response.json()}
