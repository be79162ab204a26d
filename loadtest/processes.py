"""Real workers on a real broker for the proofs, in a folder of their own that goes at the end.

The harness is the acceptance tests'; here it has what users have by default: partitions, retry
delays, batches, and every setting that a proof does not name.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from testkit.broker import Broker
from testkit.models import ensure_model, models_dir
from testkit.system import System, Worker
from tickertape import kafka_admin
from tickertape.record import Outgoing
from tickertape.topics import RECORD_BYTES_MAX

Report = dict[str, Any]
BATCH_BYTES = 2**20  # the most that a broker takes by default
TICK_SECONDS = 0.05
TEST_SETTINGS = ("TICKERTAPE_RETRY_DELAYS", "TICKERTAPE_THREADS")  # the tests' own, not users'


class Bench(System):
    """A system with a user's defaults. ``env``: settings of all its workers."""

    def __init__(self, broker: Broker, folder: Path, **env: str) -> None:
        super().__init__(broker, models_dir(), folder)
        for name in TEST_SETTINGS:
            del self.env[name]
        self.configure(**env)

    async def open(self) -> None:
        """Create the topics with their default partitions."""
        wanted = kafka_admin.wanted(self.settings)
        (await kafka_admin.ensure(self.broker.bootstrap, wanted)).raise_for_errors()

    async def producer(self) -> AIOKafkaProducer:
        """Return a producer that fills large batches."""
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                bootstrap_servers=self.broker.bootstrap,
                max_batch_size=BATCH_BYTES,
                max_request_size=RECORD_BYTES_MAX,
            )
            await self._producer.start()
        return self._producer

    async def send_batch(self, topic: str, partition: int, records: Iterable[Outgoing]) -> None:
        """Send records as one batch, whatever their keys, and wait for its acknowledgement."""
        producer = await self.producer()
        batch = producer.create_batch()
        for record in records:
            added = batch.append(
                timestamp=None, key=record.key, value=record.value, headers=list(record.headers)
            )
            assert added is not None, f"a batch holds {batch.record_count()} records and no more"
        batch.close()
        await (await producer.send_batch(batch, topic, partition=partition))

    async def start(self, app: str = "app", **env: str) -> Worker:
        """Start a worker of a Faust app and do not wait for it; it ends with the bench."""
        worker = Worker(self, **env)
        worker.app = app
        self._workers.append(worker)
        await worker.start()
        return worker


@contextlib.asynccontextmanager
async def broker() -> AsyncIterator[Broker]:
    """Run a broker in a temporary folder. An error leaves the folder, which tells why."""
    folder = Path(tempfile.mkdtemp(prefix="tickertape-proof-"))
    made = Broker(folder)
    failed = False
    try:
        await asyncio.to_thread(ensure_model)
        await asyncio.to_thread(made.start)
        yield made
    except Exception:
        failed = True
        raise
    finally:
        await asyncio.to_thread(made.stop)
        if failed:
            print(f"see {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def bench(broker: Broker, **env: str) -> AsyncIterator[Bench]:
    """Yield a bench on this broker: topics, group and data folder that no other has."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=broker.data_dir))
    made = Bench(broker, folder, **env)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def beside(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these while the block runs; an error of one ends the block and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
            yield
            for task in tasks:
                task.cancel()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def steadily(
    per_second: float, send: Callable[[int, int], Coroutine[Any, Any, None]]
) -> None:
    """Call ``send(first, count)`` for numbers from 0 on, at this rate, until cancelled."""
    sent, began = 0, time.monotonic()
    while True:
        due = int((time.monotonic() - began) * per_second)
        if due > sent:
            await send(sent, due - sent)
            sent = due
        await asyncio.sleep(TICK_SECONDS)


def text(number: int) -> str:
    """Return a short news text, each different."""
    return (
        f"Company {number} reported revenue of ${number % 900 + 100} million for the quarter. "
        f"Net income rose {number % 40 + 1} percent, and order {number} was confirmed."
    )


class Progress:
    """One line on stderr that is written over, where stderr is a terminal."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, message: str) -> None:
        """Show what happens now; an empty message clears the line."""
        if sys.stderr.isatty():
            print(f"\r{message.ljust(self._width)}", end="" if message else "\r", file=sys.stderr)
            sys.stderr.flush()
            self._width = len(message)


say = Progress()


def main(
    doc: str | None,
    measure: Callable[[argparse.Namespace], Coroutine[Any, Any, Report]],
    lines: Callable[[Report], Iterable[str]],
    add: Callable[[argparse.ArgumentParser], object],
) -> int:
    """Run a proof: its report in words, then as one JSON object; ``--json``: that alone.

    Returns the exit code: 0 when the report's ``ok`` is true, else 1.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n\n")[0])
    add(parser)
    parser.add_argument("--json", action="store_true", help="only the report, as JSON")
    options = parser.parse_args()
    # New topics: the client tells every partition that has no leader yet, and asks again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        report = asyncio.run(measure(options))
    except KeyboardInterrupt:
        return 130
    except AssertionError as error:  # a bound of the harness, or a check of the proof itself
        print(error, file=sys.stderr)
        return 1
    finally:
        say("")
    if not options.json:
        print(*lines(report), sep="\n")
    print(json.dumps(report))
    return 0 if report["ok"] else 1
