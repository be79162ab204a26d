"""Documents a second of 1, 2 and 4 workers on one machine, and what a rebalance costs.

``python -m loadtest.scale [--cost 120] [--seconds 20] [--rounds 3] [--json]``

The model is a stub that sleeps ``--cost`` microseconds a padded token, as a GPU of its own would
keep each worker waiting: so one worker is bound by its model, and the machine's cores carry four.
``cpu`` says how much of all cores the workers and the broker used meanwhile; near 1 they were the
bound. All workers write to the same store. A round measures each number of workers once, over
so many documents that it takes about ``--seconds``.

The cost of a rebalance: a third worker joins two that work on a backlog, and one leaves by
SIGTERM. It is the longest time without any progress (commits) from then on; ``steady`` is the
longest without a rebalance, as windows are committed at once. Windows are small here, to see it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from loadtest import data, figures, processes
from loadtest.corpus import Corpus
from loadtest.intake import SESSION, Intake, Taken, intake
from loadtest.processes import Report, say
from loadtest.stub_embedder import COST
from testkit.broker import Broker
from testkit.system import Worker, until
from tickertape.embed.engine import cores

COUNTS = (1, 2, 4)
RATIO_MIN = 3.5
WARM_DOCUMENTS = 128  # a worker
WINDOW = {"TICKERTAPE_WINDOW_RECORDS": "32"}
POLL_SECONDS = 0.05
STEADY_SECONDS = 10.0
AFTER_SECONDS = 10.0  # how long the gaps after a change are watched, once it is done
BACKLOG_SECONDS = 120.0

Progress = list[tuple[float, int]]  # monotonic seconds, records committed by then


async def measure(options: argparse.Namespace) -> Report:
    """Measure both."""
    corpus = Corpus.read(options.data)
    cost = {COST: str(options.cost)}
    async with processes.broker() as broker:
        rounds = await _scaled(broker, corpus, options, cost)
        rebalances = await _rebalances(broker, corpus, cost)
    one = [taken.per_second for taken in rounds[1]]
    ratios = {
        count: figures.ratios([taken.per_second for taken in found], one)
        for count, found in rounds.items()
    }
    return {
        "loadtest": "scale",
        "cost_microseconds": options.cost,
        "per_second": {
            count: figures.spread((taken.per_second for taken in found), 0)
            for count, found in rounds.items()
        },
        "cpu": {count: figures.spread(map(_cpu, found), 2) for count, found in rounds.items()},
        "ratios": ratios,
        "ratio_min": RATIO_MIN,
        "rebalance": rebalances,
        "ok": ratios[max(COUNTS)]["median"] >= RATIO_MIN,
    }


def _cpu(taken: Taken) -> float:
    """Return the part of all cores that workers and broker used."""
    return (taken.worker_cpu + taken.broker_cpu) / taken.seconds / cores()


async def _scaled(
    broker: Broker, corpus: Corpus, options: argparse.Namespace, cost: dict[str, str]
) -> dict[int, list[Taken]]:
    """Return a run a round for each number of workers."""
    found: dict[int, list[Taken]] = {count: [] for count in COUNTS}
    for number in range(options.rounds):
        for count in COUNTS if number % 2 == 0 else reversed(COUNTS):
            say(f"round {number + 1} of {options.rounds}: workers: {count}")
            async with processes.bench(broker, **SESSION, **cost) as bench, intake(bench) as into:
                workers = await _share(into, count)
                warm = await into.take(corpus.take(WARM_DOCUMENTS * count), *workers)
                rate = max([taken.per_second for taken in found[count]], default=warm.per_second)
                documents = round(rate * options.seconds)
                found[count].append(await into.take(corpus.take(documents), *workers))
    return found


async def _rebalances(broker: Broker, corpus: Corpus, cost: dict[str, str]) -> Report:
    """Return the seconds without progress: steady, when a worker joins, when one leaves."""
    async with processes.bench(broker, **cost, **WINDOW) as bench, intake(bench) as into:
        say("two workers with a backlog")
        workers = await _share(into, 2)
        warm = await into.take(corpus.take(WARM_DOCUMENTS * 4), *workers)
        await into.fill(corpus.take(round(warm.per_second * BACKLOG_SECONDS)))
        async with _followed(into) as progress:
            await asyncio.sleep(STEADY_SECONDS)
            began = time.monotonic()
            steady = longest_gap(progress, began - STEADY_SECONDS / 2, began)
            say("a third joins")
            third = await bench.start("loadtest.stub")
            await _settled(into, [*workers, third])
            await asyncio.sleep(AFTER_SECONDS)
            join = longest_gap(progress, began, time.monotonic())
            say("one leaves")
            began = time.monotonic()
            await workers[0].stop()
            await _settled(into, [workers[1], third])
            await asyncio.sleep(AFTER_SECONDS)
            leave = longest_gap(progress, began, time.monotonic())
            assert progress[-1][1] < into.written, "the backlog was over before the rebalances"
    found = {"steady_seconds": steady, "join_seconds": join, "leave_seconds": leave}
    return {name: round(seconds, 2) for name, seconds in found.items()}


async def _share(into: Intake, count: int) -> list[Worker]:
    """Start workers and wait until each has its part of the partitions."""
    workers = [await into.bench.start("loadtest.stub") for _ in range(count)]
    await _settled(into, workers)
    return workers


async def _settled(into: Intake, workers: list[Worker]) -> None:
    """Wait until each worker has some of the partitions, and nobody else any."""
    producer = await into.bench.producer()
    # The flow has a second topic, of records that it gave another key, with as many partitions.
    partitions = 2 * len(await producer.partitions_for(into.topic))
    for worker in workers:
        await worker.ready()

    async def shared() -> bool:
        flows = await asyncio.gather(*(worker.flow("text") for worker in workers))
        parts = [flow["partitions"] for flow in flows]
        return bool(min(parts) > 0 and sum(parts) == partitions)

    await until(shared, f"{len(workers)} workers to share {partitions} partitions")


@asynccontextmanager
async def _followed(into: Intake) -> AsyncIterator[Progress]:
    """Yield a list that grows while the block runs."""
    progress: Progress = []

    async def follow() -> None:
        while True:
            progress.append((time.monotonic(), await into.committed()))
            await asyncio.sleep(POLL_SECONDS)

    async with processes.beside(follow()):
        yield progress


def longest_gap(progress: Progress, first: float, last: float) -> float:
    """Return the longest time without progress between two moments, in seconds.

    A gap that began before ``first`` counts from its own beginning.
    """
    longest = 0.0
    moved_at, done = progress[0]
    for at, count in progress:
        if at > last:
            break
        if count > done:
            moved_at, done = at, count
        if at >= first:
            longest = max(longest, at - moved_at)
    return longest


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    for count, rate in report["per_second"].items():
        ratio = report["ratios"][count]
        yield (
            f"workers: {count}, {rate['median']:.0f} documents a second ({rate['min']:.0f} to "
            f"{rate['max']:.0f}), {ratio['median']:.2f} of one ({ratio['min']:.2f} to "
            f"{ratio['max']:.2f}), {report['cpu'][count]['median']:.0%} of the cores"
        )
    yield f"target: {max(COUNTS)} workers at least {report['ratio_min']} of one"
    cost = report["rebalance"]
    yield (
        f"longest without a commit: {cost['join_seconds']:.1f} s when a worker joins, "
        f"{cost['leave_seconds']:.1f} s when one leaves, else {cost['steady_seconds']:.1f} s"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    data.add_option(parser, data.PARAGRAPHS)
    parser.add_argument(
        "--cost", type=float, default=120.0, help="microseconds a padded token (default 120)"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of a run (default 20)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
