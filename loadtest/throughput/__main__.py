"""Documents a second: Tickertape beside its own ceiling and beside what people use instead.

``python -m loadtest.throughput [--peers] [--rounds 5] [--seconds 12] [--json]``

Legs, over the same paragraphs, one after the other in rounds, every other round backwards:

- ceiling: the engine, file, batch budget and lanes of the worker and nothing around them, over
  texts that are tokenised before the clock starts;
- sentence_transformers: `encode` at the batch size that was best on this machine just before;
- tutorial: an aiokafka consumer, one message at a time: encode, insert into SQLite, commit;
- tickertape: a worker, from Kafka to its store, until the last offset is committed. The records
  are in Kafka before its clock starts;
- with ``--peers``: others, where they can be installed (`loadtest.throughput.peers`).

While one runs, the others are stopped. The broker runs all the time; what it uses while no leg
needs it is told. Ratios are medians over rounds; a round's two figures are seconds apart. CPU
seconds are per 1,000 documents, memory is the most that a leg's process ever had (2**20 bytes).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest import data, figures, machine, processes, usage
from loadtest.corpus import LENGTHS, Corpus
from loadtest.intake import SESSION, Intake, intake
from loadtest.processes import Bench, Report, say
from loadtest.throughput.legs import (
    BATCH_SIZES,
    Ceiling,
    Encode,
    Job,
    Leg,
    Tickertape,
    Tutorial,
    Used,
    offline,
)
from loadtest.throughput.peers import peers
from testkit.models import model_settings
from tickertape.embed.export import CARRIER, CARRIER_MODULE
from tickertape.embed.export_env import ExportEnv

CLIENT = "aiokafka>=0.12,<0.15"
WARM_DOCUMENTS = 256
SETTLE_SECONDS = 1.5  # so that a worker that is stopped again has told its group that it lives
RATIOS = {
    "pipeline_over_ceiling": ("tickertape", "ceiling"),
    "pipeline_over_tutorial": ("tickertape", "tutorial"),
    "ceiling_over_sentence_transformers": ("ceiling", "sentence_transformers"),
}

Rounds = dict[str, list[Used]]  # leg: one a round


@dataclass(frozen=True, slots=True)
class Bed:
    """What is compared, and where Tickertape's part reads from."""

    legs: Sequence[Leg]
    ceiling: Ceiling
    worker: Tickertape
    into: Intake
    missing: Mapping[str, str]  # peers that cannot be had, and why

    async def run(self, leg: Leg, corpus: Corpus, documents: int) -> Used:
        """Run one leg while the worker, which alone would do anything, is stopped."""
        texts = corpus.take(documents)
        if leg is self.worker:
            return await leg.run(texts)
        with usage.stopped(self.worker.pid):
            used = await leg.run(texts)
        await asyncio.sleep(SETTLE_SECONDS)
        await self.worker.worker.ready()  # a leg that took too long has cost it its partitions
        return used


async def measure(options: argparse.Namespace) -> Report:
    """Run the rounds for each mix of lengths."""
    found: dict[str, Report] = {}
    async with (
        processes.broker() as broker,
        processes.bench(broker, **SESSION) as bench,
        intake(bench) as into,
        _legs(bench, into, options.peers) as bed,
    ):
        idle = await _idle_broker(bed)
        encode = next(leg for leg in bed.legs if isinstance(leg, Encode))
        for lengths in options.lengths:
            corpus = Corpus.read(options.data, lengths)
            sizes = await _batch_sizes(bed, encode, corpus)
            rounds = await _rounds(bed, corpus, lengths, options)
            found[lengths] = await _summary(bed, corpus, rounds)
            found[lengths]["batch_sizes"] = sizes
        about = await bed.ceiling.about()
        peaks = {leg.name: round(usage.peak_mb(leg.pid)) for leg in bed.legs}
    main = found[options.lengths[0]]
    targets = machine.targets()
    return {
        "loadtest": "throughput",
        **about,
        "machine": machine.describe(),
        "lengths": options.lengths[0],
        "ratios": {name: each["median"] for name, each in main["ratios"].items()},
        "spread": main["ratios"],
        "targets": targets,
        "legs": main["legs"],
        "peak_mb": peaks,
        "idle_broker_cpu": idle,
        "by_length": found,
        "peers_missing": dict(bed.missing),
        "ok": all(main["ratios"][name]["median"] >= least for name, least in targets.items()),
    }


@asynccontextmanager
async def _legs(bench: Bench, into: Intake, with_peers: bool) -> AsyncIterator[Bed]:
    """Start all, and stop them at the end."""
    environment = ExportEnv(model_settings().data_dir / "export-env")
    await asyncio.to_thread(environment.ensure, say, (CARRIER, CLIENT))
    say("starting the legs")
    worker = await bench.worker()
    module = "loadtest.throughput.encode_job"
    async with AsyncExitStack() as stack:

        async def job(python: Path | str, name: str, *args: str, env: Mapping[str, str]) -> Job:
            made = await Job.start(python, name, *args, env=env, folder=bench.folder)
            stack.push_async_callback(made.stop)
            return made

        ceiling = Ceiling(
            await job(sys.executable, "loadtest.throughput.ceiling_job", env=bench.env)
        )
        encode = Encode(await job(environment.python, module, CARRIER_MODULE, env=offline()))
        tutorial = Tutorial(
            await job(environment.python, module, CARRIER_MODULE, env=offline()), into
        )
        ours = Tickertape(worker, into)
        others: Sequence[Leg] = ()
        missing: dict[str, str] = {}
        if with_peers:
            others, missing = await stack.enter_async_context(peers(into))
        yield Bed((ceiling, encode, tutorial, *others, ours), ceiling, ours, into, missing)


