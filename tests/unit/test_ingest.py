"""What the ingest makes of requests, rows and what its source says."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents import embed, ingest
from models import EmbeddingRequest
from tests.web_parts import parts
from tickertape import runs, sources
from tickertape.decode import Limits
from tickertape.errors import InvalidRecord, SettingsError, Undecodable
from tickertape.record import Record
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
