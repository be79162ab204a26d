"""What each fault does. One lane a component: faults of one wait for each other, others do not."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import apsw

from loadtest.chaos.faults import LLM_KINDS, Fault
from loadtest.chaos.world import Site, Slot

# A flow that is held asks ever more rarely: faults that no request has met by then are over.
LLM_SECONDS_MAX = 6.0


class Injector:
    """Does faults. `do` returns once the fault has begun; `finish` waits for all to end."""

    def __init__(self, site: Site, slots: Sequence[Slot]) -> None:
        self._site = site
        self._slots = slots
        self._lanes: dict[str, asyncio.Task[None]] = {}

    async def do(self, fault: Fault) -> None:
        """Begin a fault; wait first where one of the same component has not ended."""
        lane = _lane(fault)
        if lane is None:
            return  # it was among the records
        before = self._lanes.get(lane)
        if before is not None:
            await before
        self._lanes[lane] = asyncio.create_task(self._method(fault)(fault))

    async def finish(self) -> None:
        """Wait until every fault has ended."""
        await asyncio.gather(*self._lanes.values())

    async def cancel(self) -> None:
        """Leave off what is under way."""
        tasks = [task for task in self._lanes.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _method(self, fault: Fault) -> Callable[[Fault], Coroutine[Any, Any, None]]:
        if fault.kind in LLM_KINDS:
            return self._llm
        found: dict[str, Callable[[Fault], Coroutine[Any, Any, None]]] = {
            "kill": self._kill,
            "term": self._term,
            "stop": self._stop,
            "broker": self._broker,
            "storm": self._storm,
            "store_stall": self._store,
            "store_error": self._store,
        }
        return found[fault.kind]

    async def _kill(self, fault: Fault) -> None:
        async with self._slots[int(fault.target)].taken() as worker:
            await worker.kill()

    async def _term(self, fault: Fault) -> None:
        slot = self._slots[int(fault.target)]
        async with slot.taken():
            await slot.terminate()

    async def _stop(self, fault: Fault) -> None:
        async with self._slots[int(fault.target)].taken() as worker:
            worker.send_signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                worker.send_signal(signal.SIGCONT)

    async def _broker(self, fault: Fault) -> None:
        broker = self._site.broker
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(broker.start)

    async def _storm(self, fault: Fault) -> None:
        """One more worker joins and leaves while the others work."""
        slot = self._site.slot()
        await slot.start()
        await asyncio.sleep(fault.seconds)
        await slot.end()

    async def _store(self, fault: Fault) -> None:
        path = self._site.settings.data_dir / "tickertape.db"
        await asyncio.to_thread(_lock, path, fault.seconds)

    async def _llm(self, fault: Fault) -> None:
        one = {"kind": fault.target, "seconds": fault.seconds}
        if fault.kind == "llm_429":
            one = {"kind": fault.target, "retry_after": 1}
        double = self._site.double
        await double.control(faults=[one] * fault.count)
        deadline = time.monotonic() + LLM_SECONDS_MAX
        while time.monotonic() < deadline and (await double.control())["faults"]:  # noqa: ASYNC110 - it is a process
            await asyncio.sleep(0.2)
        await double.control(faults=[])


def _lane(fault: Fault) -> str | None:
    if fault.kind in {"poison", "duplicate"}:
        return None
    if fault.kind in {"kill", "term", "stop"}:
        return f"worker {fault.target}"
    return fault.kind.partition("_")[0]


def _lock(path: Path, seconds: float) -> None:
    """Hold the database's write lock, as a slow process would."""
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(60_000)
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")
    finally:
        connection.close()
