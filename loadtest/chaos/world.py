"""What the run runs: a broker, workers that are kept alive, and the stand-in LLM, as processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError

from loadtest.chaos.faults import LLM_TIMEOUT_SECONDS, SESSION_SECONDS
from loadtest.chaos.workload import TEXT_BYTES_MAX
from loadtest.tiny_model import tiny_model
from testkit.broker import Broker, free_port
from testkit.system import ROOT, System, Worker
from tickertape import kafka_admin
from tickertape.kafka.cluster import TopicState
from tickertape.kafka.consumer import Consumer
from worker.app import FORCED_EXIT

T = TypeVar("T")

PARTITIONS = 4
TOKENS_MAX = 48
READY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 30.0
STAMPS = str(2**62)  # the broker takes whatever a producer's clock says
IDLE_SECONDS = 8
# What a worker says of itself before it consumes. An outage of store or LLM is no reason to wait.
NOT_YET = {"worker", "kafka", "tables", "batches"}


class Site(System):
    """The system under test. ``counts`` tells what was seen on the way."""

    def __init__(self, folder: Path) -> None:
        self.double = Double()
        self._slots: list[Slot] = []
        self.counts = {"crashes": 0, "slow_stops": 0, "forced_stops": 0}
        model = tiny_model(folder / "model", tokens_max=TOKENS_MAX)
        super().__init__(Broker(folder / "kafka"), folder / "models", folder)
        self.configure(
            TICKERTAPE_EMBEDDING_MODEL=str(model),
            TICKERTAPE_PRECISION="fp32",
            TICKERTAPE_RETRY_DELAYS="1,2,4",
            TICKERTAPE_WINDOW_RECORDS="64",
            TICKERTAPE_BATCH_IDLE_SECONDS=str(IDLE_SECONDS),
            TICKERTAPE_TEXT_BYTES_MAX=str(TEXT_BYTES_MAX),
            TICKERTAPE_SESSION_TIMEOUT=str(SESSION_SECONDS),
            LLM_URL=self.double.url,
            LLM_TIMEOUT=str(LLM_TIMEOUT_SECONDS),
            MODEL_NAME="double",
        )

    async def open(self) -> None:
        """Start broker and LLM, create the topics."""
        await asyncio.to_thread(self.broker.start)
        await self.double.start()
        wanted = [replace(t, partitions=PARTITIONS) for t in kafka_admin.wanted(self.settings)]
        texts = self.settings.topic_text_messages
        stamped = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": STAMPS}
        wanted = [
            replace(t, config={**t.config, **stamped}) if t.name == texts else t for t in wanted
        ]
        (await kafka_admin.ensure(self.broker.bootstrap, wanted)).raise_for_errors()

    async def close(self) -> None:
        """End everything."""
        for slot in self._slots:
            await slot.leave()
        for worker in self._workers:
            if worker._process is not None and worker.process.returncode is None:
                await worker.kill()
        if self._producer is not None:
            await self._producer.stop()
        await self.double.stop()
        await asyncio.to_thread(self.broker.stop)

    async def grow(self, topic: str) -> None:
        """Give the topic one more partition."""
        async with self._admin() as admin:
            count = (await self._states(topic))[topic].partitions

            async def create() -> None:
                await admin.create_partitions({topic: NewPartitions(count + 1)})

            await _answered(create)

    async def remake(self, topic: str) -> None:
        """Delete the topic and make it anew."""
        (wanted,) = [t for t in kafka_admin.wanted(self.settings) if t.name == topic]
        async with self._admin() as admin, asyncio.timeout(READY_SECONDS_MAX):
            await admin.delete_topics([topic])
            while topic in await self._states(topic):  # noqa: ASYNC110 - it is Kafka's
                await asyncio.sleep(0.2)
            made = [replace(wanted, partitions=PARTITIONS)]
            while True:
                with contextlib.suppress(Exception):  # Kafka is still about to delete it
                    (await kafka_admin.ensure(self.broker.bootstrap, made)).raise_for_errors()
                    return
                await asyncio.sleep(0.2)

    async def _states(self, topic: str) -> dict[str, TopicState]:
        async def ask() -> dict[str, TopicState]:
            consumer = Consumer(bootstrap_servers=self.broker.bootstrap)
            try:
                await consumer.start()
                return await consumer.topic_states([topic])
            finally:
                await consumer.stop()

        return await _answered(ask)

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """An admin client, once a broker answers."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        await _answered(admin.start)
        try:
            yield admin
        finally:
            await admin.close()

    def slot(self) -> Slot:
        """Return a place for a worker; nothing runs in it yet."""
        worker = Worker(self, "loadtest.chaos.app")
        self._workers.append(worker)
        self._slots.append(Slot(self, worker))
        return self._slots[-1]


