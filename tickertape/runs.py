"""How far each ingest is, and which ids each source has had: the ledger of runs, in Kafka.

One compacted topic; all of a source stands in one partition, so its records have one order. A run
(one ingest, named by where its request first stood) writes

- ``begin`` once: what is before it was known before it began to read;
- ``page`` with the ids of each page, in the very transaction that sends the page;
- ``state`` with it: the bookmark to go on from, and how many documents were sent.

So a run that dies is gone on with by whoever has its request next, without gap and without double,
and a full run can tell what its source has no more. What newer runs make useless is removed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tickertape.errors import OutageError
from tickertape.kafka.brokers import brokers_of, client
from tickertape.kafka.consumer import Consumer
from tickertape.record import Outgoing
from tickertape.settings import Settings
from tickertape.sources.base import PAGE_ROWS, PART, Bookmark, Page, Unread
from tickertape.topics import runs as topic_of

SILENCE_SECONDS_MAX = 15.0
AFTER_PART = chr(ord(PART) + 1)
BEGIN, PAGE, STATE = "begin", "page", "state"


@dataclass(frozen=True, slots=True)
class Run:
    """How far a run is. ``base`` is what its batch had before it, ``full`` that it reads what is
    unchanged too. ``ended``: all was read; ``swept``: and what is gone was removed."""

    id: str
    batch_id: str
    full: bool
    base: int = 0
    pages: int = 0
    sent: int = 0
    bookmark: Bookmark | None = None
    ended: bool = False
    swept: bool = False
    fingerprint: str | None = None  # of the source, when the run began

    def after(self, page: Page, *, last: bool) -> Run:
        """How far it is when a page was sent."""
        return replace(
            self,
            pages=self.pages + 1,
            sent=self.sent + page.count,
            bookmark=page.bookmark,
            ended=last,
        )


@dataclass(slots=True)
class Known:
    """What the ledger says of a source, as one run sees it. ``last`` is the last run that read all
    it wanted; ``old`` are the entries of other runs that stand: key to offset and kind."""

    run: Run | None = None
    end: int = 0  # all before this offset was read
    begun: int | None = None  # the offset of this run's begin
    last: Run | None = None
    old: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)  # runs
    open: list[Run] = field(default_factory=list)  # runs that have not read all they want

    @property
    def since(self) -> Bookmark | None:
        """Where the last run stood in the end."""
        return self.last.bookmark if self.last is not None else None


@dataclass(frozen=True, slots=True)
class _Entry:
    key: bytes
    offset: int
    run: str
    kind: str
    value: dict[str, Any] | None


class Stale:
    """The ids that a run did not see, of how many that were known. ``kept``: pages of the run that
    say what is as it was, less that."""

    def __init__(
        self, known: int, count: int, kept: Sequence[Outgoing], db: sqlite3.Connection
    ) -> None:
        self.known = known
        self.count = count
        self.kept = kept
        self._db = db

    async def portions(self) -> AsyncIterator[list[str]]:
        """Yield them, some at a time."""
        rows = self._db.execute("SELECT id FROM ids ORDER BY id")
        while portion := await asyncio.to_thread(rows.fetchmany, PAGE_ROWS):
            yield [id for (id,) in portion]


class Runs:
    """The ledger of one source, for one of its runs (or none: to look at it)."""

    def __init__(self, settings: Settings, source: str, run: str = "") -> None:
        self._settings = settings
        self._topic = topic_of(settings.app_id)
        self._source = source
        self._run = run
        self._partition = 0
        self._end = 0

    async def read(self) -> Known:
        """Return what is known; all that was acknowledged before this call is in it.

        Raises:
            OutageError: Kafka does not answer.
        """
        known = Known()
        runs: dict[str, Run] = {}
        async for entry in self._entries():
            if entry.value is None:
                known.old.pop(entry.key, None)
                continue
            if entry.kind == STATE:
                runs[entry.run] = run = Run(id=entry.run, **entry.value)
                if run.ended and run.id != self._run:
                    known.last = run
            elif entry.kind == BEGIN and entry.run == self._run:
                known.begun = entry.offset
            if entry.run != self._run:
                known.old[entry.key] = entry.offset, entry.kind
        known.end = self._end
        known.run = runs.get(self._run)
        known.ended = {run.id for run in runs.values() if run.ended}
        known.open = [run for run in runs.values() if not run.ended]
        return known

    @asynccontextmanager
    async def stale(self, known: Known) -> AsyncIterator[Stale]:
        """Give the ids that were known before this run began and that it did not see. They are in a
        table, on disk where it grows: SQLite's own temporary file.

        Raises:
            OutageError: Kafka does not answer.
        """
        assert known.begun is not None
        before = {at for at, _ in known.old.values() if at < known.begun}
        count: int | None = None
        kept: list[Outgoing] = []
        db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        try:
            db.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
            async for entry in self._entries(PAGE):
                if entry.value is None:
                    continue
                if entry.offset in before:
                    await asyncio.to_thread(_take, db, entry.value)
                elif entry.run == self._run:  # all of its pages stand behind its begin
                    count = _count(db) if count is None else count
                    await asyncio.to_thread(_drop, db, entry.value)
                    if entry.value.pop("kept", None):
                        kept.append(self._outgoing(entry.key, entry.value))
            left = _count(db)
            yield Stale(left if count is None else count, left, kept, db)
        finally:
            db.close()

    # What a run writes

    def begin(self, run: Run) -> list[Outgoing]:
        """The records that begin a run."""
        return [self._record(BEGIN, {"full": run.full}), self._state(run)]

    def page(self, page: Page, run: Run) -> list[Outgoing]:
        """The records of a page, after which the run stands as ``run``."""
        value: dict[str, Any] = {"ids": [row.id for row in page.rows]}
        unread = [row.id for row in page.rows if isinstance(row, Unread)]
        if kept := [*page.kept, *unread]:
            value["kept"] = kept
        if page.gone:
            value["gone"] = list(page.gone)
        return [self._record(f"{PAGE}{run.pages}", value), self._state(run)]

    def end(self, run: Run) -> list[Outgoing]:
        """The record of a run that came to its end without another page."""
        return [self._state(run)]

    def gone(self, ids: Sequence[str], portion: int) -> Outgoing:
        """The record that says that ids were removed."""
        return self._record(f"{PAGE}-gone{portion}", {"ids": [], "gone": list(ids)})

    def swept(self, known: Known, run: Run, stale: Stale | None) -> list[Outgoing]:
        """The records of a run that is over: they remove what says nothing any more. What was there
        as it was, is known by the pages of older runs; a full run needs none of those."""
        assert known.begun is not None
        useless = [
            Outgoing(self._topic, key, None, partition=self._partition)
            for key, (offset, kind) in known.old.items()
            if offset < known.begun
            and (run.full if kind != STATE else orjson.loads(key)[1] in known.ended)
        ]
        kept = stale.kept if stale is not None and not run.full else ()
        return [*useless, *kept, self._state(replace(run, swept=True))]

    def _state(self, run: Run) -> Outgoing:
        value = {
            "batch_id": run.batch_id,
            "full": run.full,
            "base": run.base,
            "pages": run.pages,
            "sent": run.sent,
            "bookmark": run.bookmark,
            "ended": run.ended,
            "swept": run.swept,
            "fingerprint": run.fingerprint,
        }
        return self._record(STATE, value)

    def _record(self, kind: str, value: dict[str, Any]) -> Outgoing:
        return self._outgoing(orjson.dumps([self._source, self._run, kind]), value)

    def _outgoing(self, key: bytes, value: dict[str, Any]) -> Outgoing:
        return Outgoing(self._topic, key, orjson.dumps(value), partition=self._partition)

    # What it reads

    async def _entries(self, only: str | None = None) -> AsyncIterator[_Entry]:
        """Yield what stands there of this source, oldest first."""
        try:
            async for message in self._messages():
                entry = self._entry(message, only)
                if entry is not None:
                    yield entry
        except (KafkaError, TimeoutError) as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            raise OutageError(
                f"{self._topic} cannot be read: {said}", dependency="kafka"
            ) from error

    def _entry(self, message: Any, only: str | None) -> _Entry | None:
        try:
            source, run, kind = orjson.loads(message.key or b"")
        except (ValueError, TypeError):
            return None
        if source != self._source:
            return None
        kind = PAGE if kind.startswith(PAGE) else kind
        if only is not None and kind != only:
            return None
        value = None if message.value is None else orjson.loads(message.value)
        return _Entry(message.key, message.offset, run, kind, value)

    async def _messages(self) -> AsyncIterator[Any]:
        """All up to the end as it is now: an open transaction of another source is waited for."""
        options = {**client(brokers_of(self._settings)), "auto_offset_reset": "earliest"}
        ends = Consumer(isolation_level="read_uncommitted", **options)
        consumer = Consumer(**options)
        try:
            await ends.start()
            await consumer.start()
            states = await consumer.topic_states({self._topic})
            if self._topic not in states:
                return
            self._partition = zlib.crc32(self._source.encode()) % states[self._topic].partitions
            tp = TopicPartition(self._topic, self._partition)
            ends.assign([tp])
            self._end = end = (await ends.end_offsets([tp]))[tp]
            consumer.assign([tp])
            loop = asyncio.get_running_loop()
            position, moved = await consumer.position(tp), loop.time()
            while position < end:
                for message in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
                    if message.offset < end:
                        yield message
                before, position = position, await consumer.position(tp)
                if position > before:
                    moved = loop.time()
                elif loop.time() - moved > SILENCE_SECONDS_MAX:
                    raise TimeoutError(f"nothing came for {SILENCE_SECONDS_MAX:g} s")
        finally:
            await consumer.stop()
            await ends.stop()


def _count(db: sqlite3.Connection) -> int:
    (count,) = db.execute("SELECT count(*) FROM ids").fetchone()
    return int(count)


def _take(db: sqlite3.Connection, page: dict[str, Any]) -> None:
    """Note the ids of a page, less what it says is gone."""
    db.execute("BEGIN")
    db.executemany("INSERT OR IGNORE INTO ids VALUES (?)", _each(page["ids"]))
    db.executemany("DELETE FROM ids WHERE id = ?", _each(page.get("gone", ())))
    db.execute("COMMIT")


def _drop(db: sqlite3.Connection, page: dict[str, Any]) -> None:
    """Leave out the ids that a page saw, and what could not be looked at."""
    db.execute("BEGIN")
    db.executemany("DELETE FROM ids WHERE id = ?", _each(page["ids"]))
    db.executemany("DELETE FROM ids WHERE id = ?", _each(page.get("kept", ())))
    ranges = [(each + PART, each + AFTER_PART) for each in page.get("kept", ())]
    db.executemany("DELETE FROM ids WHERE id >= ? AND id < ?", ranges)
    db.execute("COMMIT")


def _each(ids: Sequence[str]) -> list[tuple[str]]:
    return [(id,) for id in ids]
