"""The demo, step by step. Each asks the running worker, over HTTP or Kafka, as a user would."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tickertape.broker.jars import KAFKA_VERSION
from tickertape.cli.sending import Plan, Sent, send
from tickertape.demo.child import WorkerProcess
from tickertape.demo.corpus import Corpus, entries
from tickertape.demo.follow import DemoError, Json, follow
from tickertape.demo.screen import Screen
from tickertape.demo.summaries import SummaryReader, sentences_of
from tickertape.feed import Shape
from tickertape.settings import Settings
from tickertape.stores import open_stores
from tickertape.stores.base import Counts

POLL_SECONDS = 0.2
READY_SECONDS_MAX = 900.0  # the first start may fetch Kafka and a model over a slow line
SUMMARIES_SECONDS_MAX = 10.0  # they are on their topic before their batch is complete
RESULTS = 3


@dataclass(slots=True)
class RunOutcome:
    """What came of it, for figures and checks."""

    start_seconds: float = 0.0
    seconds: float = 0.0
    health: Json = field(default_factory=dict)
    batches: dict[str, Json] = field(default_factory=dict)  # topic -> last status
    counts: Counts = field(default_factory=lambda: Counts(0, 0))
    summaries: dict[str, Json] = field(default_factory=dict)
    search: Json = field(default_factory=dict)

    def total(self, name: str) -> int:
        """Return a count over all batches (``done``, ``unchanged``, ``dead``)."""
        return sum(int(batch[name] or 0) for batch in self.batches.values())


@dataclass(slots=True)
class Demo:
    """A run. ``address`` is the worker's page."""

    settings: Settings
    corpus: Corpus
    screen: Screen
    worker: WorkerProcess
    http: httpx.AsyncClient
    address: str
    outcome: RunOutcome = field(default_factory=RunOutcome)

    async def run(self) -> RunOutcome:
        """Do all steps.

        Raises:
            WorkerDied: the worker ended.
            TickertapeError: a step failed; the message says which and why.
        """
        await self._start()
        await self._process()
        await self._search()
        self._summary()
        return self.outcome

    # Steps

    async def _start(self) -> None:
        self.screen.title("Tickertape")
        begun = time.monotonic()
        self.worker.start()
        with self.screen.waiting("starting a worker") as status:
            note = "starting a worker"
            while True:
                self.worker.check()
                seconds = time.monotonic() - begun
                for entry in self.worker.news():
                    note = _note(entry) or note
                missing = await self._missing()
                if missing is not None and not missing:
                    break
                if seconds > READY_SECONDS_MAX:
                    raise DemoError(f"the worker is not ready after {seconds:.0f} s: {missing}")
                status.update(f"{_why(missing) or note} ({seconds:.0f} s)")
                await asyncio.sleep(POLL_SECONDS)
        self.outcome.start_seconds = time.monotonic() - begun
        self.outcome.health = health = await self._get("/health")
        kind = f"embedded Apache Kafka {KAFKA_VERSION}"
        kafka = kind if self.settings.embedded_broker else "the broker you named"
        self.screen.step("Kafka", f"{kafka} at {self.settings.bootstrap}")
        self.screen.step("embeddings", str(health["model"]))
        self.screen.step("store", ", ".join(health["stores"]))
        self.screen.step("summaries", _summarizer(health["summarizer"]))
        self.screen.step("worker", f"ready after {self.outcome.start_seconds:.1f} s")
        self.screen.step("web page", self.address)

    async def _process(self) -> None:
        settings, corpus = self.settings, self.corpus
        self.screen.title(f"{len(corpus.documents)} documents and {len(corpus.texts)} texts")
        reader = SummaryReader(settings, [each["id"] for each in corpus.documents])
        try:
            await reader.start()
            begun = time.monotonic()
            plans = self._plans()
            sending = asyncio.gather(*(send(settings, plan, Sent()) for plan in plans))

            def check() -> None:
                self.worker.check()
                if sending.done():
                    sending.result()

            out = (settings.topic_llm_results, reader.found, len(corpus.documents))
            try:
                with self.screen.progress() as bars:
                    self.outcome.batches = await follow(self.http, bars, plans, check, out)
                await sending
            finally:
                sending.cancel()
            self.outcome.seconds = time.monotonic() - begun
            await reader.wait(SUMMARIES_SECONDS_MAX)
        finally:
            await reader.stop()
        self.outcome.summaries = reader.found
        store = open_stores(settings)[0]
        await store.start()
        try:
            self.outcome.counts = await store.count()
        finally:
            await store.stop()
        self._told()

    async def _search(self) -> None:
        self.screen.title("Search")
        body = {"query": self.corpus.question, "k": RESULTS, "per_document": True}
        await self._post("/search", {**body, "k": 1})  # the first one loads the index
        self.outcome.search = found = await self._post("/search", body)
        self.screen.hits(self.corpus.question, found)
        self.screen.line()
        self.screen.line(
            f"{len(found['results'])} passages of {self.outcome.counts.chunks:,} in "
            f"{found['took_ms']:.0f} ms, by meaning and by words",
            "dim",
        )

    def _summary(self) -> None:
        self.screen.title("Summary")
        document = self.corpus.documents[0]
        summary = self.outcome.summaries.get(document["id"])
        if summary is None:
            raise DemoError(f"{self.settings.topic_llm_results} has no summary of {document['id']}")
        chosen = sentences_of(summary["summary"] or "", document["text"])
        self.screen.summary(document, summary, chosen)

    # Parts of them

    async def _missing(self) -> Mapping[str, str] | None:
        """What the worker waits for; nothing when it is ready, None before it answers."""
        try:
            reply = await self.http.get("/readyz")
            body = reply.json()
        except (httpx.HTTPError, ValueError):
            return None
        if reply.status_code == httpx.codes.OK:
            return {}
        missing = body.get("unready") or {"worker": body.get("detail", "starting")}
        return {str(name): str(reason) for name, reason in missing.items()}

    def _plans(self) -> list[Plan]:
        """One batch for each topic; none where there is nothing to send."""
        settings, corpus = self.settings, self.corpus
        sent = [
            ("documents", settings.topic_financial_documents, corpus.documents),
            ("texts", settings.topic_text_messages, corpus.texts),
        ]
        stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
        return [
            Plan(topic, Shape(), f"demo-{kind}-{stamp}", entries(documents), len(documents))
            for kind, topic, documents in sent
            if documents
        ]

    def _told(self) -> None:
        outcome, corpus = self.outcome, self.corpus
        rate = len(corpus) / outcome.seconds
        self.screen.line()
        self.screen.step("done", f"{len(corpus)} in {outcome.seconds:.1f} s, {rate:.0f} a second")
        if unchanged := outcome.total("unchanged"):
            text = "were there already, with the same content: nothing was computed again"
            self.screen.step("unchanged", f"{unchanged} {text}")
        counts = outcome.counts
        text = f"{counts.documents:,} documents as {counts.chunks:,} passages, each with its vector"
        self.screen.step("stored", text)
        self.screen.step("summarised", f"{len(outcome.summaries)} documents")
        if dead := outcome.total("dead"):
            text = f"{dead} records failed; their reasons are in the worker's log"
            self.screen.step("dead letters", text, ok=False)

    async def _get(self, path: str) -> Json:
        return _answer(path, await self.http.get(path))

    async def _post(self, path: str, body: Json) -> Json:
        return _answer(path, await self.http.post(path, json=body))


def _answer(path: str, reply: httpx.Response) -> Json:
    if reply.status_code != httpx.codes.OK:
        raise DemoError(f"{path} answered {reply.status_code}: {reply.text[:300]}")
    found: Json = reply.json()
    return found


def _note(entry: Mapping[str, Any]) -> str | None:
    """What a line of the worker's log says of its start."""
    event = entry.get("event")
    if event == "broker":
        return str(entry.get("message"))
    if event == "open":
        return "joining the consumer group"
    if entry.get("level") == "info" and str(entry.get("logger", "")).startswith("tickertape.embed"):
        return str(event)
    return None


def _why(missing: Mapping[str, str] | None) -> str:
    """What is waited for, where it is worth telling."""
    reasons = {name: why for name, why in (missing or {}).items() if name != "worker"}
    return "; ".join(f"{name}: {why}" for name, why in reasons.items())


def _summarizer(name: str) -> str:
    if name.startswith("extractive"):
        return "each document's own sentences; LLM_URL names a language model"
    return name
