"""What the ingest makes of requests, rows and what its source says."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from agents import embed, ingest
from models import EmbeddingRequest
from tests.web_parts import parts
from tickertape import runs, sources
from tickertape.decode import Limits
from tickertape.errors import InvalidRecord, OutageError, SettingsError, Undecodable
from tickertape.record import Outgoing, Record
from tickertape.settings import Settings, load
from tickertape.sources.base import Page, Row, Unread


def record(value: dict[str, Any], offset: int = 3) -> Record:
    return Record("data-ingestion", 2, offset, b"filings", orjson.dumps(value), (), 1)


def configured(**sources: Any) -> Settings:
    return Settings(_env_file=None, sources=sources)  # type: ignore[call-arg]


def wanted(**named: Any) -> sources.Wanted:
    given = {"source_id": None, "kind": None, "connection": {}, "table": None, **named}
    return sources.Wanted(**given)


def test_a_request_is_one_run_wherever_it_is_read_again():
    one, again, other = (
        ingest.read(record({"source_id": "a"}, offset), Limits()) for offset in (3, 3, 4)
    )
    assert one == again
    assert one.run != other.run
    assert one.batch_id != other.batch_id
    asked = {"source_id": "a", "batch_id": "b", "full": True, "yes": True}
    found = ingest.read(record(asked), Limits())
    assert (found.batch_id, found.full, found.yes) == ("b", True, True)


def test_a_source_is_found_by_its_name_or_by_what_is_configured(tmp_path: Path):
    settings = configured(
        a={"kind": "files", "path": "a"}, b={"kind": "folder", "path": "b"}, allow_inline=False
    )
    assert settings.source_names == ["a", "b"]
    assert sources.of_request(settings, wanted(source_id="b")).name == "b"
    assert sources.of_request(settings, wanted(source_id="x", kind="files", table="b")).name == "b"
    for asked, said in (
        (wanted(source_id="c"), r"source_id: expected a configured source \(a, b\), got 'c'"),
        (wanted(kind="files"), "source_id: expected one of a, b: files is in several"),
        (wanted(kind="files", table="c"), "db_type: expected a configured source: none"),
        (wanted(source_id="allow_inline"), "source_id: expected a configured source"),
    ):
        with pytest.raises(InvalidRecord, match=said):
            sources.of_request(settings, asked)


@pytest.mark.parametrize(
    "connection", [{"password": "x"}, {"url": "postgresql://u:x@h/d"}, {"api_key": "x"}]
)
def test_a_credential_in_a_request_is_refused_and_not_shown(connection: dict[str, str]):
    settings = configured(a={"kind": "files", "path": "a"})
    with pytest.raises(InvalidRecord, match=r"sources\.allow_inline") as error:
        sources.of_request(settings, wanted(source_id="a", connection=connection))
    assert "u:x" not in str(error.value)


def test_values_of_the_environment_stand_in_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "config.yaml").write_text(
        "sources: {a: {kind: files, path: '${FILINGS}/new', include: ['${KIND}']}}"
    )
    monkeypatch.setenv("FILINGS", "/srv/filings")
    with pytest.raises(SettingsError, match=r"sources\.a\.include\[0\]: .* has no KIND"):
        load(tmp_path)
    (tmp_path / ".env").write_text("KIND=*.md")
    settings = load(tmp_path)
    assert settings.sources["a"] == {
        "kind": "files",
        "path": "/srv/filings/new",
        "include": ["*.md"],
    }


async def test_rows_become_pieces_of_this_source_alone(tmp_path: Path):
    tree = {"filings": {"kind": "files", "path": str(tmp_path), "collection": "desk"}}
    async with parts(tmp_path, sources=tree, text_bytes_max=100) as services:
        settings = services.settings
        source = sources.open_source(settings, "filings")
        request = ingest.read(record({"source_id": "filings", "batch_id": "b"}), Limits())
        run = ingest.Ingest(source, request, settings, services)
        made = run._record(Row("a/b.txt", "Revenue rose.", {"path": "a/b.txt"}, 5.0))
        limits = Limits(settings.text_bytes_max)

        def read(out: Any) -> Any:
            given = Record(out.topic, 0, 0, out.key, out.value, tuple(out.headers), 1)
            return embed.read(given, EmbeddingRequest, limits)

        document = read(made)
        assert made.key == b"filings/a/b.txt"
        assert (document.key.collection, document.key.id) == ("desk", "filings/a/b.txt")
        assert (document.source, document.batch_id, document.timestamp) == ("filings", "b", 5.0)
        assert document.metadata == {"path": "a/b.txt"}
        for row, said in (
            (Unread("c.pdf", "encrypted"), "c.pdf: encrypted"),
            (Row("long.txt", "x" * 101), "long.txt: 101 characters"),
        ):
            with pytest.raises(Undecodable, match=said):
                read(run._record(row))
        large = Row("large.csv#2", "text", {"column": "x" * ingest.PIECE_BYTES_MAX})
        with pytest.raises(Undecodable, match=r"large\.csv#2: \d+ bytes are over"):
            read(run._record(large))
        assert len(run._record(large).value or b"") < 1000
        long = run._record(Row("x" * 2000, "text"))
        assert len(long.key or b"") < 100
        assert long.key == run._tombstone("x" * 2000).key


async def test_kafka_is_known_to_be_back_before_an_ingest_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever waits for the probe would wait for all of the ingest, and it may wait for them."""
    tree = {"filings": {"kind": "files", "path": str(tmp_path)}}
    reads, sent = asyncio.Event(), []

    class Kept(contextlib.nullcontext[Any]):
        def __init__(self, _settings: Settings, _name: str) -> None:
            super().__init__(self)

        async def send(self, records: Any) -> None:
            sent.append(records)

    async def known(_runs: runs.Runs) -> runs.Known:
        return runs.Known()

    monkeypatch.setattr(ingest, "Transactions", Kept)
    monkeypatch.setattr(runs.Runs, "read", known)
    async with parts(tmp_path, sources=tree) as services:
        breaker = services.runtime.breakers["kafka"]
        source = sources.open_source(services.settings, "filings")

        async def count(_since: Any) -> int:
            reads.set()
            return await asyncio.Event().wait()

        monkeypatch.setattr(source, "count", count)
        breaker.open("no broker answers", retry_after=0.0)
        assert breaker.admit()
        request = ingest.read(record({"source_id": "filings"}), Limits())
        run = asyncio.create_task(ingest.Ingest(source, request, services.settings, services).run())
        await asyncio.wait_for(reads.wait(), 10)
        assert len(sent) == 1
        assert not breaker.is_open
        run.cancel()


