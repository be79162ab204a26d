"""One run: start everything, send and break, wait until it is quiet, read and reconcile."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from loadtest.chaos import evidence, faults
from loadtest.chaos.faults import Fault
from loadtest.chaos.inject import Injector
from loadtest.chaos.reconcile import CLASSES, FINISHED, reconcile
from loadtest.chaos.workload import DOCUMENTS, STATUS, TEXTS, VECTORS, Send, steps
from loadtest.chaos.world import PARTITIONS, Site
from testkit import raw_batches
from tickertape import kafka_admin
from tickertape.kafka.consumer import Consumer

UNCHANGED_SECONDS_MAX = 120.0  # longer than any delay of ours: what does not move is stuck
CLOSE_SECONDS_MAX = 5.0
LINES_MAX = 20  # of each class, in the report
SEND_WINDOW = 200  # records on their way; a broker that is away holds the sender here


async def run(
    folder: Path, *, seed: int, documents: int, fault_count: int, workers: int
) -> dict[str, Any]:
    """Run it in an empty folder; return the report."""
    began = time.monotonic()
    plan = faults.plan(seed, fault_count, workers)
    site = Site(folder)
    slots = [site.slot() for _ in range(workers)]
    injector = Injector(site, slots)
    sender = Sender(site)
    try:
        await site.open()
        await asyncio.gather(*(slot.start() for slot in slots))
        await sender.start()
        done: Counter[str] = Counter()
        for step in steps(seed, documents, plan):
            if isinstance(step, Fault):
                await sender.flush()
                await injector.do(step)
                done[step.kind] += 1
                at = time.monotonic() - began
                say(f"{at:.0f} s: {done.total()}/{fault_count} {step}, {sender.count} sent")
            else:
                await sender.send(step)
        await sender.flush()
        await injector.finish()
        fed = time.monotonic() - began
        say(f"all sent after {fed:.0f} s; waiting until it is quiet")
        stuck = await quiet(site)
        if stuck:
            stuck += [line for slot in slots for line in await slot.open_flows()]
        llm = await site.double.control()
        for slot in slots:
            await slot.end()
        found = await evidence.gather(site)
    finally:
        await injector.cancel()
        await sender.close()
        await site.close()
    found = replace(found, declared=sender.declared)
    wrong = reconcile(found, sender.acknowledged)
    poison = {r.origin for r in found.inputs if r.id is None}
    report: dict[str, Any] = {name: len(wrong[name]) for name in CLASSES}
    return {
        "ok": not stuck and not any(report.values()),
        "seed": seed,
        **report,
        "stuck": stuck,
        "findings": {name: lines[:LINES_MAX] for name, lines in wrong.items() if lines},
        "documents": documents,
        "records": len(found.inputs),
        "stored": sum(not head.deleted for head in found.heads),
        "deleted": sum(head.deleted for head in found.heads),
        "batches": len(found.batches),
        "summaries": len(found.summaries),
        "dead_letters": len(found.letters),
        "dead_by_faults": sorted(
            f"{x.origin}: {x.error}" for x in found.letters if x.origin not in poison
        )[:LINES_MAX],
        "faults": {"total": done.total(), **dict(sorted(done.items()))},
        "llm": llm["counts"],
        **site.counts,
        "workers": workers,
        "feed_seconds": round(fed, 1),
        "seconds": round(time.monotonic() - began, 1),
    }


class Sender:
    """A producer of its own, that waits out a broker which is away."""

    def __init__(self, site: Site) -> None:
        self.acknowledged: list[tuple[str, bytes | None, bytes | None]] = []
        self.declared: dict[str, int | None] = {}
        self.count = 0
        settings = site.settings
        self._names = {
            DOCUMENTS: settings.topic_financial_documents,
            TEXTS: settings.topic_text_messages,
            STATUS: settings.topic_batch_status,
            VECTORS: settings.topic_embeddings,
        }
        self._bootstrap = site.broker.bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._open: list[tuple[Send, asyncio.Future[Any]]] = []

    async def start(self) -> None:
        """Connect."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            request_timeout_ms=180_000,
            max_request_size=2**22,
            linger_ms=5,
        )
        await self._producer.start()

    async def send(self, record: Send) -> None:
        """Send; the acknowledgement is waited for now and then."""
        assert self._producer is not None
        key = record.key.encode() if record.key is not None else None
        if record.odd:
            await self._send_odd(record, key)
            return
        said = int(time.time() * 1000) - record.late_ms
        future = await self._producer.send(
            self._names[record.topic],
            record.value,
            key=key,
            headers=list(record.headers),
            timestamp_ms=said,
        )
        self.count += 1
        self._open.append((record, future))
        if len(self._open) >= SEND_WINDOW:
            await self.flush()

    async def _send_odd(self, record: Send, key: bytes | None) -> None:
        """As a batch made here: aiokafka's producer takes no such name."""
        assert self._producer is not None
        await self.flush()  # its document's records before it
        topic = self._names[record.topic]
        raw = raw_batches.batch([(key, record.value, [(b"\xff\xfe-odd", b"\xff")])])
        await raw_batches.produce(self._producer, topic, raw, self.count % PARTITIONS)
        self.count += 1
        self.acknowledged.append((topic, key, record.value))

    async def flush(self) -> None:
        """Wait for what is on its way."""
        sent, self._open = self._open, []
        await asyncio.gather(*(future for _, future in sent))
        for record, _ in sent:
            if record.topic == STATUS:
                status = orjson.loads(record.value or b"")
                self.declared[status["batch_id"]] = status["total_documents"]
            else:
                key = record.key.encode() if record.key is not None else None
                self.acknowledged.append((self._names[record.topic], key, record.value))

    async def close(self) -> None:
        """Close, whether or not all was acknowledged."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(producer.stop(), CLOSE_SECONDS_MAX)


async def quiet(site: Site) -> list[str]:
    """Wait until nothing is left to do; return what is open and does not move any more."""
    before: list[str] = []
    changed = time.monotonic()
    calm = 0
    while time.monotonic() - changed < UNCHANGED_SECONDS_MAX:
        left = await _left(site)
        calm = 0 if left else calm + 1
        if calm == 3:
            return []
        if left != before:
            before, changed = left, time.monotonic()
            say(f"open: {len(left)}; {'; '.join(left[:2])}"[:160])
        await asyncio.sleep(1.0)
    return before


async def _left(site: Site) -> list[str]:
    found = [f"lag of {n} on {tp.topic}-{tp.partition}" for tp, n in (await _lags(site)).items()]
    statuses = await site.read(site.settings.topic_batch_status)
    last = {r.key: r.value for r in statuses}
    for key, value in last.items():
        if value is not None and (status := orjson.loads(value))["status"] not in FINISHED:
            found.append(f"{key.decode()} is {status}")
    return found


async def _lags(site: Site) -> dict[TopicPartition, int]:
    """Records that a group has not settled, by partition."""
    names = [topic.name for topic in kafka_admin.wanted(site.settings)]
    group = site.settings.app_id
    bootstrap = site.broker.bootstrap
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = Consumer(bootstrap_servers=bootstrap)
    await admin.start()
    await consumer.start()
    try:
        commits: dict[TopicPartition, int] = {}
        for name in (group, f"{group}-retry"):
            offsets = await admin.list_consumer_group_offsets(name)
            commits.update({tp: found.offset for tp, found in offsets.items()})
        states = await consumer.topic_states([name for name in names if _consumed(site, name)])
        parts = [TopicPartition(n, p) for n, at in states.items() for p in range(at.partitions)]
        ends = await consumer.end_offsets(parts)
        # An offset past the end is that of the topic before it was made anew.
        read = {tp: max(at, 0) if (at := commits.get(tp, 0)) <= ends[tp] else 0 for tp in parts}
        return {tp: n for tp in parts if (n := ends[tp] - read[tp]) > 0}
    finally:
        with contextlib.suppress(Exception):
            await consumer.stop()
            await admin.close()


def _consumed(site: Site, topic: str) -> bool:
    """Whether a flow reads it: dead letters, results and the changelog have no group."""
    ours = site.settings
    unread = {ours.topic_llm_results, ours.topic_data_ingestion}
    ends = ("-dlq", "-parking", "-changelog", "-replays")
    retried_ingestion = topic.startswith(f"{ours.topic_data_ingestion}-retry")
    return topic not in unread and not topic.endswith(ends) and not retried_ingestion


def say(message: str) -> None:
    """Tell on stderr how far it is."""
    print(message, file=sys.stderr, flush=True)
