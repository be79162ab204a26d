"""What `send` was asked to send, and where."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from testkit.broker import free_port
from tickertape.broker import EmbeddedBroker
from tickertape.cli import batches, dlq, read, send, topics
from tickertape.cli.send import _entries, _where
from tickertape.feed import FeedDocument, Shape, content_id
from tickertape.settings import Settings

SETTINGS = Settings(brokers="127.0.0.1:1", topic_financial_documents="filings")


def where(*words, topic=None, files=False, count=None):
    return _where(SETTINGS, words, topic, files, count)


@pytest.mark.parametrize(
    ("asked", "topic", "kind", "text"),
    [
        (where("hello"), "text-messages", "text_messages", "hello"),
        (where("filings", "hello"), "filings", "financial_documents", "hello"),
        (where("financial-documents", "hi"), "filings", "financial_documents", "hi"),
        (where("embedding-requests", "hi"), "embedding-requests", "embedding_requests", "hi"),
        (where("hello", topic="other"), "other", None, "hello"),
        (where("text-messages", topic="other"), "other", None, "text-messages"),
        (where(count=3), "filings", "financial_documents", None),
        (where("text-messages", count=3), "text-messages", "text_messages", None),
        (where(files=True), "text-messages", "text_messages", None),
        (where("filings", files=True), "filings", "financial_documents", None),
    ],
)
def test_where(asked, topic, kind, text):
    assert asked == (topic, kind, text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected one of"),
        (["hello", "world"], "'hello' is not a topic"),
        (["a", "b", "c"], "TEXT in quotes"),
        (["text-messages"], "no TEXT to send to text-messages"),
        (["llm-results", "hi"], "not a topic to send to"),
        (["--count", "2", "--file", "-"], "exclude each other"),
        (["--count", "0"], "--count"),
        (["--file", "no-such-file"], "no-such-file"),
        (["--count", "2", "--key", "k"], "--key goes with a TEXT"),
        (["--count", "2", "vector-updates"], "samples are texts"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_was_expected(arguments, words):
    (command,) = send.commands(lambda: SETTINGS)
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert words in result.output


def one(text, shape=None, key=None):
    (found,) = _entries(shape or Shape(), text, (), None, key)
    return found


def test_the_same_text_is_the_same_document():
    assert one("hello").id == one("hello").id != one("hullo").id
    assert one("hello", key="k").id == "k"


def test_a_text_may_be_a_record():
    found = one('{"id": 5, "text": "a", "lang": "en"}')
    assert (found.id, found.payload) == ("5", {"id": "5", "text": "a", "lang": "en"})
    assert "not JSON" in str(one('{"id": 5'))


def test_the_topics_names():
    found = one("hello", Shape("document_id", "content"))
    assert found.payload == {"document_id": found.id, "content": "hello"}
    samples = list(_entries(Shape("document_id", "content"), None, (), 2, None))
    assert all({"document_id", "content", "title"} <= set(s.payload) for s in samples)
    assert content_id(b"x") == content_id(b"x")


def test_an_unreachable_broker_is_one_line_and_exit_1():
    (command,) = send.commands(lambda: SETTINGS)
    result = CliRunner().invoke(command, ["hello"])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "127.0.0.1:1" in result.output


def test_nothing_to_send_leaves_no_batch_and_needs_no_broker(tmp_path):
    """The broker of these settings is not there."""
    (tmp_path / "a.jsonl").write_text("{nope\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.pdf").write_text("%PDF")
    paths = ("--file", str(tmp_path / "a.jsonl"), "--file", str(tmp_path / "docs"))
    (command,) = send.commands(lambda: SETTINGS)
    result = CliRunner().invoke(command, [*paths, "--json", "--skip-bad"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["sent"], found["skipped"], found["passed_over"]) == (0, 2, 1)
    assert found["batch_id"] is None
    assert "a.jsonl:1: not JSON" in result.stderr
    assert "b.pdf: passed over" in result.stderr
    said = CliRunner().invoke(command, paths)
    assert "nothing was sent, and there is no batch" in said.stdout
    assert "passed over 1 of other kinds" in said.stdout


def test_bytes_of_a_terminal_that_are_no_utf8_are_sent():
    (found,) = _entries(Shape(), "5 \udc80 net", (), None, None)
    assert isinstance(found, FeedDocument)


def test_a_page_that_is_typed_is_not_sent():
    (command,) = send.commands(lambda: SETTINGS)
    result = CliRunner().invoke(command, ["<html><body><p>Revenue rose.</p></body></html>"])
    assert result.exit_code == 1
    assert "TEXT: a web page" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["dlq", "replay"],
        ["dlq", "replay", "--limit", "3"],
        ["dlq", "replay", "--all", "--set", "text"],
        ["dlq", "replay", "--topic", "nope"],
        ["dlq", "purge", "--yes"],
    ],
    ids=" ".join,
)
def test_wrong_usage_starts_no_broker(tmp_path, monkeypatch, arguments):
    monkeypatch.setattr(EmbeddedBroker, "start", lambda *_: pytest.fail("started"))
    monkeypatch.setattr(EmbeddedBroker, "join", lambda *_: pytest.fail("started"))
    settings = Settings(brokers=None, data_dir=tmp_path, broker_port=free_port())
    (command,) = dlq.commands(lambda: settings)
    result = CliRunner().invoke(command, arguments[1:])
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["read", "text-messages"],
        ["batches", "list"],
        ["batches", "watch", "b"],
        ["dlq", "list"],
        ["dlq", "replay", "--all", "--dry-run"],
        ["topics", "check"],
    ],
    ids=" ".join,
)
def test_a_command_that_only_reads_starts_no_broker(tmp_path, monkeypatch, arguments):
    monkeypatch.setattr(EmbeddedBroker, "start", lambda *_: pytest.fail("started"))
    monkeypatch.setattr(EmbeddedBroker, "join", lambda *_: pytest.fail("started"))
    settings = Settings(brokers=None, data_dir=tmp_path, broker_port=free_port())
    groups = [topics.commands(lambda: settings), *batches.commands(lambda: settings)]
    groups += [*read.commands(lambda: settings), *dlq.commands(lambda: settings)]
    command = {group.name: group for group in groups}[arguments[0]]
    result = CliRunner().invoke(command, arguments[1:])
    assert result.exit_code == 1
    assert "no broker runs at" in result.stderr
    assert len(result.stderr.splitlines()) == 1


async def test_what_a_batch_waits_for_is_said_again_and_again(monkeypatch, capsys):
    monkeypatch.setattr(batches, "WAIT_SECONDS", 0.0)
    asked = asyncio.Event()

    async def workers(*_):
        if capsys.readouterr().err.count("no worker runs"):
            asked.set()
        return 0

    monkeypatch.setattr("tickertape.kafka_admin.workers", workers)
    reader = SimpleNamespace(get=lambda _: None)
    async with batches.said_while_waiting(SETTINGS, reader, "b"):
        await asked.wait()
