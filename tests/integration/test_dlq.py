"""Dead letters on a real broker: read, filtered, marked, purged, exported, as typed."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner, Result

from tests.fixtures_broker import Broker, create_topic, topic_settings, unique, worker_env
from tickertape import kafka_admin, topics
from tickertape import settings as settings_module
from tickertape.cli import dlq
from tickertape.delivery import headers as h
from tickertape.delivery.letters import dead
from tickertape.delivery.publisher import KafkaPublisher
from tickertape.delivery.record import Outgoing, Record
from tickertape.dlq import reader as reader_module
from tickertape.dlq.box import DeadLetters, Selection
from tickertape.dlq.filters import Filter
from tickertape.dlq.letter import Letter, Place
from tickertape.dlq.marks import ALL, State
from tickertape.dlq.reader import kafka_reader
from tickertape.dlq.replay import Plan
from tickertape.errors import BrokerError, InvalidRecord, Timeout
from tickertape.settings import Settings

ROOT = Path(__file__).parents[2]
PARTITIONS = 3


@dataclass
class System:
    """Topics of this test, and a producer."""

    settings: Settings
    env: dict[str, str]
    publisher: KafkaPublisher

    @property
    def text(self) -> str:
        return self.settings.topic_text_messages

    @property
    def dlq(self) -> str:
        return topics.dlq(self.text)

    def box(self) -> DeadLetters:
        return DeadLetters(self.settings, self.publisher.send)

    async def die(
        self,
        *values: bytes | None,
        base: str | None = None,
        batch: str | None = "b",
        error: Exception | None = None,
        partition: int | None = None,
        keys: Sequence[bytes] | None = None,
    ) -> None:
        """Let records die as their flow would; the key is d0, d1, ..."""
        base = base or self.text
        error = error or InvalidRecord("text", "a non-empty string")
        letters: list[Outgoing] = []
        for n, value in enumerate(values):
            key = keys[n] if keys else b"d%d" % n
            record = Record(base, 0, n, key, value, (("x", b"1"),), 1000 + n)
            letter = dead(record, base, "g", 0, error, batch)
            letters.append(
                Outgoing(letter.topic, letter.key, letter.value, letter.headers, partition)
            )
        await self.send(letters)

    async def send(self, records: Sequence[Outgoing]) -> None:
        for start in range(0, len(records), 500):
            errors = await self.publisher.send(records[start : start + 500])
            assert [error for error in errors if error is not None] == []

    async def run(self, *arguments: str, code: int = 0, brokers: str | None = None) -> Result:
        """Run ``dlq ...`` in a thread, as an event loop of its own."""
        settings = self.settings
        if brokers is not None:
            settings = settings.model_copy(update={"brokers": brokers})
        (command,) = dlq.commands(lambda: settings)
        found = await asyncio.to_thread(CliRunner().invoke, command, arguments)
        assert found.exit_code == code, (found.output, found.exception)
        assert "Traceback" not in found.output
        return found

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start ``faust -A app dlq ...``, a process of its own."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "faust", "-A", "app", "dlq", *arguments)
        return await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=self.env, stdout=pipe, stderr=pipe
        )

    async def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads((await self.run(*arguments, "--json", code=code)).stdout)

    async def ids(self, *arguments: str) -> list[str]:
        return [letter["id"] for letter in await self.json("list", *arguments)]

    async def read(self, topic: str) -> list[Any]:
        """All records of a topic."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.settings.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            found: list[Any] = []
            while any([await consumer.position(tp) < end for tp, end in ends.items()]):
                for messages in (await consumer.getmany(timeout_ms=100)).values():
                    found += messages
            return found
        finally:
            await consumer.stop()

    async def begins(self, topic: str) -> list[int]:
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.settings.bootstrap)
        await consumer.start()
        try:
            places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
            found = await consumer.beginning_offsets(places)
            return [found[place] for place in places]
        finally:
            await consumer.stop()


