"""What `send` was asked to send, and where."""

import pytest
from click.testing import CliRunner

from tickertape.cli import send
from tickertape.cli.send import _entries, _where
from tickertape.feed import Shape, content_id
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