class Slot:
    """One worker after the other at the same port and folder, as a supervisor keeps them."""

    def __init__(self, site: Site, worker: Worker) -> None:
        self._site = site
        self._worker = worker
        self._busy = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start, and wait until it consumes; from now on it is started again when it ends."""
        async with self._busy:
            await self._up()
        self._keeper = asyncio.create_task(self._keep())

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[Worker]:
        """Do something to the worker; where that ended it, a new one is started and waited for."""
        async with self._busy:
            if self._worker.process.returncode is not None:
                await self._crashed()
            yield self._worker
            if self._worker.process.returncode is not None:
                await self._up()

    async def terminate(self) -> int:
        """SIGTERM, and wait for its end; return the exit code."""
        worker = self._worker
        worker.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(worker.process.wait(), STOP_SECONDS_MAX)
            self._site.counts["forced_stops"] += code == FORCED_EXIT
            return code
        except TimeoutError:
            self._site.counts["slow_stops"] += 1
            await worker.kill()
            return -signal.SIGKILL

    async def again(self, **env: str) -> None:
        """Stop the worker, and start it with this environment."""
        async with self.taken():
            self._worker.env.update(env)
            await self.terminate()

    async def open_flows(self) -> list[str]:
        """Return what this worker has not settled, a line a flow."""
        try:
            flows = (await self._worker.json("/stats"))["flows"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            return [f"a worker does not answer: {error!r}"]
        return [str(flow) for flow in flows if flow["records_in_flight"] or flow["lag"]]

    async def end(self) -> None:
        """No more of it."""
        await self.leave()
        async with self._busy:
            if self._worker.process.returncode is None:
                await self.terminate()

    async def leave(self) -> None:
        """Start no other one when this one ends."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def _up(self) -> None:
        """Start until it stays: without a broker a worker ends at once, with one line."""
        async with asyncio.timeout(READY_SECONDS_MAX):
            await self._worker.start()
            while not await self._consumes():
                if self._worker.process.returncode is not None:
                    await asyncio.sleep(1.0)
                    await self._worker.start()
                await asyncio.sleep(0.25)

    async def _consumes(self) -> bool:
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
            return not NOT_YET & set((await self._worker.json("/health"))["unready"])
        return False

    async def _crashed(self) -> None:
        self._site.counts["crashes"] += 1
        print(f"a worker ended by itself:\n{self._worker.tail()}", file=sys.stderr)
        await self._up()

    async def _keep(self) -> None:
        while True:
            await self._worker.process.wait()
            async with self._busy:
                if self._worker.process.returncode is not None:
                    await self._crashed()


class Double:
    """The stand-in LLM (`testkit.llm.double`) as a process, steered by POST /control."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "testkit.llm.double", "--port", str(self.port)),
            cwd=ROOT,
            env=dict(os.environ),
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(READY_SECONDS_MAX):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    await self.control()
                    return
                await asyncio.sleep(0.1)

    async def control(self, **fields: Any) -> dict[str, Any]:
        """Steer it; return its counts."""
        async with httpx.AsyncClient(timeout=30) as client:
            url = f"http://127.0.0.1:{self.port}/control"
            response = await client.post(url, json=fields)
            response.raise_for_status()
            return dict(response.json())

    async def stop(self) -> None:
        """End it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def _answered(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until a broker answers: another fault may have ended it, and it is started again."""
    async with asyncio.timeout(READY_SECONDS_MAX):
        while True:
            with contextlib.suppress(KafkaError):
                return await ask()
            await asyncio.sleep(0.5)