@pytest.fixture
async def system(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[System]:
    env = {
        **worker_env(broker, tmp_path / "data"),
        **topic_settings(),
        "TICKERTAPE_APP_ID": unique("app"),
        "TICKERTAPE_REPLAYS_MAX": "2",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = settings_module.load(tmp_path)
    await create_topic(broker.bootstrap, settings.topic_text_messages, PARTITIONS)
    family = {settings.topic_text_messages, settings.topic_embeddings}
    ours = {settings.topic_batch_progress, topics.replays(settings.app_id)}
    wanted = [
        one
        for one in kafka_admin.wanted(settings)
        if one.name in family | ours or one.like in family
    ]
    # An operator may have given the marks' topic another count.
    await create_topic(broker.bootstrap, topics.replays(settings.app_id), PARTITIONS)
    (await kafka_admin.ensure(broker.bootstrap, wanted)).raise_for_errors()
    publisher = KafkaPublisher(settings)
    await publisher.start()
    try:
        yield System(settings, env, publisher)
    finally:
        await publisher.stop()


def value(n: int, **more: Any) -> bytes:
    return json.dumps({"id": f"d{n}", "text": n, **more}).encode()


def everything(_letter: Letter) -> bool:
    return True


# Reading


async def test_the_newest_come_first_from_all_partitions(system: System) -> None:
    await system.die(*[value(n) for n in range(60)])
    await system.die(*[value(n) for n in range(60)], base=system.settings.topic_embeddings)
    both = [system.dlq, topics.dlq(system.settings.topic_embeddings)]
    async with kafka_reader(system.settings.bootstrap) as reader:
        whole = [letter async for letter in reader.oldest(both)]
        expected = sorted(whole, key=lambda x: (x.timestamp_ms, x.place), reverse=True)
        assert len({letter.place.partition for letter in whole}) >= PARTITIONS
        for limit in (1, 7, 120, 500):
            found = await reader.newest(both, everything, limit)
            assert [x.place for x in found] == [x.place for x in expected[:limit]]
            assert {x.value for x in found} == {None}
        assert await reader.newest(["not-there-dlq"], everything, 5) == []
        assert await reader.newest([], everything, 5) == []


async def test_a_short_list_of_many_reads_few(system: System) -> None:
    count = 10_000
    await system.die(*[value(n) for n in range(count)])
    looked = 0

    def wanted(letter: Letter) -> bool:
        nonlocal looked
        looked += 1
        return True

    async with kafka_reader(system.settings.bootstrap) as reader:
        found = await reader.newest([system.dlq], wanted, 20)
        assert len(found) == 20
        assert 20 <= looked <= count / 5
        # A rare one is found wherever it is, and looked for no longer than needed.
        first = await reader.newest([system.dlq], lambda x: x.key == b"d0", 1)
        assert [letter.key for letter in first] == [b"d0"]
        looked = 0
        since = found[-1].timestamp_ms
        recent = await reader.newest([system.dlq], wanted, count, since)
        assert all(letter.timestamp_ms >= since for letter in recent) or looked < count
        assert looked < count


async def test_one_letter_by_its_place(system: System) -> None:
    await system.die(value(0), b"\xff\x00", None, partition=1)
    async with kafka_reader(system.settings.bootstrap) as reader:
        values = []
        for offset in range(3):
            letter = await reader.get(Place(system.dlq, 1, offset))
            assert letter is not None
            assert letter.place.offset == offset
            values.append(letter.value)
        assert values == [value(0), b"\xff\x00", None]
        for place in (
            Place(system.dlq, 1, 3),
            Place(system.dlq, 0, 0),
            Place(system.dlq, 9, 0),
            Place("not-there-dlq", 0, 0),
        ):
            assert await reader.get(place) is None


async def test_a_documents_letter_is_found_by_its_key(system: System) -> None:
    await system.die(*[value(n) for n in range(40)])
    box = system.box()
    letter = await box.of_document("d7")
    assert letter is not None
    assert letter.key == b"d7"
    assert await box.of_document("d40") is None
    await box.replay(Selection(ids=(letter.place,)), Plan())
    assert await box.of_document("d7") is None


async def test_no_broker_is_said_in_one_line(system: System) -> None:
    for command in (("list",), ("show", "a-dlq/0/0"), ("replay",), ("purge", "--yes"), ("export",)):
        said = (await system.run(*command, code=1, brokers="localhost:1")).stderr
        assert said.startswith("Error: no Kafka broker answers at localhost:1"), said
        assert len(said.splitlines()) == 1


async def test_a_broker_that_falls_silent_ends_a_reading(
    system: System, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "STALL_SECONDS", 2.0)
    await system.die(*[value(n) for n in range(3)])

    async def ask() -> None:
        async with kafka_reader(system.settings.bootstrap) as reader:
            broker.kill()
            await reader.newest([system.dlq], everything, 5)

    try:
        with pytest.raises(BrokerError, match="at localhost"):
            await ask()
    finally:
        await asyncio.to_thread(broker.start)


# Commands


async def test_lists_are_filtered(system: System) -> None:
    embeddings = system.settings.topic_embeddings
    await system.die(value(0), value(1))
    await system.die(value(2), batch="c", keys=[b"two"], error=Timeout("the store is slow"))
    await system.die(value(3), base=embeddings, batch=None, keys=[b"three"])

    async def keys(*arguments: str) -> set[str]:
        return {letter["key"] for letter in await system.json("list", *arguments)}

    everyone = {"d0", "d1", "two", "three"}
    assert await keys() == everyone
    assert await keys("--topic", system.text) == everyone - {"three"}
    assert await keys("--topic", "text-messages") == everyone - {"three"}  # its default name
    assert await keys("--topic", topics.dlq(embeddings)) == {"three"}
    assert await keys("--topic", "embeddings", "--topic", system.text) == everyone
    assert await keys("--topic", "embeddings-parking") == set()
    assert await keys("--error-class", "transient") == {"two"}
    assert await keys("--error", "invalidrecord") == everyone - {"two"}
    assert await keys("--key", "two") == {"two"}
    assert await keys("--batch", "b") == {"d0", "d1"}
    assert await keys("--since", "1h", "--until", "0s") == everyone
    assert await keys("--until", "1h") == set()
    assert len(await keys("--limit", "1")) == 1
    people = (await system.run("list", "--key", "two")).stdout
    assert "Timeout: the store is slow" in people
    assert (await system.run("list", "--key", "none")).stdout == "no dead letters match\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--topic", "elsewhere"),
        ("list", "--since", "soon"),
        ("list", "--limit", "0"),
        ("show",),
        ("show", "no-id"),
        ("replay", "a-dlq/0/0", "--batch", "b"),
        ("replay", "--edit"),
        ("replay", "a-dlq/0/0", "a-dlq/0/1", "--edit"),
        ("replay", "--rate", "fast"),
        ("replay", "--set", "text=no quotes"),
        ("purge",),
    ],
    ids=" ".join,
)
async def test_wrong_usage_is_2(system: System, arguments: tuple[str, ...]) -> None:
    said = await system.run(*arguments, code=2)
    assert "Error:" in said.stderr


