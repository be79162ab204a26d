"""While one flow is held the others keep their throughput.

``python -m loadtest.paused [--rounds 5] [--seconds 8] [--json]``

One worker under steady load on text-messages, embedding-requests and financial-documents, with
the summaries of these by a stand-in LLM server (`testkit.llm.double`). The model is tiny, so that
delivery is measured and not inference. The load of a round is a fifth of what the machine did
just before, so that each flow can keep its own. A round: all flows run; the LLM answers 503, which
holds the summaries; all flows run; one flow is held as POST /stop holds all, and its topic is
flooded with more than a flow takes into memory. What counts is each other flow's records a second
while one is held over the same flow's just before, as the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx

from loadtest import processes
from loadtest.chaos.world import Double
from loadtest.processes import Bench, Report, say
from loadtest.tiny_model import tiny_model
from testkit.system import WAIT_SECONDS_MAX, Worker, until
from tickertape.record import Outgoing

RATIO_MIN = 0.9
LOAD_PART = 0.2
WARM_RECORDS = 200
CAPACITY_RECORDS = 2_000
FLOOD_RECORDS = 6_000  # more than a flow takes into memory
BATCH_RECORDS = 500
SETTLE_SECONDS = 1.0
POLL_SECONDS = 0.1
LATE_SECONDS = 1.0  # a flow keeps up when no more than so much of its load waits
SUMMARIES = "summaries"
STOPPED = "text"  # the flow that is held by hand


@dataclass(frozen=True, slots=True)
class Offer:
    """What a flow is sent: its topic's setting, a record's fields, its part of the rate."""

    setting: str
    id_name: str
    text_name: str
    part: float


OFFERS = {
    "text": Offer("topic_text_messages", "id", "text", 1.0),
    "requests": Offer("topic_embedding_requests", "document_id", "content", 1.0),
    "documents": Offer("topic_financial_documents", "id", "text", 0.2),
}
FLOWS = (*OFFERS, SUMMARIES)

Rates = dict[str, float]  # flow: records a second


class Load:
    """The steady load of all flows, and floods."""

    def __init__(self, bench: Bench) -> None:
        self.rate = 0.0  # records a second of a flow whose part is 1
        self._bench = bench
        self._sent = dict.fromkeys(OFFERS, 0)
        self._turn = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the block runs; an error of the sending is raised at its end."""
        async with processes.beside(*(self._steadily(flow) for flow in OFFERS)):
            yield

    async def flood(self, flow: str, records: int) -> None:
        """Send many at once."""
        for first in range(0, records, BATCH_RECORDS):
            await self._send(flow, min(BATCH_RECORDS, records - first))

    def due(self, done: dict[str, int]) -> dict[str, int]:
        """Return what each flow was given so far; summaries get what documents have done."""
        return self._sent | {SUMMARIES: done["documents"]}

    def late(self, done: dict[str, int]) -> dict[str, int]:
        """Return the flows that do not keep up and what waits, given what each has processed."""
        due = self.due(done)
        parts = {flow: offer.part for flow, offer in OFFERS.items()}
        parts[SUMMARIES] = parts["documents"]
        waiting = {flow: due[flow] - done[flow] for flow in FLOWS}
        allowed = LATE_SECONDS * self.rate
        return {flow: n for flow, n in waiting.items() if n > allowed * parts[flow]}

    async def _steadily(self, flow: str) -> None:
        async def send(_first: int, count: int) -> None:
            await self._send(flow, count)

        await processes.steadily(self.rate * OFFERS[flow].part, send)

    async def _send(self, flow: str, count: int) -> None:
        """Send one batch to one partition, and to the next one next time."""
        offer = OFFERS[flow]
        topic = getattr(self._bench.settings, offer.setting)
        first = self._sent[flow]
        self._sent[flow] += count
        self._turn += 1
        producer = await self._bench.producer()
        partitions = sorted(await producer.partitions_for(topic))
        records = []
        for number in range(first, first + count):
            id = f"{flow}-{number}"
            value = {offer.id_name: id, offer.text_name: processes.text(number)}
            records.append(Outgoing(topic, id.encode(), json.dumps(value).encode()))
        await self._bench.send_batch(topic, partitions[self._turn % len(partitions)], records)


