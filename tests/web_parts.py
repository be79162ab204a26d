"""The worker's parts for tests of its pages: a real SQLite store, a real runner and search over a
small embedder, and what would come from Kafka in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tickertape import topics
from tickertape.answer import Answers
from tickertape.delivery.breaker import Breakers
from tickertape.delivery.copies import dead
from tickertape.delivery.status import FlowStatus
from tickertape.dlq.box import DeadLetters
from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.marks import Marks
from tickertape.documents import Document, DocumentKey, Vectors
from tickertape.embed.base import Tokens
from tickertape.embed.runner import Runner
from tickertape.errors import InvalidRecord
from tickertape.history import History
from tickertape.kafka.recall import Recall
from tickertape.llm import open_llm
from tickertape.pipeline import Pipeline
from tickertape.record import Outgoing, Record, text_headers
from tickertape.search import Search
from tickertape.services import Services
from tickertape.settings import Settings
from tickertape.stores.sqlite.store import SqliteStore
from tickertape.summarize.base import Summary, SummaryRequest
from tickertape.versions import Origin, Stamp, Version
from web import register

Client = TestClient[web.Request, web.Application]

DIMENSION = 64
WORD = re.compile(r"\w+")


class WordEmbedder:
    """A bag of hashed words: texts that share words are near. Deterministic, needs no model."""

    name = "tests/words"
    precision = "fp32"
    identity = "tests/words@fp32"
    dimension = DIMENSION
    max_tokens = 512
    special_tokens = 0

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        found = []
        for text in texts:
            words = list(WORD.finditer(text.lower()))
            ids = [int(hashlib.md5(w[0].encode()).hexdigest()[:8], 16) for w in words]
            found.append(Tokens(ids, [w.span() for w in words]))
        return found

    def encode(self, sequences: Sequence[Sequence[int]]) -> Vectors:
        vectors = np.zeros((len(sequences), DIMENSION), np.float32)
        for row, ids in enumerate(sequences):
            for id in ids:
                vectors[row, id % DIMENSION] += 1.0
            vectors[row] /= np.linalg.norm(vectors[row]) or 1.0
        return vectors

    def close(self) -> None:
        pass


class FirstSentence:
    name = "extractive"
    dependency: str | None = None

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def ping(self) -> None: ...
    async def summarize(self, request: SummaryRequest) -> Summary:
        return Summary(request.text.partition(". ")[0], self.name, verbatim=True)


class MemoryBatches:
    """Batch states in order of arrival; `put` wakes those who watch."""

    def __init__(self) -> None:
        self.states: dict[str, dict[str, Any]] = {}
        self.caught_up = True
        self._changed = asyncio.Condition()

    async def put(self, batch_id: str, status: str = "processing", **fields: Any) -> None:
        before = self.states.pop(batch_id, {"total_documents": None, "error_message": None})
        counts = {"done": 0, "unchanged": 0, "retrying": 0, "dead": 0}
        state = {**counts, **before, "batch_id": batch_id, "status": status, **fields}
        state["processed_documents"] = state["done"] + state["dead"]
        state.setdefault("timestamp", "2026-01-01T00:00:00+00:00")
        async with self._changed:
            self.states[batch_id] = state
            self._changed.notify_all()

    def get(self, batch_id: str) -> dict[str, Any] | None:
        return self.states.get(batch_id)

    def recent(self, limit: int) -> list[dict[str, Any]]:
        return list(reversed(self.states.values()))[:limit]

    async def watch(self, batch_id: str) -> AsyncIterator[dict[str, Any]]:
        told: dict[str, Any] | None = None
        while True:
            async with self._changed:
                while self.states.get(batch_id) == told:
                    await self._changed.wait()
                told = self.states[batch_id]
            yield told
            if told["status"] in {"completed", "failed"}:
                return


class MemoryPublisher:
    """Keeps what was sent. A declared batch is known at once, as batch-status would say.

    ``refuse`` maps a key to the error with which the broker refuses it.
    """

    def __init__(self, batches: MemoryBatches, batch_topic: str) -> None:
        self.sent: list[Outgoing] = []
        self.refuse: dict[bytes | None, Exception] = {}
        self._batches = batches
        self._batch_topic = batch_topic

    async def send(self, records: Sequence[Outgoing]) -> list[Exception | None]:
        results: list[Exception | None] = []
        for record in records:
            error = self.refuse.get(record.key)
            results.append(error)
            if error is not None:
                continue
            self.sent.append(record)
            if record.topic == self._batch_topic:
                state = orjson.loads(record.value or b"{}")
                await self._batches.put(state.pop("batch_id"), state.pop("status"), **state)
        return results


class MemoryLetters:
    """Dead letters in memory, in the order they died; marks are read where they were sent."""

    def __init__(self, publisher: MemoryPublisher) -> None:
        self.letters: list[Letter] = []
        self.existing: set[str] = set()
        self.down: Exception | None = None
        self._publisher = publisher

    @asynccontextmanager
    async def open(self) -> AsyncIterator[MemoryLetters]:
        if self.down is not None:
            raise self.down
        yield self

    def put(
        self, topic: str, id: str, value: bytes | None, batch: str | None = None, **headers: str
    ) -> Place:
        """A record that the flow of ``topic`` could not decode."""
        offset = len(self.letters)
        record = Record(topic, 0, offset, id.encode(), value, text_headers(headers), offset + 1)
        self.existing |= {topics.rekeyed(topic), topics.parking(topic)}
        out = dead(record, topic, "g", 0, InvalidRecord("text", "a non-empty string"), batch)
        place = Place(out.topic, 0, offset)
        size = len(out.key or b"") + len(out.value or b"")
        letter = Letter(place, 1000 + offset, out.key, out.value, out.headers, size, batch)
        self.letters.append(letter)
        return place

    async def catch_up(self, topic: str, marks: Marks) -> None:
        sent = [record for record in self._publisher.sent if record.topic == topic]
        for offset, record in enumerate(sent):
            marks.take(
                SimpleNamespace(partition=0, offset=offset, key=record.key, value=record.value)
            )

    async def newest(
        self,
        topics: Iterable[str],
        wanted: Callable[[Letter], bool],
        limit: int,
        since_ms: int | None = None,
    ) -> list[Letter]:
        found = [x for x in self.letters if x.place.topic in set(topics) and wanted(x)]
        return found[::-1][:limit]

    async def oldest(
        self, topics: Iterable[str], since_ms: int | None = None
    ) -> AsyncGenerator[Letter, None]:
        for letter in [x for x in self.letters if x.place.topic in set(topics)]:
            yield letter

    async def get(self, place: Place) -> Letter | None:
        return next((x for x in self.letters if x.place == place), None)

    async def bounds(self, topics: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
        """One partition each; the offsets of other topics' letters count as deleted."""
        found: dict[tuple[str, int], tuple[int, int]] = {}
        for place in [x.place for x in self.letters if x.place.topic in set(topics)]:
            begin, _ = found.get((place.topic, 0), (place.offset, 0))
            found[place.topic, 0] = (begin, place.offset + 1)
        return found

    async def of_key(
        self, topics: Iterable[str], key: bytes, wanted: Callable[[Letter], bool]
    ) -> Letter | None:
        found = await self.newest(topics, lambda x: x.key == key and wanted(x), 1)
        return found[0] if found else None


