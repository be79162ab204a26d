"""`send` and `read` as typed, on a real broker. A test's own owner stands in for the worker."""

import asyncio
import gzip
import json
import re
import threading

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from click.testing import CliRunner

from testkit.broker import topic_settings
from tickertape import settings as settings_module
from tickertape.cli import batches, read, send
from tickertape.encode import batch_status


@pytest.fixture
def settings(broker, tmp_path, monkeypatch):
    for name, value in {"KAFKA_BROKERS": broker.bootstrap, **topic_settings()}.items():
        monkeypatch.setenv(name, value)
    return settings_module.load(tmp_path)


@pytest.fixture
def run(settings):
    """Run `send ...` or `read ...`."""

    def call(name, *arguments, input=None, exit_code=0):
        module = {"send": send, "read": read}[name]
        (command,) = module.commands(lambda: settings)
        result = CliRunner().invoke(command, arguments, input=input)
        assert result.exit_code == exit_code, result.output
        return result

    return call


@pytest.fixture
def batches_run(settings):
    """Run `batches ...`."""

    def call(*arguments, exit_code=0):
        (group,) = batches.commands(lambda: settings)
        result = CliRunner().invoke(group, arguments)
        assert result.exit_code == exit_code, result.output
        return result

    return call


def records(run, topic, *arguments):
    return [
        json.loads(line)
        for line in run("read", topic, "--json", *arguments).stdout.split("\n")[:-1]
    ]


def test_a_line_of_text(run, settings):
    sent = json.loads(run("send", "Net income rose.", "--json", "--force").stdout)
    (record,) = records(run, "text-messages")
    assert record["key"] == record["value"]["id"] == sent["id"]
    assert record["value"]["text"] == "Net income rose."
    assert record["value"]["batch_id"] == sent["batch_id"]
    assert record["headers"] == {"tickertape-force": "1"}
    assert record["topic"] == settings.topic_text_messages
    (declared,) = records(run, "batch-status")
    assert (declared["key"], declared["value"]["total_documents"]) == (sent["batch_id"], 1)


def test_a_key_that_is_not_the_id(run):
    run("send", "text-messages", '{"id": "d", "text": "a"}', "--key", "k")
    (record,) = records(run, "text-messages")
    assert (record["key"], record["value"]["id"]) == ("k", "d")


def test_samples(run):
    result = run("send", "--count", "30")
    assert result.stdout.startswith("sent 30 to ")
    found = records(run, "financial-documents")
    assert len({record["key"] for record in found}) == 30
    assert len({record["partition"] for record in found}) > 1


def test_files_are_counted_as_they_are_read(run, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("a text")
    (tmp_path / "docs" / "b.pdf").write_text("%PDF")
    lines = b'{"id": 1, "text": "a"}\n{"id": 2, "te\n{"id": 3, "text": "c"}\n'
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    arguments = ("--file", str(tmp_path / "docs"), "--file", str(tmp_path / "b.jsonl.gz"))
    result = run("send", *arguments, "--json", exit_code=1)  # a line was skipped
    sent = json.loads(result.stdout)
    assert (sent["sent"], sent["skipped"], sent["passed_over"]) == (3, 1, 1)
    assert f"{tmp_path / 'docs' / 'b.pdf'}: passed over" in result.stderr
    assert f"{tmp_path / 'b.jsonl.gz'}:2: not JSON" in result.stderr
    assert {r["key"] for r in records(run, "text-messages")} == {"docs/a.txt", "1", "3"}
    totals = [r["value"]["total_documents"] for r in records(run, "batch-status")]
    assert totals == [None, 3]


def test_stdin(run):
    run("send", "--file", "-", input='{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n')
    assert {r["key"] for r in records(run, "text-messages")} == {"1", "2"}


def test_nothing_that_could_be_sent_is_a_failure(run):
    result = run("send", "--file", "-", input="{nope\n", exit_code=1)
    assert "stdin:1: not JSON" in result.stderr


def test_a_record_that_is_too_large_is_skipped_and_named(run, tmp_path):
    large = {"id": 1, "text": "a" * (16 * 2**20 - 50)}
    (tmp_path / "a.jsonl").write_text(json.dumps(large) + '\n{"id": 2, "text": "b"}\n')
    result = run("send", "--file", str(tmp_path / "a.jsonl"), "--skip-bad")
    assert f"{tmp_path / 'a.jsonl'}:1: " in result.stderr
    assert [r["key"] for r in records(run, "text-messages")] == ["2"]


def test_a_topic_that_is_not_there_is_named(run):
    assert "there is no topic nowhere" in run("send", "--topic", "nowhere", "a", exit_code=1).output
    assert "there is no topic nowhere" in run("read", "nowhere", exit_code=1).output


def test_a_topic_of_the_users(run, make_topic):
    topic = make_topic()
    run("send", "--topic", topic, "hello")
    assert records(run, topic)[0]["value"]["text"] == "hello"


def test_reading_stops_after_as_many_as_were_asked_for(run):
    run("send", "--count", "5")
    assert len(records(run, "financial-documents", "--max-messages", "2")) == 2
    pretty = run("read", "financial-documents", "--max-messages", "1").stdout
    assert "sample-0000" in pretty


class Owner(threading.Thread):
    """Answers so many declared totals as the batch's owner does, with the status it is given."""

    def __init__(self, settings, answers, status):
        super().__init__(daemon=True)
        self.settings, self.answers, self.status = settings, answers, status
        self.ready, self.totals = threading.Event(), []

    def run(self):
        asyncio.run(self.answer())

    async def answer(self):
        topic, where = self.settings.topic_batch_status, self.settings.bootstrap
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=where, auto_offset_reset="earliest")
        producer = AIOKafkaProducer(bootstrap_servers=where)
        await consumer.start()
        await producer.start()
        self.ready.set()
        own = [("tickertape-own", b"1")]
        try:
            async for message in consumer:
                declared = orjson.loads(message.value)
                if message.headers or declared["total_documents"] is None:
                    continue
                total = declared["total_documents"]
                self.totals.append(total)
                for status in ({"status": "processing"}, self.status):
                    value = batch_status(
                        declared["batch_id"],
                        **{"processed_documents": total, **status, "total_documents": total},
                    )
                    await producer.send_and_wait(topic, value, key=message.key, headers=own)
                if len(self.totals) == self.answers:
                    return
        finally:
            await consumer.stop()
            await producer.stop()