async def _batch_sizes(bed: Bed, encode: Encode, corpus: Corpus) -> dict[int, float]:
    """Try each and keep the best; return each one's documents a second."""
    found = {}
    await bed.run(encode, corpus, WARM_DOCUMENTS // 4)
    for size in BATCH_SIZES:
        say(f"sentence-transformers in batches of {size}")
        encode.batch_size = size
        found[size] = round((await bed.run(encode, corpus, WARM_DOCUMENTS)).per_second, 1)
    encode.batch_size = max(found, key=lambda size: found[size])
    return found


async def _rounds(bed: Bed, corpus: Corpus, lengths: str, options: argparse.Namespace) -> Rounds:
    """Give each leg as many texts as take it ``--seconds``; a first run, not counted, tells.

    The worker gets as many as the ceiling: of a short first run its last commit is too large a
    part.
    """
    counts: dict[str, int] = {}
    for leg in bed.legs:
        say(f"{lengths}: how many texts {leg.name} needs")
        await bed.run(leg, corpus, WARM_DOCUMENTS // 4)
        warm = await bed.run(leg, corpus, WARM_DOCUMENTS)
        counts[leg.name] = max(round(warm.per_second * options.seconds), WARM_DOCUMENTS)
    counts[bed.worker.name] = counts[bed.ceiling.name]
    found: Rounds = {leg.name: [] for leg in bed.legs}
    for number in range(options.rounds):
        for leg in bed.legs if number % 2 == 0 else reversed(bed.legs):
            count = counts[leg.name]
            say(f"{lengths}, round {number + 1} of {options.rounds}: {leg.name}, {count} texts")
            found[leg.name].append(await bed.run(leg, corpus, count))
    return found


async def _summary(bed: Bed, corpus: Corpus, rounds: Rounds) -> Report:
    """Return each leg's figures, and the ratios."""
    sample = corpus.take(WARM_DOCUMENTS)
    tokens = await bed.ceiling.tokens(sample) / len(sample)
    return {
        "tokens_a_document": round(tokens, 1),
        "legs": {name: _leg(used, tokens) for name, used in rounds.items()},
        "ratios": {
            name: figures.ratios(
                [used.per_second for used in rounds[over]],
                [used.per_second for used in rounds[under]],
            )
            for name, (over, under) in RATIOS.items()
        },
    }


def _leg(rounds: Sequence[Used], tokens: float) -> Report:
    """Return what a leg did; ``tokens`` is those of a document."""
    both = [(used.cpu + (used.broker_cpu or 0.0)) * 1000 / used.documents for used in rounds]
    found: dict[str, Any] = {
        "documents": rounds[0].documents,
        "seconds": figures.spread(used.seconds for used in rounds),
        "documents_per_second": figures.spread((used.per_second for used in rounds), 1),
        "tokens_per_second": figures.spread((used.per_second * tokens for used in rounds), 0),
        "cpu": figures.spread(used.cpu * 1000 / used.documents for used in rounds),
    }
    if rounds[0].broker_cpu is not None:
        found["cpu_with_broker"] = figures.spread(both)
    return found


async def _idle_broker(bed: Bed) -> float:
    """Return the part of a core that the broker uses while no leg needs it."""
    broker = await asyncio.to_thread(bed.into.broker_pid)
    with usage.stopped(bed.worker.pid):
        before, began = usage.cpu_seconds(broker), time.monotonic()
        await asyncio.sleep(5.0)
        used = usage.cpu_seconds(broker) - before
    return round(used / (time.monotonic() - began), 3)


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    yield f"{report['model']} by {report['engine']}; {report['machine']['cpu']}"
    for lengths, found in report["by_length"].items():
        yield f"{lengths} texts, {found['tokens_a_document']:.0f} tokens each:"
        for name, leg in found["legs"].items():
            rate, cpu = leg["documents_per_second"], leg.get("cpu_with_broker", leg["cpu"])
            yield (
                f"  {name:22} {rate['median']:7.1f} documents/s ({rate['min']:.1f} to "
                f"{rate['max']:.1f}), {leg['tokens_per_second']['median']:.0f} tokens/s, "
                f"{cpu['median']:.2f} s of CPU per 1,000"
            )
        for name, ratio in found["ratios"].items():
            yield f"  {name} {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
    peaks = ", ".join(f"{name} {mb} MB" for name, mb in report["peak_mb"].items())
    yield f"peak memory: {peaks}"
    for name, why in report["peers_missing"].items():
        yield f"without {name}: {why}"
    yield "targets: " + ", ".join(f"{name} {least}" for name, least in report["targets"].items())


def _options(parser: argparse.ArgumentParser) -> None:
    data.add_option(parser, data.PARAGRAPHS)
    parser.add_argument("--peers", action="store_true", help="infinity and Pathway as well")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each run (default 12)")
    parser.add_argument(
        "--lengths", nargs="+", choices=LENGTHS, default=list(LENGTHS), help="default all"
    )


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
