"""Documents that did not change cost a hash, not an embedding: a corpus, then the same once more.

``python -m loadtest.unchanged [--documents 30000] [--rounds 2] [--json]``

Real paragraphs, a worker with the real model. A round sends so many new documents and times them
to the last commit, then sends the very same records again. What counts is the second time's
documents a second over the first's, as the median of the rounds. Of a corpus that is read in a
second, half of the time is the first fetch and the last commit.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from loadtest import data, figures, processes
from loadtest.corpus import Corpus
from loadtest.intake import SESSION, Taken, intake
from loadtest.processes import Report, say

RATIO_MIN = 30.0
WARM_DOCUMENTS = 256


async def measure(options: argparse.Namespace) -> Report:
    """Run the rounds."""
    corpus = Corpus.read(options.data)
    first: list[Taken] = []
    again: list[Taken] = []
    async with (
        processes.broker() as broker,
        processes.bench(broker, **SESSION) as bench,
        intake(bench) as into,
    ):
        say("starting a worker")
        worker = await bench.worker()
        await into.take(corpus.take(WARM_DOCUMENTS), worker)
        for number in range(options.rounds):
            texts = corpus.take(options.documents)
            where = f"round {number + 1} of {options.rounds}: {options.documents} documents"
            say(where)
            first.append(await into.take(texts, worker))
            texts_before = (await worker.json("/stats"))["embeddings_generated"]
            say(f"{where}, the same again")
            again.append(await into.take(texts, worker))
            embedded = (await worker.json("/stats"))["embeddings_generated"] - texts_before
            assert embedded == 0, f"{embedded} chunks that did not change were embedded"
    ratio = figures.ratios([each.per_second for each in again], [each.per_second for each in first])
    return {
        "loadtest": "unchanged",
        "documents": options.documents,
        "ratio": ratio,
        "ratio_min": RATIO_MIN,
        "first_per_second": figures.spread((each.per_second for each in first), 0),
        "again_per_second": figures.spread((each.per_second for each in again), 0),
        "first_cpu": figures.spread(each.a_thousand(each.worker_cpu) for each in first),
        "again_cpu": figures.spread(each.a_thousand(each.worker_cpu) for each in again),
        "ok": ratio["median"] >= RATIO_MIN,
    }


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    for name in ("first", "again"):
        rate, cpu = report[f"{name}_per_second"], report[f"{name}_cpu"]
        yield (
            f"{name}: {rate['median']:.0f} documents a second ({rate['min']:.0f} to "
            f"{rate['max']:.0f}), {cpu['median']:.2f} s of the worker's CPU per 1,000"
        )
    ratio = report["ratio"]
    yield (
        f"unchanged over new: {ratio['median']:.1f} ({ratio['min']:.1f} to {ratio['max']:.1f}), "
        f"target {report['ratio_min']:.0f}"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    data.add_option(parser, data.PARAGRAPHS)
    parser.add_argument("--documents", type=int, default=30_000, help="a round (default 30000)")
    parser.add_argument("--rounds", type=int, default=2, help="default 2")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
