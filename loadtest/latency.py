"""How long from producing a text until a search finds it.

``python -m loadtest.latency [--seconds 60] [--json]``

Real paragraphs, a worker with the real model, at 1 and 10 documents a second and at half of what
the machine does (measured first, from a backlog). Each document that is followed has a word of
its own; from the moment it is handed to the producer, the worker's keyword search over HTTP is
asked for that word until it answers with the document. At most `POLLS_MAX` searches are under
way, with a rest between two for the same word, of a tenth of the time so far. No more than
two documents a second are followed, because asking for all would be the load. ``inference_ms`` is
one text by itself in the worker's engine, with nothing else running, measured in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx

from loadtest import data, figures, processes, usage
from loadtest.corpus import Corpus, Text
from loadtest.intake import SESSION, Intake, intake
from loadtest.processes import Bench, Report, say
from loadtest.throughput.legs import Ceiling, Job
from testkit.system import Worker

IDLE_RATES = (1.0, 10.0)  # documents a second
FOLLOWED_MAX = 2.0  # a second: each costs a dozen searches
INFERENCES = 3.0  # p50 is at most so many inferences and EXTRA_MS
EXTRA_MS = 30.0
P99_MS_MAX = 300.0  # at half of the capacity
CAPACITY_SECONDS = 10.0
WARM_DOCUMENTS = 500
SINGLE_TEXTS = 100
POLLS_MAX = 4
REST_SECONDS_MIN = 0.01
REST_PART = 0.1
CEILING = "loadtest.throughput.ceiling_job"
FOUND_SECONDS_MAX = 60.0
SETTLE_SECONDS = 2.0


class Probe:
    """Follows documents from the producer to the search."""

    def __init__(self, into: Intake, worker: Worker, client: httpx.AsyncClient) -> None:
        self._into = into
        self._url = f"http://127.0.0.1:{worker.port}/search"
        self._client = client
        self._polls = asyncio.Semaphore(POLLS_MAX)
        self.polls = 0

    async def follow(self, text: Text) -> float:
        """Send a text; return the milliseconds until it is found."""
        word = f"mark{text.id.replace('-', 'x')}"
        marked = replace(text, text=f"{word} {text.text}")
        began = time.monotonic()
        await self.send(marked)
        while True:
            async with self._polls:
                self.polls += 1
                query = {"query": word, "mode": "keyword", "k": "1"}
                found = (await self._client.get(self._url, params=query)).raise_for_status()
            passed = time.monotonic() - began
            if any(hit["id"] == text.id for hit in found.json()["results"]):
                return passed * 1000
            assert passed < FOUND_SECONDS_MAX, f"{text.id} is not found after {passed:.0f} s"
            await asyncio.sleep(max(REST_SECONDS_MIN, REST_PART * passed))

    async def send(self, text: Text) -> None:
        """Hand a text to the producer, and do not wait for its acknowledgement."""
        producer = await self._into.bench.producer()
        await producer.send(self._into.topic, text.value, key=text.id.encode())


async def measure(options: argparse.Namespace) -> Report:
    """Measure each rate."""
    corpus = Corpus.read(options.data)
    async with (
        processes.broker() as broker,
        processes.bench(broker, **SESSION) as bench,
        intake(bench) as into,
        httpx.AsyncClient(timeout=30) as client,
    ):
        say("starting a worker")
        worker = await bench.worker()
        inference = await _inference(bench, corpus, worker)
        say("what the machine can do")
        warm = await into.take(corpus.take(WARM_DOCUMENTS), worker)
        count = round(warm.per_second * CAPACITY_SECONDS)
        capacity = (await into.take(corpus.take(count), worker)).per_second
        probe = Probe(into, worker, client)
        await probe.follow(corpus.take(1)[0])  # connections, and the search's first time
        rates = [*IDLE_RATES, capacity / 2]
        found = [await _at(probe, corpus, rate, options.seconds) for rate in rates]
    p50_max = INFERENCES * inference + EXTRA_MS
    idle_ok = all(each["ms"]["p50"] <= p50_max for each in found[:-1])
    return {
        "loadtest": "latency",
        "inference_ms": round(inference, 2),
        "capacity": round(capacity, 1),
        "p50_ms_max": round(p50_max, 1),
        "p99_ms_max": P99_MS_MAX,
        "rates": found,
        "ok": idle_ok and found[-1]["ms"]["p99"] <= P99_MS_MAX,
    }


async def _inference(bench: Bench, corpus: Corpus, worker: Worker) -> float:
    """Return the milliseconds of one text in the worker's engine, tokenising not counted."""
    say("one inference")
    job = await Job.start(sys.executable, CEILING, env=bench.env, folder=bench.folder)
    try:
        single, texts = await Ceiling.of(job), corpus.take(SINGLE_TEXTS)
        with usage.stopped(worker.process.pid):
            await single.run(texts)
            return statistics.median([(await single.run([t])).seconds * 1000 for t in texts])
    finally:
        await job.stop()


async def _at(probe: Probe, corpus: Corpus, rate: float, seconds: float) -> Report:
    """Send at this rate for so long, and follow all of it or some."""
    say(f"{rate:.0f} documents a second")
    await asyncio.sleep(SETTLE_SECONDS)
    every = max(round(rate / FOLLOWED_MAX), 1)
    texts = corpus.take(round(rate * seconds))
    followed: list[asyncio.Task[float]] = []
    polls = probe.polls
    async with asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number, text in enumerate(texts):
            await asyncio.sleep(max(began + number / rate - time.monotonic(), 0))
            if number % every == 0:
                followed.append(group.create_task(probe.follow(text)))
            else:
                await probe.send(text)
    return {
        "rate": round(rate, 1),
        "followed": len(followed),
        "polls": probe.polls - polls,
        "ms": figures.percentiles([task.result() for task in followed]),
    }


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    yield (
        f"one inference {report['inference_ms']:.1f} ms; "
        f"capacity {report['capacity']:.0f} documents a second"
    )
    for each in report["rates"]:
        ms = each["ms"]
        yield (
            f"{each['rate']:7.1f} documents a second: p50 {ms['p50']:.0f} ms, p95 "
            f"{ms['p95']:.0f}, p99 {ms['p99']:.0f}, {each['followed']} followed"
        )
    yield (
        f"targets: p50 {report['p50_ms_max']:.0f} ms while the model is mostly idle, p99 "
        f"{report['p99_ms_max']:.0f} ms at half of the capacity"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    data.add_option(parser, data.PARAGRAPHS)
    parser.add_argument("--seconds", type=float, default=60.0, help="at each rate (default 60)")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
