"""After kill -9 of one of two workers: seconds until every partition of text-messages flows again.

``python -m loadtest.recovery [--rounds 5] [--rate 80] [--json]``

Two workers under steady load, then a kill and a replacement started at once. Per partition: the
time from the kill until the first record produced after it is committed, which a worker does
only once the record is stored and its outputs are acknowledged. The worst partition of all
rounds is held against the target. ``wait``: the longest that any record of the round waited
from its production to its commit, with the replacement's own joining in it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator

from aiokafka.admin import AIOKafkaAdminClient

from loadtest import processes
from loadtest.processes import Bench, Report, say
from testkit.system import Worker, until

SECONDS_MAX = 15.0
SETTLED_SECONDS = 1.0  # the load flows when nothing waits longer than this
POLL_SECONDS = 0.05


class Watch:
    """What was produced to each partition, and when it was committed (monotonic seconds)."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._topic = bench.settings.topic_text_messages
        self.partitions = 0
        self._open: dict[int, deque[tuple[int, float]]] = {}  # offset, produced at
        self._killed = float("inf")
        self.flowing: dict[int, float] = {}  # partition: seconds from the kill
        self.wait = 0.0

    @contextlib.asynccontextmanager
    async def running(self, rate: float) -> AsyncIterator[Watch]:
        """Send so many records a second over all partitions, and follow the commits."""
        producer = await self._bench.producer()
        self.partitions = len(await producer.partitions_for(self._topic))
        self._open = {number: deque() for number in range(self.partitions)}
        async with processes.beside(processes.steadily(rate, self._send), self._follow()):
            yield self

    def killed(self) -> None:
        """A worker was killed now."""
        self.flowing, self.wait = {}, 0.0
        self._killed = time.monotonic()

    async def flows(self) -> bool:
        """Return whether every partition flows since the kill."""
        return len(self.flowing) == self.partitions

    @property
    def lag_seconds(self) -> float:
        """How long the oldest record that is not committed has waited."""
        now = time.monotonic()
        return max((now - found[0][1] for found in self._open.values() if found), default=0.0)

    async def _send(self, first: int, count: int) -> None:
        producer = await self._bench.producer()
        for number in range(first, first + count):
            id = f"text-{number}"
            value = json.dumps({"id": id, "text": processes.text(number)}).encode()
            partition = number % self.partitions
            began = time.monotonic()
            sent = await producer.send(self._topic, value, key=id.encode(), partition=partition)
            sent.add_done_callback(
                lambda done, p=partition, at=began: self._open[p].append((done.result().offset, at))
            )

    async def _follow(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bench.broker.bootstrap)
        await admin.start()
        try:
            while True:
                offsets = await admin.list_consumer_group_offsets(self._bench.settings.app_id)
                now = time.monotonic()
                for tp, found in offsets.items():
                    if tp.topic == self._topic:
                        self._committed(tp.partition, found.offset, now)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            await admin.close()

    def _committed(self, partition: int, offset: int, now: float) -> None:
        waiting = self._open[partition]
        while waiting and waiting[0][0] < offset:
            _, produced = waiting.popleft()
            self.wait = max(self.wait, now - produced)
            if produced > self._killed:
                self.flowing.setdefault(partition, now - self._killed)


async def measure(options: argparse.Namespace) -> Report:
    """Run the rounds."""
    async with processes.broker() as broker, processes.bench(broker) as bench:
        say("starting two workers")
        workers = deque([await bench.worker(), await bench.worker()])
        watch = Watch(bench)
        rounds: list[Report] = []
        async with watch.running(options.rate):
            for number in range(options.rounds):
                await _flows(watch, workers)
                say(f"round {number + 1} of {options.rounds}: kill -9")
                rounds.append(await _round(bench, watch, workers))
            await _flows(watch, workers)
    worst = [report["seconds"] for report in rounds]
    return {
        "proof": "recovery",
        "seconds_worst": max(worst),
        "seconds_median": round(statistics.median(worst), 2),
        "wait_worst": max(report["wait"] for report in rounds),
        "seconds_max": SECONDS_MAX,
        "partitions": watch.partitions,
        "rate": options.rate,
        "rounds": rounds,
        "ok": max(worst) <= SECONDS_MAX,
    }


async def _round(bench: Bench, watch: Watch, workers: deque[Worker]) -> Report:
    """Kill the older worker, start another, and wait until all flows and it is ready."""
    worker = workers.popleft()
    watch.killed()
    await worker.kill()
    replacement = await bench.start()
    await until(watch.flows, "every partition to flow again")
    found = dict(sorted(watch.flowing.items()))
    workers.append(await replacement.ready())
    await _flows(watch, workers)
    return {
        "seconds": round(max(found.values()), 2),
        "wait": round(watch.wait, 2),
        "by_partition": [round(seconds, 2) for seconds in found.values()],
    }


async def _flows(watch: Watch, workers: deque[Worker]) -> None:
    """Wait until both workers have partitions and the load flows through them."""

    async def settled() -> bool:
        flows = await asyncio.gather(*(worker.flow("text") for worker in workers))
        return all(flow["partitions"] for flow in flows) and watch.lag_seconds < SETTLED_SECONDS

    await until(settled, "both workers to share the load")
    await asyncio.sleep(SETTLED_SECONDS)
    await until(settled, "both workers to keep up with the load")


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    for number, found in enumerate(report["rounds"], 1):
        each = ", ".join(f"{seconds:.1f}" for seconds in found["by_partition"])
        yield f"round {number}: {found['seconds']:.1f} s (by partition: {each})"
    yield (
        f"worst {report['seconds_worst']:.1f} s, target {report['seconds_max']:.0f} s; "
        f"longest wait of a record {report['wait_worst']:.1f} s"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="kills (default 5)")
    parser.add_argument("--rate", type=float, default=80.0, help="records a second (default 80)")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