async def test_a_letter_is_shown_without_its_secret(system: System) -> None:
    await system.die(
        value(0, password="hunter2", url="postgres://u:hunter2@db/x"),
        b"\xff\x00 \x1b[31m garbage",
        None,
        partition=0,
    )
    shown = (await system.run("show", f"{system.dlq}/0/0")).stdout
    assert "hunter2" not in shown
    assert '"password": "***"' in shown
    assert "text: expected a non-empty string" in shown
    assert "x: 1" in shown
    shown = (await system.run("show", f"{system.dlq}/0/1")).stdout
    assert "\\xff" in shown
    assert "ff 00 20 1b 5b 33 31 6d" in shown
    assert "\x1b" not in shown
    shown = (await system.run("show", f"{system.dlq}/0/2")).stdout
    assert "this is a delete of the key" in shown
    letter = await system.json("show", f"{system.dlq}/0/0")
    assert letter["payload"]["value"]["password"] == "***"
    said = (await system.run("show", f"{system.dlq}/0/9", code=1)).stderr
    assert "there is no dead letter" in said


async def test_an_export_gives_all_back(system: System, tmp_path: Path) -> None:
    values = [value(0, password="hunter2"), b"\xff\x00", None]
    await system.die(*values, partition=0)
    lines = [json.loads(line) for line in (await system.run("export")).stdout.splitlines()]
    assert "hunter2" not in str(lines)
    assert [line["key"] for line in lines] == ["d0", "d1", "d2"]
    assert lines[0]["payload"]["value"] == {"id": "d0", "text": 0, "password": "***"}
    assert all(["x", "1"] in line["headers"] for line in lines)
    path = tmp_path / "letters.jsonl"
    await system.run("export", "--unmasked", "--output", str(path), "--limit", "2")
    read = [json.loads(line)["payload"] for line in path.read_text().splitlines()]
    assert read[0] == {"encoding": "text", "value": values[0].decode()}  # type: ignore[union-attr]
    assert base64.b64decode(read[1]["value"]) == values[1]
    assert len(read) == 2


