"""Start workers, send records as any producer would, and read what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from testkit.broker import Broker, free_port, topic_settings, unique, worker_env
from tickertape import kafka_admin, topics
from tickertape.kafka.consumer import Consumer
from tickertape.settings import Settings, env_name
from tickertape.stores import open_stores

ROOT = Path(__file__).resolve().parents[1]
WAIT_SECONDS_MAX = 120.0  # a bound for a test that hangs, never an expectation
PARTITIONS = 2


class Worker:
    """One ``faust -A app worker`` process."""

    app = "app"

    def __init__(self, system: System, app: str | None = None, **env: str) -> None:
        self.app = app or self.app
        self.port = free_port()
        self.log = system.folder / f"worker-{self.port}.log"
        self.env = {**system.env, "TICKERTAPE_WEB_PORT": str(self.port), **env}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; `ready` waits."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "faust", "-A", self.app, "worker"),
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> Worker:
        """Wait until it says so."""

        async def answers() -> bool:
            assert self.process.returncode is None, self.tail()
            with contextlib.suppress(httpx.TransportError):
                return (await self.get("/readyz")).status_code == 200
            return False

        await until(answers, f"the worker to be ready:\n{self.tail()}")
        return self

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def get(self, path: str, **params: Any) -> httpx.Response:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            return await client.get(path, params=params, timeout=30)

    async def json(self, path: str, **params: Any) -> Any:
        return (await self.get(path, **params)).json()

    async def flow(self, name: str) -> dict[str, Any]:
        stats = await self.json("/stats")
        return next(flow for flow in stats["flows"] if flow["name"] == name)

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self, *codes: int) -> int:
        """SIGTERM, and wait; fail where it ends with none of ``codes`` (0; 70: it was forced)."""
        if self.process.returncode is None:
            self.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(self.process.wait(), WAIT_SECONDS_MAX)
        assert ended in (codes or (0,)), f"ended with {ended}:\n{self.tail()}"
        return ended

    def tail(self) -> str:
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-30:])


class System:
    """Topics, a group and a data folder that no other test has."""

    def __init__(self, broker: Broker, models: Path, folder: Path) -> None:
        self.broker = broker
        self.folder = folder
        self.env = {
            **worker_env(broker, folder / "data"),
            **topic_settings(),
            "TICKERTAPE_APP_ID": unique("app"),
            "TICKERTAPE_MODELS_DIR": str(models),
            "TICKERTAPE_RETRY_DELAYS": "0.5,1",
            "TICKERTAPE_OFFLINE": "1",
            "TICKERTAPE_THREADS": "1",
        }
        self.settings = self._settings()
        self._workers: list[Worker] = []
        self._producer: AIOKafkaProducer | None = None

    def _settings(self) -> Settings:
        fields: dict[str, Any] = {
            name: self.env.get(env_name(name)) for name in Settings.model_fields
        }
        return Settings(**{name: value for name, value in fields.items() if value is not None})

    def configure(self, **env: str) -> None:
        """Set more environment for workers started from now on."""
        self.env.update(env)
        self.settings = self._settings()

    async def open(self) -> None:
        wanted = [replace(t, partitions=PARTITIONS) for t in kafka_admin.wanted(self.settings)]
        (await kafka_admin.ensure(self.broker.bootstrap, wanted)).raise_for_errors()

    async def close(self) -> None:
        for worker in self._workers:
            if worker._process is not None and worker.process.returncode is None:
                await worker.kill()
        if self._producer is not None:
            await self._producer.stop()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        await admin.start()
        with contextlib.suppress(Exception):
            await admin.delete_topics([t.name for t in kafka_admin.wanted(self.settings)])
        await admin.close()

    # Workers

    async def worker(self, app: str | None = None, **env: str) -> Worker:
        """Start a worker and wait until it is ready. ``app``: the module, where it is not ours."""
        return await (await self.starting(app, **env)).ready()

    async def starting(self, app: str | None = None, **env: str) -> Worker:
        """Start a worker that may not become ready."""
        worker = Worker(self, app, **env)
        self._workers.append(worker)
        await worker.start()
        return worker

    # Records

    async def producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self.broker.bootstrap, max_request_size=16 * 2**20
            )
            await self._producer.start()
        return self._producer

    async def send(
        self,
        topic: str,
        values: Iterable[Any],
        key: Callable[[Any], str | None] = lambda value: value["id"],
        headers: Iterable[tuple[str, bytes]] = (),
    ) -> None:
        """Send values (bytes as they are, else as JSON) and wait for the acknowledgements."""
        producer = await self.producer()
        futures = []
        for value in values:
            name = key(value)
            data = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            futures.append(
                await producer.send(
                    topic,
                    data,
                    key=name.encode() if name is not None else None,
                    headers=list(headers),
                )
            )
        await asyncio.gather(*futures)

    async def declare(self, total: int | None, batch_id: str | None = None) -> str:
        """Declare a batch as a foreign producer does."""
        batch_id = batch_id or f"batch-{uuid.uuid4().hex[:8]}"
        status = {"batch_id": batch_id, "status": "queued", "total_documents": total}
        await self.send(self.settings.topic_batch_status, [status], lambda _: batch_id)
        return batch_id

    async def finished(self, worker: Worker, batch_id: str) -> dict[str, Any]:
        """Wait until a batch is completed or failed, as this worker says."""

        async def ended() -> dict[str, Any] | None:
            response = await worker.get(f"/ingest-status/{batch_id}")
            if response.status_code == 200 and response.json()["status"] in {"completed", "failed"}:
                return dict(response.json())
            return None

        found: dict[str, Any] = await until(ended, f"batch {batch_id} to finish:\n{worker.tail()}")
        return found

    async def read(self, topic: str) -> list[Any]:
        """Return all records of a topic, as aiokafka gives them."""
        consumer = Consumer(
            topic, bootstrap_servers=self.broker.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            tps = list(consumer.assignment())
            ends = await consumer.end_offsets(tps)
            found: list[Any] = []
            while any([await consumer.position(tp) < ends[tp] for tp in tps]):
                for messages in (await consumer.getmany(timeout_ms=200)).values():
                    found += messages
            return found
        finally:
            await consumer.stop()

    async def committed(self, topic: str) -> int:
        """Return the sum of what the workers' group has committed of a topic."""
        return sum((await self.offsets(topic)).values())

    async def offsets(self, topic: str) -> dict[TopicPartition, int]:
        """Return what the workers' group has committed of each partition; 0 where nothing."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(self.settings.app_id)
        finally:
            await admin.close()
        return {tp: max(0, at.offset) for tp, at in found.items() if tp.topic == topic}

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Return how many records each partition of a topic has had."""
        consumer = Consumer(topic, bootstrap_servers=self.broker.bootstrap)
        await consumer.start()
        try:
            found: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
            return found
        finally:
            await consumer.stop()

    async def values(self, topic: str) -> list[dict[str, Any]]:
        """Return the JSON values of a topic."""
        return [json.loads(record.value) for record in await self.read(topic)]

    async def dead(self, topic: str) -> list[Any]:
        """Return the dead letters of a topic."""
        return await self.read(topics.dlq(topic))

    @contextlib.asynccontextmanager
    async def store(self) -> Any:
        """Open the first store beside the workers."""
        store = open_stores(self.settings)[0]
        await store.start()
        try:
            yield store
        finally:
            await store.stop()


async def until(check: Callable[[], Any], what: str) -> Any:
    """Wait until the check returns something; fail with ``what`` after a bound."""
    deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
    while True:
        found = await check()
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited too long for {what}")
        await asyncio.sleep(0.1)


def documents(count: int, batch_id: str | None = None, prefix: str = "doc") -> list[dict[str, Any]]:
    """Return financial documents, each different."""
    return [
        {
            "id": f"{prefix}-{n}",
            "title": f"Company {n} quarterly report",
            "company": f"Company {n}",
            "text": (
                f"Company {n} reported revenue of ${n + 100}.{n % 10} million for the quarter. "
                f"Net income rose {n % 40 + 1} percent to ${n + 7} million. "
                f"The board of Company {n} declared a dividend of ${n % 9}.25 per share. "
                "Management expects demand to stay firm through the next fiscal year."
            ),
            "batch_id": batch_id,
        }
        for n in range(count)
    ]