@dataclass(frozen=True, slots=True)
class Bed:
    """What a round needs. ``seconds``: how long each phase is measured."""

    worker: Worker
    double: Double
    load: Load
    seconds: float

    async def capacity(self) -> float:
        """Return the rate at which all flows together do what they are given."""
        for records in (WARM_RECORDS, CAPACITY_RECORDS):
            began = time.monotonic()
            for flow, offer in OFFERS.items():
                await self.load.flood(flow, round(records * offer.part))
            await self._keeps_up()
        return CAPACITY_RECORDS / (time.monotonic() - began)

    async def all_running(self) -> Rates:
        """Measure once all flows run and keep up."""

        await self._keeps_up()
        await asyncio.sleep(SETTLE_SECONDS)
        await self._keeps_up()
        return await self._rates()

    async def llm_out(self) -> Rates:
        """Measure while the LLM answers 503."""
        await self.double.control(rates={"busy": 1.0})
        try:
            await self._held(SUMMARIES, "llm")
            await asyncio.sleep(SETTLE_SECONDS)
            return await self._rates()
        finally:
            await self.double.control(rates={})

    async def stopped(self) -> Rates:
        """Measure while one flow is held by hand."""
        await self._turn("pause")
        try:
            await self._held(STOPPED, "paused")
            await self.load.flood(STOPPED, FLOOD_RECORDS)
            await asyncio.sleep(SETTLE_SECONDS)
            return await self._rates()
        finally:
            await self._turn("resume")

    async def _keeps_up(self) -> None:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while late := self.load.late(await self._processed()):
            assert time.monotonic() < deadline, f"too much load: {late} records wait"
            await asyncio.sleep(POLL_SECONDS)

    async def _rates(self) -> Rates:
        """Return each flow's records a second over the next ``seconds``.

        At most what it was given meanwhile: catching up is no throughput.
        """
        before, began = await self._processed(), time.monotonic()
        due = self.load.due(before)
        await asyncio.sleep(self.seconds)
        after, passed = await self._processed(), time.monotonic() - began
        given = self.load.due(after)
        return {
            flow: min(after[flow] - before[flow], given[flow] - due[flow]) / passed
            for flow in FLOWS
        }

    async def _processed(self) -> dict[str, int]:
        stats = await self.worker.json("/stats")
        return {flow["name"]: flow["processed"] for flow in stats["flows"]}

    async def _held(self, name: str, reason: str) -> None:
        async def held() -> bool:
            return reason in (await self.worker.flow(name))["reason"]

        await until(held, f"{name} to be held")

    async def _turn(self, do: str) -> None:
        async with httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{self.worker.port}/flows/{STOPPED}/{do}"
            (await client.post(url)).raise_for_status()


async def measure(options: argparse.Namespace) -> Report:
    """Run the rounds."""
    double = Double()
    async with processes.broker() as broker:
        model = tiny_model(broker.data_dir / "model", tokens_max=64)
        env = {
            "TICKERTAPE_EMBEDDING_MODEL": str(model),
            "TICKERTAPE_PRECISION": "fp32",
            "TICKERTAPE_MODELS_DIR": str(broker.data_dir / "models"),
            "LLM_URL": double.url,
            "MODEL_NAME": "double",
        }
        async with processes.bench(broker, **env) as bench:
            await double.start()
            try:
                say("starting a worker")
                worker = await (await bench.start("loadtest.holdable")).ready()
                bed = Bed(worker, double, Load(bench), options.seconds)
                rounds = [await _round(bed, n, options.rounds) for n in range(options.rounds)]
            finally:
                await double.stop()
    ratios = {kind: _medians([found[kind] for found in rounds]) for kind in ("llm", "stop")}
    lowest = min(ratio for found in ratios.values() for ratio in found.values())
    return {
        "proof": "paused",
        "ratio_lowest": lowest,
        "ratio_min": RATIO_MIN,
        "llm_outage": ratios["llm"],
        f"{STOPPED}_stopped": ratios["stop"],
        "rates_running": _median_rates([found["running"] for found in rounds]),
        "rates_llm_outage": _median_rates([found["llm_rates"] for found in rounds]),
        f"rates_{STOPPED}_stopped": _median_rates([found["stop_rates"] for found in rounds]),
        "rounds": [{name: found[name] for name in ("rate", "llm", "stop")} for found in rounds],
        "ok": lowest > RATIO_MIN,
    }


async def _round(bed: Bed, number: int, rounds: int) -> Report:
    """Measure the four phases; return what the others kept in both holds."""
    where = f"round {number + 1} of {rounds}:"
    say(f"{where} what the machine can do")
    bed.load.rate = LOAD_PART * await bed.capacity()
    async with bed.load.running():
        say(f"{where} all run")
        before = await bed.all_running()
        say(f"{where} the LLM is out")
        out = await bed.llm_out()
        say(f"{where} all run again")
        again = await bed.all_running()
        say(f"{where} {STOPPED} is stopped")
        stopped = await bed.stopped()
    return {
        "rate": round(bed.load.rate, 1),
        "llm": _kept(before, out, SUMMARIES),
        "stop": _kept(again, stopped, STOPPED),
        "running": {flow: (before[flow] + again[flow]) / 2 for flow in before},
        "llm_rates": out,
        "stop_rates": stopped,
    }


def _kept(before: Rates, held: Rates, name: str) -> Rates:
    """Return each other flow's rate over what it was."""
    return {flow: round(held[flow] / before[flow], 3) for flow in before if flow != name}


def _medians(found: list[Rates]) -> Rates:
    return {flow: round(statistics.median(each[flow] for each in found), 3) for flow in found[0]}


def _median_rates(found: list[Rates]) -> Rates:
    return {flow: round(rate) for flow, rate in _medians(found).items()}


def lines(report: Report) -> Iterator[str]:
    """Yield the report in words."""
    kinds = {"llm_outage": f"LLM out, {SUMMARIES} held", f"{STOPPED}_stopped": f"{STOPPED} held"}
    for kind, words in kinds.items():
        kept = ", ".join(f"{flow} {ratio:.2f}" for flow, ratio in report[kind].items())
        yield f"{words}: {kept} of before"
    rates = ", ".join(f"{flow} {rate:.0f}" for flow, rate in report["rates_running"].items())
    yield f"records a second with all running: {rates}"
    yield f"lowest {report['ratio_lowest']:.2f}, target over {report['ratio_min']}"


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--seconds", type=float, default=8.0, help="a phase (default 8)")


if __name__ == "__main__":
    sys.exit(processes.main(__doc__, measure, lines, _options))
