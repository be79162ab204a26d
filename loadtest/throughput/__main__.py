"""Documents a second: Tickertape beside its own ceiling and beside what people use instead.

``python -m loadtest.throughput [--ours | --peers] [--rounds 5] [--seconds 12] [--json]``

Legs, over the same paragraphs, one after the other in rounds, every other round backwards:

- ceiling: the engine, file, batch budget and lanes of the worker and nothing around them, over
  texts that are tokenised before the clock starts;
- sentence_transformers: `encode` at the batch size that was best on this machine just before;
- tutorial: an aiokafka consumer, one message at a time: encode, insert into SQLite, commit;
- tickertape: a worker, from Kafka to its store, until the last offset is committed. The records
  are in Kafka before its clock starts;
- main_job: the same worker with financial documents (the demo's, and earnings calls where the data
  has them), until each is stored and summarised and all offsets are committed; beside the ceiling
  for the chunks of the same documents, which embeds nothing for summaries;
- with ``--peers``: others, where they can be installed (`loadtest.throughput.peers`).

``--ours`` leaves out sentence_transformers and the tutorial, whose environment takes 5 GB.

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
from loadtest.corpus import LENGTHS, Corpus, Filings
from loadtest.intake import SESSION, Intake, intake
from loadtest.processes import Bench, Report, say
from loadtest.throughput.legs import (
    BATCH_SIZES,
    Ceiling,
    Encode,
    Job,
    Leg,
    MainJob,
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
WARM_FILINGS = 32
SETTLE_SECONDS = 1.5  # so that a worker that is stopped again has told its group that it lives
MAIN_RATIOS = {"main_job_over_ceiling": ("main_job", "ceiling")}
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
    main_job: MainJob
    into: Intake
    missing: Mapping[str, str]  # peers that cannot be had, and why

    async def run(self, leg: Leg, corpus: Corpus | Filings, documents: int) -> Used:
        """Run one leg while the worker, which alone would do anything, is stopped."""
        texts = corpus.take(documents)
        if isinstance(leg, Tickertape):
            return await leg.run(texts)
        with usage.stopped(self.worker.pid):
            used = await leg.run(texts)
        await asyncio.sleep(SETTLE_SECONDS)
        await self.worker.worker.ready()  # a leg that took too long has cost it its partitions
        return used


async def measure(options: argparse.Namespace) -> Report:
    """Run the rounds for each mix of lengths."""
    found: dict[str, Report] = {}
    main: dict[str, Report] = {}
    async with (
        processes.broker() as broker,
        processes.bench(broker, **SESSION) as bench,
        intake(bench) as into,
        intake(
            bench, bench.settings.topic_financial_documents, [bench.settings.topic_summary_requests]
        ) as filings,
        _legs(bench, into, filings, options) as bed,
    ):
        idle = await _idle_broker(bed)
        encode = next((leg for leg in bed.legs if isinstance(leg, Encode)), None)
        for lengths in options.lengths:
            corpus = Corpus.read(options.data, lengths)
            sizes = await _batch_sizes(bed, encode, corpus) if encode else {}
            rounds = await _rounds(bed, bed.legs, corpus, lengths, options)
            found[lengths] = await _summary(bed, corpus, rounds, RATIOS)
            found[lengths]["batch_sizes"] = sizes
        for kind, documents in _filings(options.data).items():
            legs = (bed.ceiling, bed.main_job)
            rounds = await _rounds(bed, legs, documents, kind, options)
            main[kind] = await _summary(bed, documents, rounds, MAIN_RATIOS)
        every = (*bed.legs, bed.main_job)
        peaks = {leg.name: round(usage.peak_mb(leg.pid)) for leg in every}
    first, job = found[options.lengths[0]], next(iter(main.values()))
    spread = {**first["ratios"], **job["ratios"]}
    ratios = {name: each["median"] for name, each in spread.items()}
    targets = {name: least for name, least in machine.targets().items() if name in ratios}
    return {
        "loadtest": "throughput",
        "model": bed.ceiling.model,
        "machine": machine.describe(),
        "engines": {leg.name: leg.engine for leg in every},
        "lengths": options.lengths[0],
        "ratios": ratios,
        "spread": spread,
        "targets": targets,
        "targets_with_vnni": machine.targets(vnni=True),
        "legs": {**first["legs"], "main_job": job["legs"]["main_job"]},
        "peak_mb": peaks,
        "idle_broker_cpu": idle,
        "by_length": found,
        "main_job": main,
        "peers_missing": dict(bed.missing),
        "ok": all(ratios[name] >= least for name, least in targets.items()),
    }


def _filings(paragraphs: Path) -> dict[str, Filings]:
    """The demo's documents; earnings calls, where they lie beside the paragraphs."""
    found = {"samples": Filings.samples()}
    calls = paragraphs.with_name(data.CALLS)
    if calls.is_file():
        found["calls"] = Filings.calls(calls)
    return found


