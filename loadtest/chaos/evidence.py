"""What is there at the end: topics, store, tables and dead letters, read without the workers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import orjson

from loadtest.chaos.workload import MARK, POISON_KEY
from loadtest.chaos.world import Site
from tickertape import headers as h
from tickertape import topics
from tickertape.versions import Version as TheirVersion

Origin = tuple[str, int, int]  # topic, partition, offset
Stamp = tuple[int, int, int, str]  # milliseconds, offset, partition, topic
Version = tuple[tuple[int, ...], Stamp]  # the producer's number, if any; when it was said


@dataclass(frozen=True, slots=True)
class Input:
    """A record as it stands on its topic. ``id`` None: poison. ``mark`` None: a delete."""

    origin: Origin
    id: str | None
    version: Version
    mark: str | None
    text: str | None
    batch: str | None
    value: bytes | None
    key: bytes | None
    part: int | None = None  # of a document whose vectors were made elsewhere

    @property
    def label(self) -> str:
        """Its version, as `embeddings` names it."""
        numbers, stamp = self.version
        return f"{numbers[0] if numbers else stamp[0]}.{stamp[1]}"


@dataclass(frozen=True, slots=True)
class Head:
    """A document as the store has it. ``chunks``: (ordinal, start, end, text)."""

    collection: str
    id: str
    version: Version
    content_version: Version
    chunk_count: int
    deleted: bool
    origin: Origin
    chunks: Sequence[tuple[int, int, int, str]] = ()


@dataclass(frozen=True, slots=True)
class Vector:
    """A record of `embeddings`."""

    id: str
    label: str
    chunk: int
    chunk_count: int


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the topic it lies on, and the record it was."""

    topic: str
    origin: Origin
    error: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it. Lists are in the order of their topics' partitions."""

    inputs: Sequence[Input]
    heads: Sequence[Head] = ()
    loose: int = 0  # rows of chunks, passages or index that belong to no document
    vectors: Sequence[Vector] = ()
    summaries: Sequence[tuple[str, str]] = ()  # id, mark
    letters: Sequence[Letter] = ()
    batches: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # As it was sent: the topic is compacted, and what a worker says of a batch has the same key.
    declared: Mapping[str, int | None] = field(default_factory=dict)
    summarised: str = ""  # the topic whose documents have summaries


async def gather(site: Site) -> Evidence:
    """Read everything."""
    settings = site.settings
    inputs: list[Input] = []
    for topic in (settings.topic_financial_documents, settings.topic_embedding_requests):
        inputs += [_input(record, record.timestamp) for record in await site.read(topic)]
    inputs += _by_clocks(await site.read(settings.topic_text_messages))
    vectors = await site.read(settings.topic_embeddings)
    inputs += [_input(record, record.timestamp) for record in vectors if not _own(record)]
    heads, loose = await asyncio.to_thread(_store, settings.data_dir / "tickertape.db")
    statuses = await site.read(settings.topic_batch_status)
    own = [record for record in statuses if _own(record)]
    kinds = ["financial_documents", "text_messages", "summary_requests", "embeddings"]
    kinds.append("embedding_requests")
    dead = [topics.dlq(getattr(settings, f"topic_{kind}")) for kind in kinds]
    dead += [topics.dlq(settings.topic_batch_progress), topics.dlq(settings.topic_batch_status)]
    return Evidence(
        inputs=inputs,
        heads=heads,
        loose=loose,
        vectors=[_vector(record.value) for record in vectors if _own(record)],
        summaries=[_summary(r.value) for r in await site.read(settings.topic_llm_results)],
        letters=[_letter(t, r) for t in dead for r in await site.read(t)],
        batches={r.key.decode(): orjson.loads(r.value) for r in own if r.value is not None},
        summarised=settings.topic_financial_documents,
    )


def _own(record: Any) -> bool:
    return h.last(record.headers, h.OWN) is not None


def _by_clocks(records: Sequence[Any]) -> list[Input]:
    """A topic that producers stamp: a partition's time never goes back."""
    clocks: dict[int, int] = defaultdict(int)
    found = []
    for record in sorted(records, key=lambda r: (r.partition, r.offset)):
        clocks[record.partition] = max(clocks[record.partition], record.timestamp)
        found.append(_input(record, clocks[record.partition]))
    return found


def _input(record: Any, ms: int) -> Input:
    origin = (record.topic, record.partition, record.offset)
    poison = (record.key or b"").startswith(POISON_KEY.encode())
    value: dict[str, Any] = {}
    try:
        value = orjson.loads(record.value) if record.value is not None else {}
    except orjson.JSONDecodeError:
        assert poison, origin
    batch = value.get("batch_id") or h.last(record.headers, h.BATCH)
    text = None if poison or record.value is None else str(value.get("text", value.get("content")))
    number = value.get("version")
    id = value.get("id", value.get("document_id"))
    return Input(
        origin=origin,
        id=None if poison else str(id or record.key.decode()),
        version=(
            (number,) if isinstance(number, int) else (),
            (ms, record.offset, record.partition, record.topic),
        ),
        mark=_mark(text) if text is not None else None,
        text=text,
        batch=batch,
        value=record.value,
        key=record.key,
        part=value.get("chunk"),
    )


def _mark(text: str) -> str:
    found = MARK.search(text)
    return found[0] if found else text[:40]


def _version(text: str) -> Version:
    found = TheirVersion.parse(text)
    stamp = found.stamp
    return found.numbers, (stamp.ms, stamp.offset, stamp.partition, stamp.topic)


def _vector(value: bytes) -> Vector:
    found = orjson.loads(value)
    return Vector(found["id"], found["version"], found["chunk"], found["chunk_count"])


def _summary(value: bytes) -> tuple[str, str]:
    found = orjson.loads(value)
    return found["id"], _mark(found["summary"] or "")


def _letter(topic: str, record: Any) -> Letter:
    said = {name: h.last(record.headers, name) or "" for name in _LETTER}
    origin = (said[h.DLT_TOPIC], int(said[h.DLT_PARTITION]), int(said[h.DLT_OFFSET]))
    return Letter(topic, origin, f"{said[h.DLT_EXCEPTION]}: {said[h.DLT_MESSAGE]}")


_LETTER = (h.DLT_TOPIC, h.DLT_PARTITION, h.DLT_OFFSET, h.DLT_EXCEPTION, h.DLT_MESSAGE)


def _store(path: Path) -> tuple[list[Head], int]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        chunks = defaultdict(list)
        loose = 0
        for document, *chunk in db.execute(_CHUNKS):
            chunks[document].append(tuple(chunk))
            loose += chunk[-1] is None
        heads = [
            Head(
                collection, key, _version(version), _version(content), count, bool(deleted),
                (topic, partition, offset), tuple(chunks.pop(id, ())),
            )
            for id, collection, key, version, content, count, deleted, topic, partition, offset
            in db.execute(_HEADS)
        ]  # fmt: skip
        loose += sum(map(len, chunks.values()))
        counts = [int(db.execute(f"SELECT count(*) FROM {table}").get) for table in _TABLES]
        return heads, loose + max(counts) - min(counts)
    finally:
        db.close()


_TABLES = ("chunks", "passages", "passages_fts")
_HEADS = (
    "SELECT id, collection, key, version, content_version, chunk_count, deleted, topic,"
    ' "partition", "offset" FROM documents'
)
_CHUNKS = (
    'SELECT c.document, c.ordinal, c.start, c."end", p.text FROM chunks c'
    " LEFT JOIN passages p ON p.id = c.id ORDER BY c.document, c.ordinal"
)