class MemoryRuntime:
    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self.paused = False
        self.shown: list[FlowStatus] = [flow("embed"), flow("summarize", lag=12)]
        self.behind: dict[str, dict[int, int]] = {}
        self.beside: dict[str, str] = {}
        self.stores_behind: dict[str, int] = {}
        self.breakers = Breakers()

    def unready(self) -> dict[str, str]:
        return self.missing

    def degraded(self) -> dict[str, str]:
        return self.beside

    def store_lags(self) -> dict[str, int]:
        return self.stores_behind

    def flows(self) -> list[FlowStatus]:
        return self.shown

    def lags(self) -> dict[str, dict[int, int]]:
        return self.behind

    def stats(self) -> dict[str, Any]:
        return {
            "messages_processed": sum(f.processed for f in self.shown),
            "embeddings_generated": 1400,
            "summaries_generated": 310,
            "errors": sum(f.dead for f in self.shown),
            "dead_letters_open": 1,
            "last_processed": 1_760_000_000.5,
            "started": 1_759_990_000.0,
            "uptime_seconds": 10_000.5,
        }

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def flow(name: str, **fields: Any) -> FlowStatus:
    """A flow that runs, but for the fields given."""
    given: dict[str, Any] = {
        "topics": ("text-messages", "financial-documents"),
        "state": "running",
        "reason": "",
        "records_in_flight": 3,
        "bytes_in_flight": 2048,
        "lag": 0,
        "partitions": 8,
        "processed": 1500,
        "retried": 2,
        "dead": 0,
        "superseded": 0,
        "rate": 41.5,
    }
    return FlowStatus(name=name, **{**given, **fields})


class Parts(Services):
    """Services with the memory parts' own types, for tests to reach into."""

    publisher: MemoryPublisher
    batches: MemoryBatches
    runtime: MemoryRuntime
    letters: MemoryLetters


def conversations(settings: Settings, publisher: MemoryPublisher) -> History:
    """All that stood on the changelog has been read; what this worker says it knows itself."""
    made = History(settings, publisher.send)
    made._reader._caught_up = True
    return made


@asynccontextmanager
async def parts(folder: Path, **settings: Any) -> AsyncIterator[Parts]:
    """Start the parts with their data in ``folder``; stop them at the end."""
    chosen = Settings(_env_file=None, data_dir=folder, **settings)
    store = SqliteStore(chosen)
    runner = Runner(WordEmbedder(), 1024)
    batches = MemoryBatches()
    publisher = MemoryPublisher(batches, chosen.topic_batch_status)
    letters = MemoryLetters(publisher)
    search = Search(store, runner)
    model = open_llm(chosen)
    await store.start()
    await runner.start()
    try:
        made = Parts(
            settings=chosen,
            stores=[store],
            runner=runner,
            search=search,
            answers=Answers(search, model),
            history=conversations(chosen, publisher),
            summarizer=FirstSentence(),
            publisher=publisher,
            batches=batches,
            runtime=MemoryRuntime(),
            pipeline=Pipeline(store, runner, chunk_tokens=24, overlap_tokens=0),
            dead_letters=DeadLetters(chosen, publisher.send, letters.open),
            recall=Recall("no-broker:1"),
        )
        made.letters = letters
        yield made
    finally:
        if model is not None:
            await model.stop()
        await runner.stop()
        await store.stop()


@asynccontextmanager
async def served(services: Services, port: int | None = None) -> AsyncIterator[Client]:
    """Serve the pages over these parts; the client asks a real socket."""
    web_app = web.Application()
    register(web_app, lambda: services)
    async with TestClient(TestServer(web_app, port=port)) as client:
        yield client


async def store_text(
    services: Services,
    id: str,
    *passages: str,
    collection: str = "financial_documents",
    topic: str = "financial-documents",
    **metadata: Any,
) -> None:
    """Store a document of these passages, as the worker's own pipeline does."""
    document = Document(
        DocumentKey(collection, id),
        "\n\n".join(passages),
        Version((), Stamp(1, 7, 2, topic)),
        Origin(topic, 2, 7),
        metadata,
        source="tests",
    )
    (result,) = await services.pipeline.run([document])
    assert not isinstance(result, Exception), result