@asynccontextmanager
async def _legs(
    bench: Bench, into: Intake, filings: Intake, options: argparse.Namespace
) -> AsyncIterator[Bed]:
    """Start all, and stop them at the end."""
    environment = ExportEnv(model_settings().data_dir / "export-env")
    if not options.ours:
        await asyncio.to_thread(environment.ensure, say, (CARRIER, CLIENT))
    say("starting the legs")
    worker = await bench.worker()
    module = "loadtest.throughput.encode_job"
    async with AsyncExitStack() as stack:

        async def job(python: Path | str, name: str, *args: str, env: Mapping[str, str]) -> Job:
            made = await Job.start(python, name, *args, env=env, folder=bench.folder)
            stack.push_async_callback(made.stop)
            return made

        ceiling = await Ceiling.of(
            await job(sys.executable, "loadtest.throughput.ceiling_job", env=bench.env)
        )
        theirs: list[Leg] = []
        if not options.ours:
            env = offline()
            encode = await job(environment.python, module, CARRIER_MODULE, env=env)
            consume = await job(environment.python, module, CARRIER_MODULE, env=env)
            theirs = [Encode(encode), Tutorial(consume, into)]
        ours = Tickertape(worker, into, ceiling.engine)
        main_job = MainJob(worker, filings, ceiling.engine)
        others: Sequence[Leg] = ()
        missing: dict[str, str] = {}
        if options.peers:
            others, missing = await stack.enter_async_context(peers(into))
        legs = (ceiling, *theirs, *others, ours)
        yield Bed(legs, ceiling, ours, main_job, into, missing)


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


async def _rounds(
    bed: Bed,
    legs: Sequence[Leg],
    corpus: Corpus | Filings,
    kind: str,
    options: argparse.Namespace,
) -> Rounds:
    """Give each leg as many texts as take it ``--seconds``; a first run, not counted, tells.

    The worker gets as many as the ceiling: of a short first run its last commit is too large a
    part.
    """
    warm_up = WARM_DOCUMENTS if isinstance(corpus, Corpus) else WARM_FILINGS
    counts: dict[str, int] = {}
    for leg in legs:
        say(f"{kind}: how many texts {leg.name} needs")
        await bed.run(leg, corpus, warm_up // 4)
        warm = await bed.run(leg, corpus, warm_up)
        counts[leg.name] = max(round(warm.per_second * options.seconds), warm_up)
    for leg in legs:
        if isinstance(leg, Tickertape):
            counts[leg.name] = counts[bed.ceiling.name]
    found: Rounds = {leg.name: [] for leg in legs}
    for number in range(options.rounds):
        for leg in legs if number % 2 == 0 else reversed(legs):
            count = counts[leg.name]
            say(f"{kind}, round {number + 1} of {options.rounds}: {leg.name}, {count} texts")
            found[leg.name].append(await bed.run(leg, corpus, count))
    return found


async def _summary(
    bed: Bed, corpus: Corpus | Filings, rounds: Rounds, ratios: Mapping[str, tuple[str, str]]
) -> Report:
    """Return each leg's figures, and the ratios."""
    sample = corpus.take(WARM_FILINGS)
    tokens = await bed.ceiling.tokens(sample) / len(sample)
    return {
        "tokens_a_document": round(tokens, 1),
        "legs": {name: _leg(used, tokens) for name, used in rounds.items()},
        "ratios": {
            name: figures.ratios(
                [used.per_second for used in rounds[over]],
                [used.per_second for used in rounds[under]],
            )
            for name, (over, under) in ratios.items()
            if {over, under} <= rounds.keys()
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
    yield f"{report['model']}; {report['machine']['described']}"
    every = {f"{kind} texts": found for kind, found in report["by_length"].items()}
    every |= {f"documents ({kind})": found for kind, found in report["main_job"].items()}
    for kind, found in every.items():
        yield f"{kind}, {found['tokens_a_document']:.0f} tokens each:"
        for name, leg in found["legs"].items():
            rate, cpu = leg["documents_per_second"], leg.get("cpu_with_broker", leg["cpu"])
            yield (
                f"  {name:22} {rate['median']:7.1f} documents/s ({rate['min']:.1f} to "
                f"{rate['max']:.1f}), {leg['tokens_per_second']['median']:.0f} tokens/s, "
                f"{cpu['median']:.2f} s of CPU per 1,000, by {report['engines'][name]}"
            )
        for name, ratio in found["ratios"].items():
            yield f"  {name} {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"
    peaks = ", ".join(f"{name} {mb} MB" for name, mb in report["peak_mb"].items())
    yield f"peak memory: {peaks}"
    for name, why in report["peers_missing"].items():
        yield f"without {name}: {why}"
    best = report["targets_with_vnni"]
    yield f"targets on {report['machine']['instructions']}: " + ", ".join(
        f"{name} {least}" + (f" ({best[name]} with VNNI)" if best[name] != least else "")
        for name, least in report["targets"].items()
    )


def _options(parser: argparse.ArgumentParser) -> None:
    data.add_option(parser, data.PARAGRAPHS)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--ours", action="store_true", help="no sentence-transformers, no tutorial")
    which.add_argument("--peers", action="store_true", help="infinity and Pathway as well")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each run (default 12)")
    parser.add_argument(
        "--lengths", nargs="+", choices=LENGTHS, default=list(LENGTHS), help="default all"
    )


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