async def test_a_replay_as_typed(system: System) -> None:
    await system.die(value(0), value(1), value(2))
    dry = await system.json("replay", "--dry-run")
    assert (dry["dry_run"], dry["replayed"]) == (True, 3)
    assert await system.read(topics.rekeyed(system.text)) == []
    done = await system.json("redrive", "--rate", "600/m")
    assert (done["replayed"], done["failed"]) == (3, 0)
    assert sorted(one["id"] for one in done["results"]) == sorted(
        one["id"] for one in dry["results"]
    )
    found = await system.read(topics.rekeyed(system.text))
    assert {(r.key, r.value) for r in found} == {(b"d%d" % n, value(n)) for n in range(3)}
    # Marked in Kafka itself: another process knows of it.
    assert await system.ids() == []
    assert len(await system.ids("--all")) == 3
    assert (await system.run("replay")).stdout == "no dead letters match\n"
    assert (await system.run("replay", "--again", "--key", "d1")).stdout == "1 replayed\n"


async def test_a_mended_field_as_typed(system: System) -> None:
    await system.die(value(0, batch_id="b"), b"\xff", partition=0)
    done = await system.json("replay", "--set", 'text="mended"', code=1)
    assert (done["replayed"], done["failed"]) == (1, 1)
    assert done["results"][1]["error"].startswith("not UTF-8")
    (record,) = await system.read(topics.rekeyed(system.text))
    assert json.loads(record.value) == {"id": "d0", "text": "mended", "batch_id": "b"}
    assert ("tickertape-edited-from", f"{system.dlq}/0/0".encode()) in record.headers
    assert await system.ids() == [f"{system.dlq}/0/1"]


async def test_a_letter_edited_in_an_editor(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await system.die(b"\xff was no text", partition=0)
    place = f"{system.dlq}/0/0"
    script = tmp_path / "editor"
    monkeypatch.setenv("VISUAL", str(script))
    for body, said in (
        ("true", "Error: not edited: nothing is replayed\n"),
        ("echo '[1]' > \"$1\"", "Error: payload: expected a JSON object"),
    ):
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)
        found = await system.run("replay", place, "--edit", code=1)
        assert found.stderr.startswith(said)
    assert await system.read(topics.rekeyed(system.text)) == []
    script.write_text('#!/bin/sh\nsed -i \'s/.*was \\(.*\\)/{"text": "is \\1"}/\' "$1"\n')
    assert (await system.run("replay", place, "--edit")).stdout == "1 replayed\n"
    (record,) = await system.read(topics.rekeyed(system.text))
    assert json.loads(record.value) == {"text": "is no text", "batch_id": "b"}


async def test_a_topic_that_is_no_longer_ours(system: System, broker: Broker) -> None:
    gone = unique("gone")
    await create_topic(broker.bootstrap, topics.dlq(gone), 1)
    await system.die(value(0), base=gone)
    await system.die(value(1))
    arguments = ("--topic", topics.dlq(gone), "--topic", system.text)
    assert len(await system.ids(*arguments)) == 2
    said = (await system.run("replay", *arguments, code=1)).stderr
    assert f"{gone} is not a topic of ours" in said
    assert len(await system.read(topics.rekeyed(system.text))) == 1
    assert await system.ids(*arguments) == [f"{topics.dlq(gone)}/0/0"]