def test_what_is_kept_is_not_stale_with_the_rows_in_it():
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
    ids = ["a.csv", "a.csv#1", "a.csv#2", "a.csvx", "b.txt", "c.txt", "d.txt"]
    runs._take(db, {"ids": ids})
    runs._take(db, {"ids": ["e.txt"], "gone": ["d.txt"]})
    assert runs._count(db) == 7
    runs._drop(db, {"ids": ["b.txt"], "kept": ["a.csv"]})
    left = [id for (id,) in db.execute("SELECT id FROM ids ORDER BY id")]
    assert left == ["a.csvx", "c.txt", "e.txt"]
    db.close()


def test_a_file_that_cannot_be_read_keeps_what_is_known_of_it():
    ledger = runs.Runs(configured(), "s", "run")
    page = Page([Unread("a.csv", "broken"), Row("b.txt", "text")], {"path": "b.txt"})
    run = runs.Run("run", "b", full=True).after(page, last=True)
    first, second = (orjson.loads(each.value or b"") for each in ledger.page(page, run))
    assert first == {"ids": ["a.csv", "b.txt"], "kept": ["a.csv"]}
    assert (second["sent"], second["ended"], second["bookmark"]) == (2, True, {"path": "b.txt"})


async def test_what_came_twice_in_a_batch_is_not_waited_for(tmp_path: Path):
    tree = {"filings": {"kind": "files", "path": str(tmp_path)}}
    async with parts(tmp_path, sources=tree, ingest_ahead_max=1000) as services:
        source = sources.open_source(services.settings, "filings")
        request = ingest.read(record({"source_id": "filings", "batch_id": "b"}), Limits())
        run = ingest.Ingest(source, request, services.settings, services)
        far = runs.Run(request.run, "b", full=True, sent=1010)
        await services.batches.put("b", done=3, dead=2, repeats=5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run._wait(far), 0.01)
        await services.batches.put("b", done=3, dead=2, repeats=6)
        await asyncio.wait_for(run._wait(far), 5)


class Kafka:
    """What transactions have sent; it is away after ``left`` more of them."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.left = 1000

    async def __aenter__(self) -> Kafka:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def send(self, records: Sequence[Outgoing]) -> None:
        if not self.left:
            raise OutageError("Kafka is away", dependency="kafka")
        self.left -= 1
        self.sent += records

    async def ledger(self, reader: runs.Runs) -> AsyncIterator[Any]:
        """The newest of each key, as a compacted topic has it."""
        of_topic = [each for each in self.sent if each.topic == reader._topic]
        reader._end = len(of_topic)
        newest = {each.key: offset for offset, each in enumerate(of_topic)}
        for offset, each in enumerate(of_topic):
            if newest[each.key] == offset:
                yield SimpleNamespace(key=each.key, value=each.value, offset=offset)

    def documents(self, topic: str) -> set[bytes | None]:
        """The keys of those that were sent and not removed."""
        last = {each.key: each.value for each in self.sent if each.topic == topic}
        return {key for key, value in last.items() if value is not None}


async def test_a_run_that_a_newer_full_one_overtook_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kafka = Kafka()
    monkeypatch.setattr("agents.ingest.Transactions", lambda *_: kafka)
    monkeypatch.setattr(runs.Runs, "_messages", lambda reader: kafka.ledger(reader))
    monkeypatch.setattr("tickertape.sources.files.PAGE_ROWS", 1)
    folder = tmp_path / "filings"
    folder.mkdir()
    for name in "abc":
        (folder / f"{name}.txt").write_text(f"{name}: revenue rose.")
    tree = {"filings": {"kind": "files", "path": str(folder)}}
    async with parts(tmp_path, sources=tree) as services:
        settings = services.settings

        async def run(offset: int) -> None:
            request = ingest.read(record({"source_id": "filings", "full": True}, offset), Limits())
            source = sources.open_source(settings, "filings")
            await ingest.Ingest(source, request, settings, services).run()

        async def broken_off(transactions: int) -> None:
            kafka.left = transactions
            with pytest.raises(OutageError):
                await run(1)
            kafka.left = 1000

        topic = settings.topic_embedding_requests
        await broken_off(2)
        assert kafka.documents(topic) == {b"filings/a.txt"}
        (folder / "a0.txt").write_text("gone before the next")
        await run(2)
        (folder / "a0.txt").unlink()
        await broken_off(1)
        await run(1)
        every = {b"filings/a.txt", b"filings/a0.txt", b"filings/b.txt", b"filings/c.txt"}
        assert kafka.documents(topic) == every
        await run(3)
        assert kafka.documents(topic) == every - {b"filings/a0.txt"}, "the next one removes"
