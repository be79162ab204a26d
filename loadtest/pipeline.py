"""What one worker process carries when its model costs nothing.

``python -m loadtest.pipeline [--documents 20000] [--rounds 3] [--profile FILE] [--json]``

Real paragraphs wait in Kafka; a worker with a stub model (`loadtest.stub`: the real tokeniser,
vectors for nothing) stores them. A round's clock runs from the moment the worker may read until
the last offset is committed. CPU seconds are those per 1,000 documents. ``--profile`` writes what
the threads that hold the GIL do meanwhile (py-spy, raw stacks with counts).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import signal
import statistics
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from loadtest import data, figures, processes, usage
from loadtest.corpus import Corpus
from loadtest.intake import SESSION, Taken, intake
from loadtest.processes import Report, say

PER_SECOND_MIN = 3_000.0
WARM_DOCUMENTS = 1_000


async def measure(options: argparse.Namespace) -> Report:
    """Run the rounds."""
    corpus = Corpus.read(options.data)
    found: list[Taken] = []
    async with processes.broker() as broker, processes.bench(broker, **SESSION) as bench:
        say("starting a worker")
        worker = await (await bench.start("loadtest.stub")).ready()
        async with intake(bench) as into:
            await into.take(corpus.take(WARM_DOCUMENTS), worker)
            async with _profiled(worker.process.pid, options.profile):
                for number in range(options.rounds):
                    say(f"round {number + 1} of {options.rounds}: {options.documents} documents")
                    found.append(await into.take(corpus.take(options.documents), worker))
            stored, sent = await into.stored(), WARM_DOCUMENTS + sum(t.records for t in found)
            assert stored == sent, f"{stored} documents are stored, expected {sent}"
        peak = usage.peak_mb(worker.process.pid)
    rate = statistics.median(taken.per_second for taken in found)
    return {
        "loadtest": "pipeline",
        "documents": options.documents,
        "per_second": figures.spread((taken.per_second for taken in found), 0),
        "per_second_min": PER_SECOND_MIN,
        "over_target": round(rate / PER_SECOND_MIN, 3),
        "worker_cpu": figures.spread(t.a_thousand(t.worker_cpu) for t in found),
        "broker_cpu": figures.spread(t.a_thousand(t.broker_cpu) for t in found),
        "peak_mb": round(peak),
        "ok": rate >= PER_SECOND_MIN,
    }


@contextlib.asynccontextmanager
async def _profiled(pid: int, file: Path | None) -> AsyncIterator[None]:
    """Write a profile of what the process does while the block runs."""
    if file is None:
        yield
        return
    spy = shutil.which("py-spy") or str(Path(sys.executable).with_name("py-spy"))
    process = await asyncio.create_subprocess_exec(
        *(spy, "record", "--gil", "--format", "raw", "--output", str(file), "--pid", str(pid)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        _, told = await process.communicate()
        if process.returncode:
            print(told.decode("utf-8", "replace"), file=sys.stderr)


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    rate, worker, broker = report["per_second"], report["worker_cpu"], report["broker_cpu"]
    yield (
        f"{rate['median']:.0f} documents a second ({rate['min']:.0f} to {rate['max']:.0f}), "
        f"target {report['per_second_min']:.0f}"
    )
    yield (
        f"CPU seconds per 1,000 documents: worker {worker['median']:.2f}, "
        f"broker {broker['median']:.2f}; peak of the worker {report['peak_mb']} MB"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    data.add_option(parser, data.PARAGRAPHS)
    parser.add_argument("--documents", type=int, default=20_000, help="a round (default 20000)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="write a profile by py-spy")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