@pytest.fixture
def owner(run, settings):
    """Start an owner for so many batches' totals; the first is that of this fixture's own."""
    found = []

    def start(answers, **status):
        run("send", "the topics are there now")
        found.append(Owner(settings, answers + 1, status))
        found[0].start()
        assert found[0].ready.wait(30)
        return found[0]

    yield start
    found[0].join(30)
    assert not found[0].is_alive()


def test_waiting_says_what_became_of_the_batch(run, owner):
    owner(1, status="completed", done=3, unchanged=2)
    sent = json.loads(run("send", "--count", "3", "--wait", "--json").stdout)
    assert (sent["status"], sent["done"], sent["unchanged"], sent["dead"]) == ("completed", 3, 2, 0)


def test_a_failed_batch_is_exit_1_with_its_reason(run, owner):
    owner(1, status="failed", done=2, dead=1, error_message="1 is dead")
    result = run("send", "--count", "3", "--wait", exit_code=1)
    assert "failed: 2 done (0 unchanged), 1 dead" in result.stdout
    assert "1 is dead" in result.stdout


def test_a_batch_is_followed_in_lines_where_there_is_no_terminal(run, owner, batches_run):
    owner(1, status="completed", done=3)
    sent = run("send", "--count", "3", "--batch", "b", "--wait").stdout
    followed = batches_run("watch", "b").stdout
    for said in (sent, followed):
        assert re.search(r"^b +completed +3/3", said, re.MULTILINE), said
    assert "unknown batch: nothing" in batches_run("watch", "nothing", exit_code=1).stderr


async def test_what_a_batch_waits_for_is_said(settings, make_topic):
    assert "no worker runs (queued)" in await batches._why(settings, None)
    worker = AIOKafkaConsumer(
        make_topic(), bootstrap_servers=settings.bootstrap, group_id=settings.app_id
    )
    await worker.start()
    try:
        while not worker.assignment():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        state = {"status": "processing", "total_documents": None, "processed_documents": 2}
        assert "a worker runs (processing, 2/?)" in await batches._why(settings, state)
    finally:
        await worker.stop()


def test_a_second_send_adds_to_the_batch(run, owner):
    answered = owner(2, status="completed")
    for _ in range(2):
        run("send", "--count", "2", "--batch", "b", "--wait")
    assert answered.totals == [1, 2, 4]


def test_reading_can_wait_for_what_comes(run, settings):
    run("send", "text-messages", '{"id": 1, "text": "a"}')

    async def produce():
        producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
        async with producer:
            await producer.send_and_wait(settings.topic_text_messages, b"{}", key=b"2")

    late = threading.Timer(1.0, asyncio.run, [produce()])
    late.start()
    found = records(run, "text-messages", "--follow", "--max-messages", "2")
    late.join()
    assert [record["key"] for record in found] == ["1", "2"]