async def test_parked_after_the_most_replays(system: System) -> None:
    record = Record(system.text, 0, 0, b"d0", value(0), ((h.REPLAYS, b"2"),), 1, trusted=True)
    await system.send([dead(record, system.text, "g", 0, InvalidRecord("text", "a string"), "b")])
    done = await system.json("replay")
    assert (done["replayed"], done["parked"]) == (0, 1)
    (parked,) = await system.read(topics.parking(system.text))
    assert (parked.key, parked.value) == (b"d0", value(0))
    assert await system.ids() == []
    (shown,) = await system.json("list", "--all")
    assert shown["state"] == "parked"
    assert len(await system.ids("--topic", "text-messages-parking")) == 1
    done = await system.json("replay", "--topic", "text-messages-parking")
    assert (done["replayed"], done["results"][0]["replays"]) == (1, 3)


# Stopped half-way


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
async def test_a_replay_that_is_stopped_goes_on(system: System, number: signal.Signals) -> None:
    count = 120
    await system.die(*[value(n) for n in range(count)])
    process = await system.start("replay", "--rate", "20")
    while len(await system.read(topics.rekeyed(system.text))) < 20:
        assert process.returncode is None
        await asyncio.sleep(0.05)
    process.send_signal(number)
    _, err = await process.communicate()
    assert process.returncode != 0
    assert b"Traceback" not in err
    before = [(r.headers, r.key) for r in await system.read(topics.rekeyed(system.text))]
    assert 20 <= len(before) < count
    if number is signal.SIGINT:
        assert b"the same command goes on with the rest" in err
    done = await system.json("replay")
    found = [h.last(r.headers, h.ORIGIN) for r in await system.read(topics.rekeyed(system.text))]
    assert len(set(found)) == count
    if number is signal.SIGINT:  # nothing twice; a kill may double what was not marked yet
        assert len(found) == count
        assert done["replayed"] == count - len(before)
    assert len(found) <= count + 20
    assert await system.ids() == []


# Purge


async def test_a_purge_deletes_the_oldest_and_hides_the_others(system: System) -> None:
    await system.die(*[value(n) for n in range(4)], partition=0)
    await system.die(*[value(n) for n in range(4)], partition=1, batch="c")
    await system.die(value(0), value(1), partition=2, keys=[b"kept", b"d9"])
    dry = await system.json("purge", "--batch", "b", "--key", "d9", "--dry-run")
    assert dry == {"dry_run": True, "deleted": 0, "hidden": 1}
    assert len(await system.ids("--limit", "50")) == 10
    done = await system.json("purge", "--batch", "c", "--yes", "--limit", "3")
    assert done == {"dry_run": False, "deleted": 3, "hidden": 0}
    assert await system.begins(system.dlq) == [0, 3, 0]
    done = await system.json("purge", "--key", "d9", "--yes")
    assert done == {"dry_run": False, "deleted": 0, "hidden": 1}
    assert f"{system.dlq}/2/1" not in await system.ids("--limit", "50")
    assert (await system.json("show", f"{system.dlq}/2/1"))["state"] == "purged"
    # With the one before it gone too, both are deleted.
    done = await system.json("purge", "--key", "kept", "--yes")
    assert done == {"dry_run": False, "deleted": 1, "hidden": 0}
    assert (await system.begins(system.dlq))[2] == 2
    done = await system.json("purge", f"{system.dlq}/0/2", "--yes")
    assert done == {"dry_run": False, "deleted": 0, "hidden": 1}
    assert len(await system.ids("--limit", "50")) == 4
    # What was purged is not replayed, not even again.
    assert (await system.json("replay"))["replayed"] == 4
    assert (await system.json("replay", "--again"))["replayed"] == 4
    assert await system.json("purge", "--all", "--yes") == {
        "dry_run": False,
        "deleted": 4,
        "hidden": 0,
    }
    assert await system.ids("--all") == []


async def test_marks_are_read_by_those_who_have_read_before(system: System) -> None:
    """A worker keeps the marks it has read; another process adds some."""
    await system.die(*[value(n) for n in range(4)], partition=0)
    mine, other = system.box(), system.box()
    assert len(await mine.newest(Selection(), 10)) == 4
    await other.replay(Selection(filter=Filter(key="d1")), Plan())
    assert [x.key for x, _ in await mine.newest(Selection(), 10)] == [b"d3", b"d2", b"d0"]
    states = {x.key: state for x, state in await mine.newest(Selection(states=ALL), 10)}
    assert states[b"d1"] is State.REPLAYED
