"""What each fault does. One lane a component: faults of one wait for each other, others do not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import apsw
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from loadtest.chaos.faults import LLM_KINDS, Fault
from loadtest.chaos.world import Site, Slot
from tickertape.settings import ROLES

# A flow that is held asks ever more rarely: faults that no request has met by then are over.
LLM_SECONDS_MAX = 6.0
TRANSACTION_MS = 5_000
TRANSACTION_SECONDS_MAX = 20.0
PIECES = 12


class Injector:
    """Does faults. `do` returns once the fault has begun; `finish` waits for all to end."""

    def __init__(self, site: Site, slots: Sequence[Slot]) -> None:
        self._site = site
        self._slots = slots
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._one_more = asyncio.Lock()  # a worker beside those of the slots
        self._roles = [set(ROLES) for _ in slots]
        self._generation = 0

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
            "store_log": self._store_log,
            "roles": self._other_roles,
            "clock": self._clock,
            "abort": self._abort,
            "partitions": self._partitions,
            "remade": self._remade,
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
        async with self._one_more:
            slot = self._site.slot()
            await slot.start()
            await asyncio.sleep(fault.seconds)
            await slot.end()

    async def _store(self, fault: Fault) -> None:
        path = self._site.settings.data_dir / "tickertape.db"
        await asyncio.to_thread(_lock, path, fault.seconds)

    async def _store_log(self, fault: Fault) -> None:
        """The log goes; the workers hold. As the runbook says: stop them all, start them again."""
        data = self._site.settings.data_dir
        async with self._one_more, contextlib.AsyncExitStack() as stack:
            for slot in self._slots:
                await stack.enter_async_context(slot.taken())
            (data / "tickertape.db-wal").unlink(missing_ok=True)
            await asyncio.sleep(fault.seconds)
            for slot in self._slots:
                await slot.terminate()

    async def _other_roles(self, fault: Fault) -> None:
        """All roles are somebody's at any time: this worker may leave off what others do."""
        number = int(fault.target)
        others = set().union(*(r for n, r in enumerate(self._roles) if n != number))
        rng = random.Random(fault.count)
        needed = set(ROLES) - others
        more = {role for role in sorted(others) if rng.random() < 0.5}
        self._roles[number] = needed | more or {rng.choice(ROLES)}
        roles = ",".join(role for role in ROLES if role in self._roles[number])
        await self._slots[number].again(TICKERTAPE_ROLES=roles)

    async def _clock(self, fault: Fault) -> None:
        """A clock may be days ahead, or a little behind: then the changelog is slow as well."""
        rng = random.Random(fault.count)
        offset = rng.choice([9 * 86_400, 3_600, 120, -120, 0])
        slow = rng.choice([0.0, 0.4])
        await self._slots[int(fault.target)].again(
            CHAOS_CLOCK_SECONDS=str(offset), CHAOS_CHANGELOG_SECONDS=str(slow)
        )

    async def _abort(self, fault: Fault) -> None:
        """Records that nobody may see. A broker that goes away aborts them in its own time."""
        settings = self._site.settings
        producer = AIOKafkaProducer(
            bootstrap_servers=self._site.broker.bootstrap,
            transactional_id=f"chaos-{fault.count}",
            transaction_timeout_ms=TRANSACTION_MS,
        )
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(TRANSACTION_SECONDS_MAX):
                await producer.start()
                await producer.begin_transaction()
                for topic in (settings.topic_text_messages, settings.topic_financial_documents):
                    for n in range(5):
                        value = {"id": f"ghost-{fault.count}-{n}", "text": "It never was."}
                        await producer.send_and_wait(topic, json.dumps(value).encode())
                await producer.abort_transaction()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(producer.stop(), TRANSACTION_SECONDS_MAX)

    async def _partitions(self, fault: Fault) -> None:
        settings = self._site.settings
        topic = (settings.topic_text_messages, settings.topic_financial_documents)[fault.count % 2]
        await self._site.grow(topic)

    async def _remade(self, _: Fault) -> None:
        """What stood on the topic is gone or was done; what is sent to the new one counts."""
        self._generation += 1
        topic = self._site.settings.topic_embedding_requests
        await self._site.remake(topic)
        pieces = [
            {
                "document_id": f"r{self._generation}-{n}",
                "content": f"Piece r{self._generation}e{n} is about cash.",
                "metadata": {},
            }
            for n in range(PIECES)
        ]
        await self._site.send(topic, pieces, key=lambda piece: piece["document_id"])

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
    if fault.kind in {"kill", "term", "stop", "roles", "clock"}:
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
