"""Memory of a worker while many records wait in its retry topics: it must not grow with them.

``python -m loadtest.waiting [--records 1000000] [--seconds 60] [--json]``

The records are the copies that a worker makes for its retry topics (`copies.retry`), spread over
every retry topic of every flow and over all partitions, due in an hour. Each partition begins with
one record that is due: when all of these are done, the worker has met what waits behind them. A
worker is started over topics with these alone, then another one over the full ones, and its
resident memory is sampled for ``--seconds``. The growth is the highest sample over the full ones
less the highest over the others. CPU is the worker's own, in seconds a minute of waiting.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import psutil

from loadtest import processes
from loadtest.processes import Bench, Report, say
from testkit.broker import Broker
from testkit.system import Worker, until
from tickertape import topics
from tickertape.delivery import copies
from tickertape.errors import TransientError
from tickertape.record import Record

GROWTH_MB_MAX = 50.0
CPU_SECONDS_MAX = 6.0  # a minute, over the empty topics': a tenth of a core would be a busy loop
DELAYS = (3600.0,) * 4
MEET_SECONDS = 10.0  # to read the head of each partition
SAMPLE_SECONDS = 0.5
BATCH_RECORDS = 500
BASES = (
    "text_messages",
    "financial_documents",
    "embedding_requests",
    "embeddings",
    "vector_updates",
    "summary_requests",
)


async def measure(options: argparse.Namespace) -> Report:
    """Measure over empty, then over full retry topics."""
    async with processes.broker() as broker:
        empty = await _waiting(broker, 0, options.seconds)
        full = await _waiting(broker, options.records, options.seconds)
    growth = full["rss_mb_max"] - empty["rss_mb_max"]
    cpu = full["cpu_seconds_a_minute"] - empty["cpu_seconds_a_minute"]
    return {
        "proof": "waiting",
        "records": options.records,
        "growth_mb": round(growth, 1),
        "growth_mb_max": GROWTH_MB_MAX,
        "cpu_seconds_a_minute_more": round(cpu, 2),
        "cpu_seconds_a_minute_max": CPU_SECONDS_MAX,
        "empty": empty,
        "full": full,
        "ok": growth < GROWTH_MB_MAX and cpu < CPU_SECONDS_MAX,
    }


async def _waiting(broker: Broker, records: int, seconds: float) -> Report:
    """Fill, start a worker, sample."""
    delays = ",".join(f"{delay:g}" for delay in DELAYS)
    async with processes.bench(broker, TICKERTAPE_RETRY_DELAYS=delays) as bench:
        heads = await _fill(bench, records)
        say(f"{records} records wait: starting a worker")
        worker = await bench.worker()
        await _met(worker, heads)
        found = await _sample(worker, seconds)
        done = (await worker.json("/stats"))["messages_processed"]
        assert done == heads, f"{done - heads} records did not wait"
        return {"records": records, "partitions": heads, **found}


async def _fill(bench: Bench, records: int) -> int:
    """Write the retry copies, in batches, over all retry partitions; return how many these are.

    Before them each partition gets one record that is due at once.
    """
    producer = await bench.producer()
    names = [getattr(bench.settings, f"topic_{base}") for base in BASES]
    places = [
        (base, level, partition)
        for base in names
        for level in range(len(DELAYS))
        for partition in sorted(await producer.partitions_for(topics.retry(base, level)))
    ]
    for base, level, partition in places:
        # Due, and a delete: it costs no inference and tells that the partition was read.
        due = replace(_record(base, partition, 0), value=None)
        head = copies.retry(due, base, level, 0.0, ERROR)
        await bench.send_batch(head.topic, partition, [head])
    sent = 0
    while sent < records:
        for base, level, partition in places:
            count = min(BATCH_RECORDS, records - sent)
            made = [
                copies.retry(_record(base, partition, n), base, level, DELAYS[level], ERROR)
                for n in range(sent + 1, sent + count + 1)
            ]
            if made:
                await bench.send_batch(made[0].topic, partition, made)
            sent += count
            say(f"{sent} of {records} records written to the retry topics")
    return len(places)


def _record(topic: str, partition: int, number: int) -> Record:
    """Return a record as a worker had it before its first retry."""
    id = f"waiting-{number}"
    value = f'{{"id": "{id}", "text": "{processes.text(number)}"}}'.encode()
    return Record(topic, partition, number, id.encode(), value, (), round(time.time() * 1000))


ERROR = TransientError("the store did not answer in time", dependency="store:sqlite")


async def _met(worker: Worker, heads: int) -> None:
    """Wait until the due record at the head of each partition is done: what waits is behind it."""

    async def all_done() -> bool:
        return bool((await worker.json("/stats"))["messages_processed"] == heads)

    await until(all_done, f"{heads} due records to be done")


async def _sample(worker: Worker, seconds: float) -> Report:
    """Return resident memory (MB = 2**20 bytes) and, once it has met the records, CPU."""
    process = psutil.Process(worker.process.pid)
    sizes: list[float] = []

    async def watch(seconds: float) -> float:
        """Sample for so long; return the CPU seconds used."""
        end, before = time.monotonic() + seconds, process.cpu_times()
        while (left := end - time.monotonic()) > 0:
            sizes.append(process.memory_info().rss / 2**20)
            say(f"{sizes[-1]:.0f} MB, {left:.0f} s to go")
            await asyncio.sleep(SAMPLE_SECONDS)
        now = process.cpu_times()
        return float(now.user + now.system - before.user - before.system)

    await watch(MEET_SECONDS)
    used = await watch(seconds)
    return {
        "rss_mb_max": round(max(sizes), 1),
        "rss_mb_median": round(statistics.median(sizes), 1),
        "rss_mb_first": round(sizes[0], 1),
        "rss_mb_last": round(sizes[-1], 1),
        "cpu_seconds_a_minute": round(used * 60 / seconds, 2),
    }


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    for name in ("empty", "full"):
        found = report[name]
        yield (
            f"{found['records']:>9} records wait: {found['rss_mb_max']:.0f} MB at most, "
            f"{found['cpu_seconds_a_minute']:.1f} s of CPU a minute"
        )
    yield f"growth {report['growth_mb']:.1f} MB, target under {report['growth_mb_max']:.0f} MB"


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=int, default=1_000_000, help="default 1000000")
    parser.add_argument("--seconds", type=float, default=60.0, help="of sampling (default 60)")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
