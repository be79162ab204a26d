"""Memory of a worker over many documents: its peak, whether it grows, and bytes stored.

``python -m loadtest.memory [--documents 100000] [--real] [--json]``

A worker with a stub model (``--real``: with the real one, which is what the bound on the peak is
for) works off real paragraphs, in parts of a tenth. After each of the first nine come inputs at
the limits: a text of the largest size allowed, one over it, a record as large as Kafka takes, and
one that is all one word. Resident memory (MB = 2**20 bytes) is sampled all the time. The slope is
that after the first three tenths, in MB per 10,000 documents, with its standard error, of samples
between those inputs. Bytes are those of the store's files after the first part, which has
paragraphs alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loadtest import data, figures, processes, usage
from loadtest.corpus import Corpus
from loadtest.intake import Intake, intake
from loadtest.processes import Bench, Report, say
from testkit.system import Worker
from tickertape.stores.sqlite.store import FILE
from tickertape.topics import RECORD_BYTES_MAX

PEAK_MB_MAX = 600.0
PARTS = 10
WARM_PARTS = 3
SLOPE_PER = 10_000
ERRORS_MAX = 2.0  # a slope of so many standard errors is noise
SAMPLE_SECONDS = 0.5
FRAME_BYTES = 1_000  # what Kafka and JSON need around a record's text
WORDS = "Revenue rose by 4.2 percent in the quarter. "


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory at so many documents. ``plain``: only paragraphs were under way."""

    documents: int
    mb: float
    plain: bool


class Watch:
    """Samples a worker's memory."""

    def __init__(self, into: Intake, worker: Worker) -> None:
        self.samples: list[Sample] = []
        self.plain = True
        self._into = into
        self._pid = worker.process.pid

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            done, mb = await self._into.committed(), usage.rss_mb(self._pid)
            self.samples.append(Sample(done, mb, self.plain))
            say(f"{done} documents, {mb:.0f} MB")
            await asyncio.sleep(SAMPLE_SECONDS)


async def measure(options: argparse.Namespace) -> Report:
    """Work the documents off, part by part."""
    corpus = Corpus.read(options.data)
    async with processes.broker() as broker, processes.bench(broker) as bench:
        say("starting a worker")
        worker = await (await bench.start("app" if options.real else "loadtest.stub")).ready()
        async with intake(bench) as into:
            watch = Watch(into, worker)
            began = time.monotonic()
            async with processes.beside(watch.run()):
                for part in range(PARTS):
                    await into.fill(corpus.take(options.documents // PARTS))
                    await into.empty()
                    if part == 0:
                        stored = await _stored(bench)
                    if part < PARTS - 1:
                        watch.plain = False
                        await _oversized(bench, into, part)
                        watch.plain = True
            seconds = time.monotonic() - began
        peak = usage.peak_mb(worker.process.pid)
        dead = (await worker.flow("text"))["dead"]
    assert dead == PARTS - 1 + PARTS - 1, f"{dead} of the inputs over the limit are dead letters"
    return _report(options, watch.samples, peak) | stored | {"seconds": round(seconds)}


async def _oversized(bench: Bench, into: Intake, part: int) -> None:
    """Send inputs at the limits, and wait until they are done."""
    limit = bench.settings.text_bytes_max
    texts = {
        "limit": _words(limit),
        "over": _words(limit + 1),
        "record": _words(RECORD_BYTES_MAX - FRAME_BYTES),
        "word": "a" * limit,
    }
    producer = await bench.producer()
    for name, text in texts.items():
        say(f"part {part + 1} of {PARTS} is done; a text of {len(text)} bytes")
        id = f"{name}-{part}"
        value = json.dumps({"id": id, "text": text}).encode()
        partition = sorted(await producer.partitions_for(into.topic))[0]
        await producer.send_and_wait(into.topic, value, key=id.encode(), partition=partition)
        into.wrote(partition, 1)
    await into.empty()


def _words(size: int) -> str:
    return (WORDS * (size // len(WORDS) + 1))[:size]


async def _stored(bench: Bench) -> Report:
    """Return what a document takes in the store."""
    async with bench.store() as store:
        counts = await store.count()
    size = sum(file.stat().st_size for file in bench.settings.data_dir.glob(f"{FILE}*"))
    return {
        "store_bytes_a_document": round(size / counts.documents),
        "store_bytes_a_chunk": round(size / counts.chunks),
    }


def _report(options: argparse.Namespace, samples: Sequence[Sample], peak: float) -> Report:
    least = options.documents * WARM_PARTS / PARTS
    warm = [sample for sample in samples if sample.plain and sample.documents >= least]
    slope, error = figures.slope([s.documents / SLOPE_PER for s in warm], [s.mb for s in warm])
    flat = slope <= ERRORS_MAX * error
    return {
        "loadtest": "memory",
        "model": "real" if options.real else "stub",
        "documents": options.documents,
        "peak_mb": round(peak, 1),
        "peak_mb_max": PEAK_MB_MAX,
        "first_mb": round(samples[0].mb, 1),
        "last_mb": round(samples[-1].mb, 1),
        "slope_mb_per_10000": round(slope, 2),
        "slope_error": round(error, 2),
        "flat": flat,
        "by_part": _by_part(samples, options.documents),
        "ok": flat and peak <= PEAK_MB_MAX,
    }


def _by_part(samples: Sequence[Sample], documents: int) -> list[float]:
    """Return the highest sample of each part."""
    most = [0.0] * PARTS
    for sample in samples:
        part = min(sample.documents * PARTS // documents, PARTS - 1)
        most[part] = max(most[part], round(sample.mb, 1))
    return most


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    yield f"highest in each tenth, MB: {', '.join(f'{mb:.0f}' for mb in report['by_part'])}"
    yield (
        f"peak {report['peak_mb']:.0f} MB, target {report['peak_mb_max']:.0f} MB; slope "
        f"{report['slope_mb_per_10000']:.2f} +- {report['slope_error']:.2f} MB per 10,000"
    )
    yield (
        f"stored: {report['store_bytes_a_document']} bytes a document, "
        f"{report['store_bytes_a_chunk']} a chunk"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    data.add_option(parser, data.PARAGRAPHS)
    parser.add_argument("--documents", type=int, default=100_000, help="default 100000")
    parser.add_argument("--real", action="store_true", help="with the real model")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
