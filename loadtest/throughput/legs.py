"""What is measured side by side: each leg is given texts, and says what they took."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from abc import ABC, abstractmethod
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest import usage
from loadtest.corpus import Text
from loadtest.intake import Intake, batches
from testkit.broker import create_topic, unique
from testkit.system import ROOT, Worker

ANSWER_BYTES = 2**20
START_SECONDS_MAX = 180.0
RUN_SECONDS_MAX = 600.0
TORCH = "torch fp32"
BATCH_SIZES = (8, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Used:
    """What one run took. CPU in seconds; the broker's where the leg reads from it."""

    documents: int
    seconds: float
    cpu: float
    broker_cpu: float | None = None

    @property
    def per_second(self) -> float:
        """Documents a second."""
        return self.documents / self.seconds


class Job:
    """A process that serves commands (`loadtest.throughput.serve`)."""

    def __init__(self, process: Process, log: Path | None) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls,
        python: Path | str,
        module: str,
        *args: str,
        env: Mapping[str, str],
        folder: Path | None = None,
    ) -> Job:
        """Start a module from the root and wait until it has loaded its model.

        ``folder`` is where its log goes; without one that goes to stderr.
        """
        clean = {k: v for k, v in env.items() if not k.startswith(("PYTHONPATH", "VIRTUAL"))}
        log = folder / f"{unique(module.rpartition('.')[2])}.log" if folder else None
        with log.open("wb") if log else contextlib.nullcontext() as errors:
            process = await asyncio.create_subprocess_exec(
                *(str(python), "-m", module, *args),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                limit=ANSWER_BYTES,
                cwd=ROOT,
                env=clean,
            )
        job = cls(process, log)
        await job._answer(START_SECONDS_MAX)
        return job

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def do(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._answer(RUN_SECONDS_MAX)

    async def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        assert line, f"a leg has ended: see {self._log or 'above'}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def stop(self) -> None:
        """Let it end. Safe to call twice."""
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()


class Leg(ABC):
    """One of those that are compared."""

    name: str
    engine: str  # what embeds, and in which precision

    @abstractmethod
    async def run(self, texts: Sequence[Text]) -> Used:
        """Embed the texts."""

    @property
    @abstractmethod
    def pid(self) -> int:
        """The process that does the work."""


class Ceiling(Leg):
    """The worker's engine in a bare loop."""

    name = "ceiling"

    def __init__(self, job: Job, about: Mapping[str, Any]) -> None:
        self._job = job
        self.model = str(about["model"])
        self.engine = f"{about['engine']} {self.model.rpartition('@')[2]}"

    @classmethod
    async def of(cls, job: Job) -> Ceiling:
        """Ask the job which engine it has loaded."""
        return cls(job, await job.do("about"))

    async def run(self, texts: Sequence[Text]) -> Used:
        found = await self._job.do("embed", texts=[text.text for text in texts])
        return Used(len(texts), found["seconds"], found["cpu"])

    async def tokens(self, texts: Sequence[Text]) -> int:
        """Return how many tokens the texts have, special ones included."""
        return int((await self._job.do("embed", texts=[text.text for text in texts]))["tokens"])

    @property
    def pid(self) -> int:
        return self._job.pid


class Encode(Leg):
    """sentence-transformers' own batches."""

    name = "sentence_transformers"
    engine = TORCH

    def __init__(self, job: Job) -> None:
        self._job = job
        self.batch_size = 32

    async def run(self, texts: Sequence[Text]) -> Used:
        given = [text.text for text in texts]
        found = await self._job.do("embed", texts=given, batch_size=self.batch_size)
        return Used(len(texts), found["seconds"], found["cpu"])

    @property
    def pid(self) -> int:
        return self._job.pid


class TopicLeg(Leg):
    """A process that takes all from a topic of its own, of one partition."""

    engine = TORCH

    def __init__(self, job: Job, into: Intake) -> None:
        self._job = job
        self._into = into

    async def run(self, texts: Sequence[Text]) -> Used:
        bench, topic = self._into.bench, unique(self.name)
        await create_topic(bench.broker.bootstrap, topic)
        for batch in batches(topic, texts, len(texts)):
            await bench.send_batch(topic, 0, batch)
        broker = await asyncio.to_thread(self._into.broker_pid)
        before = usage.cpu_seconds(broker)
        found = await self._job.do(
            "consume",
            brokers=bench.broker.bootstrap,
            topic=topic,
            count=len(texts),
            database=str(bench.folder / f"{self.name}.sqlite3"),
        )
        used = usage.cpu_seconds(broker) - before
        return Used(len(texts), found["seconds"], found["cpu"], used)

    async def stop(self) -> None:
        """End the process."""
        await self._job.stop()

    @property
    def pid(self) -> int:
        return self._job.pid


class Tutorial(TopicLeg):
    """What the common tutorial does."""

    name = "tutorial"


class Tickertape(Leg):
    """A worker, from Kafka to its store, offsets committed."""

    name = "tickertape"

    def __init__(self, worker: Worker, into: Intake, engine: str) -> None:
        self.worker = worker
        self.engine = engine
        self._into = into

    async def run(self, texts: Sequence[Text]) -> Used:
        taken = await self._into.take(texts, self.worker)
        return Used(len(texts), taken.seconds, taken.worker_cpu, taken.broker_cpu)

    @property
    def pid(self) -> int:
        return self.worker.process.pid


class MainJob(Tickertape):
    """A worker with financial documents: stored, summarised, and the offsets of both committed."""

    name = "main_job"


def offline() -> dict[str, str]:
    """Return an environment for a job that asks no hub."""
    return {**os.environ, "HF_HUB_OFFLINE": "1"}
